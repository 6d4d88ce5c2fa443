"""One step of any kind, and a cell, for arrays, complex arrays, Balls and Duals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .activations import settled
from .cells import Parts
from .kinds import KINDS
from .options import Options


def parts(options: Options, w: Any, x_share: Any, state: tuple[Any, ...]) -> Parts:
    """One step of any kind, with all its values.

    Raises `ValueError` for a kind that has no step of its own.
    """
    own = KINDS[options.kind].step
    if own is None:
        raise ValueError(f"kind {options.kind} has no step")
    return own(options, w, x_share, state)


def step(
    options: Options, weights: Mapping[str, Any], suffix: str, x: Any, state: tuple[Any, ...]
) -> tuple[Any, ...]:
    """One step of any kind: x (B, I), state (h,) or (h, c) → all values of the step.

    `suffix` selects the weights.
    """
    kind = KINDS[options.kind]
    share, w = kind.shares(kind.weights(weights, suffix, x), x)
    return tuple(parts(options, w, share, state))


def cell(
    options: Options, weights: Mapping[str, Any], x: Any, state: tuple[Any, ...]
) -> dict[str, Any]:
    """A torch.nn cell: x (B, I) or (I,), state (h,) or (h, c) of (B, H) or (H,) → its results.

    They are the new states by their letters, and `output` where the output is none of them.
    """
    kind = KINDS[options.kind]
    with np.errstate(all="ignore"):
        through = step(options, weights, "", x, state)
        results = dict(zip(kind.states, through, strict=False))
        if kind.output == len(state):
            results["output"] = through[kind.output]
        return {name: settled(value) for name, value in results.items()}
