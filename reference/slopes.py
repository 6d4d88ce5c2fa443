"""Derivatives of the activation functions, and products of several factors.

The functions accept arrays, complex arrays, Balls and Duals.  The rules for Balls cover every form
in which a correct implementation may write a derivative; each rule's docstring has the argument.
"""

from __future__ import annotations

from functools import reduce, singledispatch
from operator import mul
from typing import Any

import numpy as np

from .ball_core import Ball
from .formats import Array, Precision

#: The most partial products of a nested product; da_r of a GRU is dh·(1−z)·(1−n)·(1+n)·q·r·(1−r).
NESTED = 7

_ONE, _TWO = np.asarray(1.0), np.asarray(2.0)


@singledispatch
def sigmoid_slope(s: Any) -> Any:
    """σ′ = s(1−s) from s = σ(a)."""
    return s * (1.0 - s)


@singledispatch
def tanh_slope(t: Any) -> Any:
    """tanh′ = 1−t² from t = tanh(a)."""
    return 1.0 - t * t


@singledispatch
def lstm_slopes(s: Any) -> Any:
    """σ′ of the blocks i, f, o and tanh′ of the block g, from their values s (..., 4H)."""
    size = s.shape[-1] // 4
    slopes, t = s * (1.0 - s), s[..., 2 * size : 3 * size]
    slopes[..., 2 * size : 3 * size] = 1.0 - t * t
    return slopes


@singledispatch
def relu_slope(a: Any) -> Any:
    """1 where the pre-activation a > 0, else 0; so 0 at a = 0, as in torch."""
    return np.where(np.real(a) > 0, 1.0, 0.0)


@singledispatch
def large(x: Any) -> Any:
    """Return x.  This marks a factor that may be above 1; σ, tanh and their derivatives are not.

    A Ball keeps its size as its `reach`.
    """
    return x


@singledispatch
def product(first: Any, *others: Any, chain: int | None = None) -> Any:
    """The product of all factors; a Ball is charged for every order of multiplication.

    The first factor decides the arithmetic: it must be a Ball or a Dual where any is.  `chain` is
    the number of partial products of the longest product that this one is a part of, as the tape
    counts it.  None stands for that of the cells with a backward pass by hand (`NESTED`,
    `dual.SPREAD`).
    """
    return reduce(mul, others, first)


@singledispatch
def also_summed(x: Any, additions: int) -> Any:
    """Return x.  A Ball is charged `additions` more additions in storage.

    An implementation may split a matrix product over gates or over time into several products,
    round each to storage and add them there.  If storage is the format of accumulation, the γ of
    the one product covers that: a term passes at most as many roundings in any order.
    """
    return x


@also_summed.register
def _(x: Ball, additions: int) -> Ball:
    if not x.precision.stores or additions <= 0:
        return x
    more = x.additions + additions
    ball = Ball(x.v, x.precision, x.r, x.magnitude, x.products, more, x.roundings)
    ball.underflows = x.underflows
    return ball


@sigmoid_slope.register
def _(s: Ball) -> Ball:
    """s̃(1−s̃) − s(1−s) = (s̃−s)(1−2s) − (s̃−s)², exactly; then the rounding of every form.

    s·(1−s) rounds twice.  s − s² rounds s², which s(1−s) does not.  Forms from the pre-activation,
    such as e^−|a|/(1+e^−|a|)² and σ(a)σ(−a), have the library's error of two activations instead
    of the error of s.
    """
    p, v, radius = s.precision, s.v, s.radius
    slope = v * (_ONE - v)
    r = radius * (np.abs(_ONE - _TWO * v) + radius)
    return _slope(p, slope, r, v * v)


@tanh_slope.register
def _(t: Ball) -> Ball:
    """t² − t̃² = −(t̃−t)(2t + (t̃−t)), exactly; then the rounding of every form.

    1−t² rounds t² and the difference; (1−t)(1+t) rounds three times; 1/cosh² and 4s(1−s) from the
    pre-activation have the library's error of two activations.
    """
    p, radius = t.precision, t.radius
    square = t.v * t.v
    r = radius * (_TWO * t.absolute + radius)
    return _slope(p, _ONE - square, r, square)


