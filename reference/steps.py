"""One step of any kind, and a cell, for arrays, complex arrays, Balls and Duals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .activations import settled
from .cells import Parts, Weights, affine, weights_of
from .kinds import KINDS
from .options import Options


def parts(options: Options, w: Weights, x_share: Any, state: tuple[Any, ...]) -> Parts:
    """One step of any kind, with all its values.

    Raises `ValueError` for a kind that has no step of its own.
    """
    own = KINDS[options.kind].step
    if own is None:
        raise ValueError(f"kind {options.kind} has no step")
    return own(options, w, x_share, state)


def step(
    options: Options, weights: Mapping[str, Any], suffix: str, x_share: Any, state: tuple[Any, ...]
) -> tuple[Any, ...]:
    """One step of any kind: state (h,) or (h, c) → the next state; `suffix` selects weights."""
    return tuple(parts(options, weights_of(weights, suffix, x_share), x_share, state))[: len(state)]


def input_share(weights: Mapping[str, Any], suffix: str, x: Any) -> Any:
    """x W_ihᵀ + b_ih for x (..., I) → (..., gates·H)."""
    return affine(x, weights[f"weight_ih{suffix}"], weights.get(f"bias_ih{suffix}"))


def cell(
    options: Options, weights: Mapping[str, Any], x: Any, state: tuple[Any, ...]
) -> tuple[Any, ...]:
    """A torch.nn cell: x (B, I) or (I,), state (h,) or (h, c) of (B, H) or (H,) → next state."""
    with np.errstate(all="ignore"):
        w = weights_of(weights, "", x)
        through = parts(options, w, affine(x, w.ih, w.b_ih), state)
        return tuple(settled(s) for s in through[: len(state)])
