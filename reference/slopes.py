"""Derivatives of the activation functions, and products of several factors, with their rules.

Arrays, complex arrays, Balls and Duals flow through; the rules of Balls cover every form in which
a correct implementation may write a derivative, each argued at its rule.
"""

from __future__ import annotations

from functools import reduce, singledispatch
from operator import mul
from typing import Any

import numpy as np

from .ball_core import Ball
from .formats import Array, Precision

#: Most partial products of a nested product: da_r of a GRU is dh·(1−z)·(1−n)·(1+n)·q·r·(1−r).
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
    """1 where the pre-activation a > 0, else 0: at 0 as torch defines it."""
    return np.where(np.real(a) > 0, 1.0, 0.0)


@singledispatch
def large(x: Any) -> Any:
    """Return x, a factor of a product that may be above 1, unlike σ, tanh and their derivatives."""
    return x


@singledispatch
def product(first: Any, *others: Any) -> Any:
    """The product of all factors; a Ball is charged for every order of multiplication.

    The first factor decides the arithmetic: it must be a Ball or a Dual where any is.
    """
    return reduce(mul, others, first)


@singledispatch
def also_summed(x: Any, additions: int) -> Any:
    """Return x; a Ball is charged as if its terms had been summed in storage, `additions` times.

    A matrix product over gates or over time may be written as several, each rounded to storage
    and then added there.  Where storage is the format of accumulation, the product's own γ covers
    that: a term passes at most as many roundings in any order.
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

    s·(1−s) rounds twice; s − s² rounds s², which s(1−s) does not; e^−|a|/(1+e^−|a|)², σ(a)σ(−a)
    and the like, from the pre-activation, have the library's error of two activations instead of
    what s is off by.
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
    """Both rules above at once; the block g as tanh′."""
    p, v, radius = s.precision, s.v, s.radius
    size = v.shape[-1] // 4
    g = (..., slice(2 * size, 3 * size))
    square = v * v
    slope, lean = v * (_ONE - v), np.abs(_ONE - _TWO * v)
    slope[g] = _ONE - square[g]
    lean[g] = _TWO * s.absolute[g]
    return _slope(p, slope, radius * (lean + radius), square)


def _slope(p: Precision, slope: Array, moved: Array, square: Array) -> Ball:
    """A slope, off by what the activation moves it and by its own roundings; it is positive."""
    rate, u, floor = p.slope
    ball = Ball(slope, p, rate * slope + (u * square + floor) + moved)
    ball._absolute = slope
    return ball


@relu_slope.register
def _(a: Ball) -> Ball:
    """Exact where the whole ball lies on one side of 0; 0 and 1 both where it straddles.

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
def _(first: Ball, *others: Any) -> Ball:
    """n factors in any order: n−1 roundings, and an underflow of any partial product.

    What underflows early is multiplied by the factors that follow, of which the large ones carry
    their size as `reach`; where a partial product of those and of the rest may be past the
    largest number, it may be infinite.  A factor may be a product or a slope itself, whose own
    factors may come in any order too: `NESTED` is how many partial products that may add.
    """
    if len(others) == 1:
        other = first._lift(others[0])
        if first.reach is None and other.reach is None:
            ball = first * other
            ball.underflows = NESTED
            return ball
    n, v, below, grown, reach = 1, first.v, first.absolute, first.radius, first.reach
    span = below + grown if reach is None else reach
    for other in others:
        # Π(|v|+r) − Π|v| as a sum of positive terms: nothing cancels.
        f = first._lift(other)
        own, radius = f.absolute, f.radius
        most = own + radius
        grown = grown * most + below * radius
        v, below, n = v * f.v, below * own, n + 1
        if f.reach is not None:
            reach = f.reach if reach is None else reach * f.reach
            most = np.maximum(f.reach, most)
        if reach is not None:
            span = np.maximum(_ONE, span) * np.maximum(_ONE, most)
    room = 0.25 * first.precision.storage.largest
    if reach is not None and not span.max() < room:
        grown = np.where((span < room) | (below + grown == 0), grown, np.inf)
    ball = Ball(v, first.precision, grown, roundings=n - 1)
    ball._absolute, ball.underflows, ball.reach = below, NESTED, reach
    return ball