@lstm_slopes.register
def _(s: Ball) -> Ball:
    """Both rules above in one pass: tanh′ for the block g, σ′ for the others."""
    p, v, radius = s.precision, s.v, s.radius
    size = v.shape[-1] // 4
    g = (..., slice(2 * size, 3 * size))
    square = v * v
    slope, lean = v * (_ONE - v), np.abs(_ONE - _TWO * v)
    slope[g] = _ONE - square[g]
    lean[g] = _TWO * s.absolute[g]
    return _slope(p, slope, radius * (lean + radius), square)


def _slope(p: Precision, slope: Array, moved: Array, square: Array) -> Ball:
    """Ball of a positive slope: radius `moved`, from the activation, plus its own roundings."""
    rate, u, floor = p.slope
    ball = Ball(slope, p, rate * slope + (u * square + floor) + moved)
    ball.absolute = slope
    return ball


@relu_slope.register
def _(a: Ball) -> Ball:
    """Exact where the whole ball lies on one side of 0; covers both 0 and 1 where it straddles 0.

    At exactly 0 it is 0: an exact sum of zeros has radius 0.
    """
    radius = a.radius
    with np.errstate(invalid="ignore"):
        certain = (a.v - radius > 0) | (a.v + radius <= 0)
    slope = np.where(a.v > 0, 1.0, 0.0)
    r = None if certain.all() else np.where(certain, 0.0, 1.0)
    return Ball(slope, a.precision, r)


@large.register
def _(x: Ball) -> Ball:
    reach = x.absolute + x.radius
    if x.reach is not None:
        reach = np.maximum(x.reach, reach)
    if not reach.max() > 1.0:
        return x
    ball = x.settled()[...]
    ball.reach = np.maximum(_ONE, reach)
    return ball


@product.register
def _(first: Ball, *others: Any, chain: int | None = None) -> Ball:
    """n factors in any order: n−1 roundings, and an underflow of any partial product.

    The factors that follow multiply an early underflow; large factors keep their size as `reach`
    for this.  A partial product that may be past the largest number may be infinite in a correct
    implementation, so the radius is infinite there.  A factor may itself be a product or a slope,
    whose own factors may come in any order too: this adds up to `chain` partial products.
    """
    nested = NESTED if chain is None else chain
    if len(others) == 1:
        other = first.lift(others[0])
        if first.reach is None and other.reach is None and first.early is None:
            ball = first * other
            ball.underflows = nested
            return ball
    n, v, below, grown, reach = 1, first.v, first.absolute, first.radius, first.reach
    early = first.early
    span = below + grown if reach is None else reach
    for other in others:
        # Π(|v|+r) − Π|v| as a sum of positive terms: nothing cancels.
        f = first.lift(other)
        own, radius = f.absolute, f.radius
        most = own + radius
        grown = grown * most + below * radius
        v, below, n = v * f.v, below * own, n + 1
        if f.reach is not None:
            reach = f.reach if reach is None else reach * f.reach
            most = np.maximum(f.reach, most)
        if reach is not None:
            span = np.maximum(_ONE, span) * np.maximum(_ONE, most)
        if early is not None:
            early = early * np.maximum(_ONE, most)
    if early is not None:
        span = early if reach is None else np.maximum(span, early)
    room = 0.25 * first.precision.storage.largest
    if not (reach is None and early is None) and not span.max() < room:
        grown = np.where((span < room) | (below + grown == 0), grown, np.inf)
    ball = Ball(v, first.precision, grown, roundings=n - 1)
    if reach is not None and reach.shape != v.shape:  # a factor that was broadcast
        reach = np.broadcast_to(reach, v.shape)
    ball.absolute, ball.underflows, ball.reach, ball.early = below, nested, reach, early
    return ball
