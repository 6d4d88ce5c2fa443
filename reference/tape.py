"""Reverse mode for any step: an arithmetic that records a formula and runs it backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import tape_rules
from .activations import constant, settled
from .dual import Dual
from .tape_core import Taped, run_back, value

__all__ = ["Taped", "gradients", "tape_rules"]


def gradients(
    function: Callable[[dict[str, Any]], Sequence[Any]],
    inputs: Mapping[str, Any],
    upstream: Sequence[Any | None],
) -> tuple[list[Any], dict[str, Any]]:
    """The results of `function(inputs)`, and the gradients of a loss by every input, by name.

    `function` is a formula in plain NumPy: it gets the inputs by name (arrays, complex arrays,
    Balls or Duals) and returns a sequence of results.  `upstream` holds the derivative of the loss
    by each result, of the result's shape; None means zero.  A gradient has the shape of its input.
    Raises `TypeError` if the function uses an operation without a rule, a value in an `if`, or
    changes its argument in place.  Raises `ValueError` if `upstream` has another length or shape.
    """
    with np.errstate(all="ignore"):
        leaves = {name: Taped(v, needs=True) for name, v in inputs.items()}
        results = list(function(dict(leaves)))
        values = [settled(value(r)) for r in results]
        like = next((v for v in values if isinstance(v, Dual)), values[0] if values else None)
        seeds = [None if d is None else constant(like, d) for d in upstream]
        shapes = [v.shape for v in values]
        if len(seeds) != len(shapes) or any(
            d is not None and d.shape != shape for d, shape in zip(seeds, shapes, strict=True)
        ):
            raise ValueError(f"upstream needs None or an entry of each result's shape: {shapes}")
        found = run_back(results, seeds, list(leaves.values()))
        pairs = zip(leaves.items(), found, strict=True)
        own = {n: constant(like, np.zeros(x.shape)) if d is None else d for (n, x), d in pairs}
        return values, own
