"""Adjoints in reverse mode: how those of one value are added, put in place, and masked.

Everything here works for arrays, complex arrays, Balls and Duals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .activations import join, stack
from .ball_core import Ball
from .dual import Dual
from .recurrence import plus
from .slopes import also_summed

Pieces = list[tuple[Any, Any]]


class Adjoint(NamedTuple):
    """The derivative `d` of the loss by a value, and how it was computed.

    `depth` is the number of elementwise factors that d has got since the last matrix product or
    sum; this sum had so many `terms`, and `before` is the number of all factors in them.  `chain`
    is the number of partial products that an implementation may compute, if it applies the factors
    in any order, before this sum or after it, until the next sum.  `columns` and `rows` are the
    numbers of gates side by side in the last axis and in the one before it, which may be
    multiplied by their weights one by one.
    """

    d: Any
    terms: int
    before: int
    depth: int
    chain: int
    columns: int
    rows: int


#: How an adjoint begins: at a result, after a matrix product, after a sum over an axis.
START = Adjoint(None, 1, 0, 0, 0, 1, 1)


class Arrived:
    """The contributions to the adjoint of one value, from all of its uses."""

    __slots__ = (
        "before",
        "columns",
        "depth",
        "pairs",
        "pieces",
        "rows",
        "split",
        "spread",
        "steps",
        "summed",
        "terms",
        "whole",
    )

    def __init__(self) -> None:
        self.whole: list[Any] = []
        self.pieces: list[tuple[Any, Any]] = []  # index, adjoint of the part
        self.spread: list[Any] = []  # (n, shape of the value): to be summed over n
        self.pairs: list[tuple[Any, Any]] = []  # a (n, k), d (n, m) for Σ a ⊗ d
        self.before, self.depth, self.terms = 0, 0, 1
        self.columns = self.rows = 1  # as in `Adjoint`
        self.summed = 1  # how many elements were added over an axis that was broadcast
        self.steps = 0  # into how many sums over the batch `spread` or `pairs` may be split
        self.split = 0  # into how many more parts the contributions may be split

    def sum(self, shape: tuple[int, ...], ahead: int) -> Any:
        """The adjoint, as one sum in any order.

        `ahead` factors follow; each may be applied to the terms in place of the sum.  A term that
        is split into parts means one more addition for each further part.
        """
        terms = list(self.whole)
        if self.pairs:
            terms.append(self._over_steps(*map(matrix, zip(*self.pairs, strict=True))))
        if self.spread:
            summed = reduced(matrix(self.spread), 0, ahead)
            terms.append(also_summed(summed, self.steps - 1))
        if self.pieces:
            terms += placed(shape, self.pieces, alone=not terms)
        if len(terms) == self.summed == 1:
            return terms[0]
        self.terms = max(len(terms), self.summed)
        self.before, self.depth, d = self.terms * self.depth, 0, None
        for term in terms:
            d = plus(d, term)
        return crossed(d, terms, ahead + self.split)

    def _over_steps(self, a: Any, d: Any) -> Any:
        """Σ_t Σ_b a ⊗ d by one product over T·B rows.

        An implementation may add T products in storage.  A term passes at most as many roundings.
        """
        return also_summed(a.T @ d, self.steps - 1)


# ---------------------------------------------------------------------- in each arithmetic


def matrix(parts: Sequence[Any]) -> Any:
    """Concatenate parts (n, …) along their first axis; Balls are settled."""
    return parts[0] if len(parts) == 1 else np.concatenate(list(parts))


@singledispatch
def crossed(total: Any, terms: Sequence[Any], factors: int) -> Any:
    """The sum of terms, each of which may pass so many more roundings; a Ball is charged for them.

    A factor that follows the sum may multiply a term before it is added, and a large factor of the
    term may then multiply what underflowed: the sum keeps the largest `reach` of its terms.
    """
    return total


@crossed.register
def _(total: Ball, terms: Sequence[Any], factors: int) -> Ball:
    if not factors:
        return total
    ball = total[...]
    ball.roundings, ball._radius, ball.early = total.roundings + factors, None, None
    for term in terms:
        own = None if term is None else term.reach
        if own is not None:
            ball.early = own if ball.early is None else np.maximum(ball.early, own)
    return ball


@crossed.register
def _(total: Dual, terms: Sequence[Any], factors: int) -> Dual:
    duals = [x if isinstance(x, Dual) else Dual(x) for x in terms]
    d = None if total.d is None else crossed(total.d, [x.d for x in duals], factors)
    return Dual(crossed(total.v, [x.v for x in duals], factors), d)


@singledispatch
def reduced(x: Any, axis: Any, factors: int) -> Any:
    """Σ x over axes: axis 0, or several that are kept.

    If factors follow, each may multiply the terms: a Ball keeps the `reach` of its terms.
    """
    return np.sum(x, axis=axis, keepdims=axis != 0)


@reduced.register
def _(x: Ball, axis: Any, factors: int) -> Ball:
    ball: Ball = np.sum(x, axis=axis, keepdims=axis != 0)  # type: ignore[call-overload]
    if factors and x.reach is not None:
        ball.reach = np.max(x.reach, axis=axis, keepdims=axis != 0)
    return ball


@reduced.register
def _(x: Dual, axis: Any, factors: int) -> Dual:
    return x.mapped(lambda part: reduced(part, axis, factors))


@singledispatch
def masked(x: Any, mask: npt.NDArray[np.bool_]) -> Any:
    """x where the mask holds, else exactly 0, even where x is not finite; a Ball stays a sum."""
    return np.where(mask, x, 0.0)


@masked.register
def _(x: Ball, mask: npt.NDArray[np.bool_]) -> Ball:
    return x.mapped(lambda part: np.where(mask, part, 0.0))


@masked.register
def _(x: Dual, mask: npt.NDArray[np.bool_]) -> Dual:
    return x.mapped(lambda part: masked(part, mask))


def placed(shape: tuple[int, ...], pieces: Pieces, alone: bool) -> list[Any]:
    """Adjoints of the given shape from adjoints of parts x[index]: zero where there is no part.

    Parts that share no element stand side by side in one adjoint.  If nothing else is added
    (`alone`), no sum is made, and each part is one term.  Otherwise a Ball stays a sum: all parts
    are charged as the one with the most roundings.
    """
    whole = _tiles(shape, pieces) if alone else None
    if whole is not None:
        return [whole]
    layers: list[Pieces] = []
    taken: list[npt.NDArray[np.bool_]] = []
    for index, d in pieces:
        for layer, full in zip(layers, taken, strict=True):  # noqa: B007
            if not full[index].any():
                break
        else:
            layer, full = [], np.zeros(shape, dtype=np.bool_)
            layers.append(layer)
            taken.append(full)
        layer.append((index, d))
        full[index] = True
    return [side_by_side(layer[0][1], shape, layer, alone and len(layers) == 1) for layer in layers]


def _tiles(shape: tuple[int, ...], pieces: Pieces) -> Any:
    """Parts that are all steps of time, or adjacent ranges of the last axis: the usual cases."""
    if all(type(index) is int for index, _ in pieces):
        by_step = {index % shape[0]: d for index, d in pieces}
        if len(by_step) == len(pieces) == shape[0]:
            return stack([by_step[t] for t in range(shape[0])])
        return None
    if not all(type(k) is tuple and len(k) == 2 and k[0] is Ellipsis for k, _ in pieces):
        return None
    if not all(type(k[1]) is slice for k, _ in pieces):
        return None
    ranges = sorted((*k[1].indices(shape[-1]), n) for n, (k, _) in enumerate(pieces))
    ends = [0]
    for start, stop, step, _ in ranges:
        if start != ends[-1] or step != 1:
            return None
        ends.append(stop)
    if ends[-1] != shape[-1]:
        return None
    return join([pieces[n][1] for *_, n in ranges])


def _filled(shape: tuple[int, ...], pieces: Pieces, start: float = 0.0) -> Any:
    whole = np.zeros(shape, dtype=np.result_type(*(part for _, part in pieces)))
    if start:
        whole += start
    for index, part in pieces:
        whole[index] = part
    return whole


@singledispatch
def side_by_side(like: Any, shape: tuple[int, ...], pieces: Pieces, alone: bool) -> Any:
    """One array of the given shape with every part at its index, in the arithmetic of `like`."""
    return _filled(shape, pieces)


@side_by_side.register
def _(like: Ball, shape: tuple[int, ...], pieces: Pieces, alone: bool) -> Ball:
    if not alone:  # the underflow of a product of large factors is charged before it is added
        pieces = [
            (k, b if b.reach is b.early is None else b.settled()._unreached()) for k, b in pieces
        ]
    balls = [b for _, b in pieces]
    whole = Ball(_filled(shape, [(k, b.v) for k, b in pieces]), like.precision)
    if alone:
        whole.r = whole._radius = _filled(shape, [(k, b.radius) for k, b in pieces])
        if any(b.reach is not None for b in balls):
            reaches = [(k, 1.0 if b.reach is None else b.reach) for k, b in pieces]
            whole.reach = _filled(shape, reaches, 1.0)
        if any(b.early is not None for b in balls):
            early = [(k, 1.0 if b.early is None else b.early) for k, b in pieces]
            whole.early = _filled(shape, early, 1.0)
        return whole
    whole.r = _filled(shape, [(k, 0.0 if b.r is None else b.r) for k, b in pieces])
    whole.m = _filled(shape, [(k, b.magnitude) for k, b in pieces])
    for name in ("products", "additions", "roundings", "underflows"):
        setattr(whole, name, max(getattr(b, name) for b in balls))
    return whole


@side_by_side.register
def _(like: Dual, shape: tuple[int, ...], pieces: Pieces, alone: bool) -> Dual:
    values = [(k, x.v) for k, x in pieces]
    v = side_by_side(values[0][1], shape, values, alone)
    tangents = [(k, x.d) for k, x in pieces if x.d is not None]
    d = side_by_side(tangents[0][1], shape, tangents, alone) if tangents else None
    return Dual(v, d)
