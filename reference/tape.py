"""Reverse mode for any step: an arithmetic that records a formula and runs it backwards.

A formula in plain NumPy gets `Taped` values in place of arrays.  Each operation computes its value
and records how the adjoint of its result gives those of its operands; the adjoint of a value is
the derivative of the loss by it.  The backward pass goes from the last operation to the first
(Griewank & Walther, *Evaluating Derivatives*, 2nd ed., ch. 3).  Inside of a Taped value is an
array, a complex array, a Ball (then each gradient has a bound) or a Dual (then each gradient has a
tangent: a Hessian–vector product).

Why the radius of a gradient covers every correct implementation of the formula: in reverse mode
each value has one adjoint, in every implementation, and this adjoint is the same sum of the same
products.  Implementations differ in the following points.  Each is charged, by counts that are
taken from the recorded formula:

- The order of a sum.  The contributions of all uses of a value are one sum, which is charged once,
  for every order.  The parts x[index] of a value are put side by side and not added.
- The order of factors.  Between two sums an adjoint is a product of elementwise factors in any
  order.  A slope counts as two factors, s(1−s) or (1−t)(1+t).  Each partial product may underflow,
  and factors above 1, the first adjoint among them, multiply what was lost (`large`).  This is
  charged for all factors from one sum to the next (`Adjoint.chain`).
- A factor before or after a sum: (A + B)∘c may be A∘c + B∘c.  The terms then pass one more
  rounding for each such factor.  So each term of a sum is charged as many roundings as factors
  follow until the next matrix product or sum (`Taped.ahead`).  The factors of a term and those
  that follow the sum may be mixed in any order: so `chain` counts both, and a sum keeps the size
  of the large factors in its terms (`crossed`).
- The matrix product with a weight: one for all gates, or one for each gate (`Adjoint.columns`).
- The gradient of a weight or of a bias: one sum over the batch and all steps of time, or one sum
  for each step, added in storage in any order (`Arrived.steps`).
- The forms of a slope (`slopes`), of `blend` and of `log_softmax`.
- A value that a form uses twice: (1−z)∘new + z∘kept gives z two contributions, and they are added
  to those of other uses one by one.  So each further part is one more addition (`Arrived.split`).

An implementation may compute a value of the forward pass again: it lies in the same Ball.

Three things are not covered, and no implementation known to us does any: a factor that is moved
across two sums; a sum that is multiplied by a matrix term by term, (A + B)W as A W + B W; and a
partial product that underflows and is then doubled by 1+t of three or more tanh in one product.

With Duals inside, a tangent is a sum as well, and a factor may be applied before or after it
(`dual`): `chain` takes the place of the constant `dual.SPREAD`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import tape_cells, tape_functions, tape_rules, tape_shapes
from .activations import constant, settled
from .ball_core import Ball
from .dual import Dual
from .tape_core import Taped, value

__all__ = ["Taped", "gradients", "tape_cells", "tape_functions", "tape_rules", "tape_shapes"]


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
        if any(isinstance(v, Taped) for v in inputs.values()):
            raise TypeError("reverse mode over reverse mode is not offered; use Duals as inputs")
        leaves = {name: Taped(v, needs=True) for name, v in inputs.items()}
        results = list(function(dict(leaves)))
        values = [settled(value(r)) for r in results]
        # A Dual holds a Ball, and a Ball an array: the widest arithmetic of the results.
        like = max(
            values, key=lambda v: 2 * isinstance(v, Dual) + isinstance(v, Ball), default=None
        )
        seeds = [None if d is None else constant(like, d) for d in upstream]
        shapes = [v.shape for v in values]
        if [d if d is None else d.shape for d in seeds] != [
            d if d is None else shape for d, shape in zip(seeds, shapes, strict=False)
        ] or len(seeds) != len(shapes):
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
