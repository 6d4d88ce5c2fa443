"""Gradients of declared kinds, by the tape: a cell, and a layer over all its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .activations import constant
from .kinds import KINDS
from .options import Options
from .steps import cell
from .tape import gradients
from .unroll import layer


def declared_backward(
    options: Options,
    weights: Mapping[str, Any],
    x: Any,
    state: Sequence[Any],
    upstream: Mapping[str, Any],
    lengths: Sequence[int] | None = None,
    batch_first: bool = False,
    masks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Gradients by name: the input, the initial states, and every weight.

    The arguments and shapes are those of `steps.cell` and `unroll.layer`.  `upstream` maps names of
    results to the derivative of the loss by them; a missing name means zero.  The gradient by
    padding is exactly zero.
    """
    kind = KINDS[options.kind]
    x = _without_padding(x, lengths, batch_first)
    own = {name: constant(x, w) for name, w in weights.items()}

    def results(leaves: dict[str, Any]) -> list[Any]:
        w = {name: leaves[name] for name in own}
        given = [leaves[name] for name in kind.start_names]
        if options.cell:
            found = cell(options, w, leaves["input"], tuple(given))
        else:
            inputs = leaves["input"]
            found = layer(options, w, inputs, given, lengths, batch_first, masks).named()
        return [found[name] for name in kind.result_names(options.cell)]

    leaves = {"input": x, **dict(zip(kind.start_names, state, strict=True)), **own}
    given = [upstream.get(name) for name in kind.result_names(options.cell)]
    _, found = gradients(results, leaves, given)
    return found


def _without_padding(x: Any, lengths: Sequence[int] | None, batch_first: bool) -> Any:
    """x (T, B, I) or (B, T, I) with zeros in its padding, which may hold anything: 0·∞ is not 0."""
    if lengths is None:
        return x
    running = np.arange(x.shape[1 if batch_first else 0])[:, None] < np.asarray(lengths)
    return np.where((running.T if batch_first else running)[..., None], x, 0.0)
