"""Reverse mode for any step: an arithmetic that records a formula and runs it backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import tape_cells, tape_rules, tape_shapes
from .activations import constant, settled
from .dual import Dual
from .tape_core import Taped, value

__all__ = ["Taped", "gradients", "tape_cells", "tape_rules", "tape_shapes"]


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
        found = _run_back(results, seeds, list(leaves.values()))
        pairs = zip(leaves.items(), found, strict=True)
        own = {n: constant(like, np.zeros(x.shape)) if d is None else d for (n, x), d in pairs}
        return values, own


def _run_back(
    results: Sequence[Any], upstream: Sequence[Any], inputs: Sequence[Taped]
) -> list[Any]:
    """The adjoints of `inputs`, settled, from those of the results; None where there is none."""
    nodes: dict[int, Taped] = {}
    uses: dict[int, int] = {}
    seeds = [(r, d) for r, d in zip(results, upstream, strict=True) if d is not None]
    open_ = [r for r, _ in seeds if isinstance(r, Taped) and r.needs]
    for r in open_:
        uses[r.order] = uses.get(r.order, 0) + 1
    while open_:
        node = open_.pop()
        if node.order not in nodes:
            nodes[node.order] = node
            open_ += (*node.parents, *node.parts)
    order = sorted(nodes)
    for number in order:
        for parent in nodes[number].parents:
            uses[parent.order] = uses.get(parent.order, 0) + 1
    # The parts of one value are put side by side, not added: together they are one use.
    for number in {parent.order for node in nodes.values() for parent in node.parts}:
        uses[number] = uses.get(number, 0) + 1
    for number in order:
        node = nodes[number]
        if node.atoms is not None:
            parents = (*node.parents, *node.parts)
            ends = [0 if uses[p.order] > 1 else p.ahead for p in parents]
            node.ahead = node.atoms + max(ends, default=0)
    for r, d in seeds:
        if isinstance(r, Taped):
            r.receive(d)
    found: dict[int, Any] = {}
    wanted = {x.order for x in inputs}
    for number in reversed(order):
        d = nodes[number].adjoint()
        if number in wanted and d is not None:
            found[number] = settled(d)
    return [found.get(x.order) for x in inputs]
