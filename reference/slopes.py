"""Derivatives of the activation functions, and products of several factors, with their rules.

Arrays, complex arrays, Balls and Duals flow through; the rules of Balls cover every form in which
a correct implementation may write a derivative, each argued at its rule.
"""

from __future__ import annotations

from functools import reduce, singledispatch
from operator import mul
from typing import Any

import numpy as np

from .ball import Ball


@singledispatch
def sigmoid_slope(s: Any) -> Any:
    """σ′ = s(1−s) from s = σ(a)."""
    return s * (1.0 - s)


@singledispatch
def tanh_slope(t: Any) -> Any:
    """tanh′ = 1−t² from t = tanh(a)."""
    return 1.0 - t * t


@singledispatch
def relu_slope(a: Any) -> Any:
    """1 where the pre-activation a > 0, else 0: at 0 as torch defines it."""
    return np.where(np.real(a) > 0, 1.0, 0.0)


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


@singledispatch
def settled(x: Any) -> Any:
    """Return x; of a Ball, the one term that it is once rounded and stored."""
    return x


@also_summed.register
def _(x: Ball, additions: int) -> Ball:
    if not x.precision.stores or additions <= 0:
        return x
    return Ball(
        x.v,
        x.precision,
        x.r,
        x.magnitude,
        products=x.products,
        additions=x.additions + additions,
        roundings=x.roundings,
    )


@settled.register
def _(x: Ball) -> Ball:
    return x.settled()


@sigmoid_slope.register
def _(s: Ball) -> Ball:
    """s̃(1−s̃) − s(1−s) = (s̃−s)(1−2s) − (s̃−s)², exactly; then the rounding of every form.

    s·(1−s) rounds twice; s − s² rounds s², which s(1−s) does not; e^−|a|/(1+e^−|a|)², σ(a)σ(−a)
    and the like, from the pre-activation, have the library's error of two activations instead of
    what s is off by.  An s that is exact is not one that was computed: it is a constant.
    """
    p, v, radius = s.precision, s.v, s.radius
    slope = v * (1.0 - v)
    r = radius * (np.abs(1.0 - 2.0 * v) + radius)
    r += (2.0 * p.u + 4.0 * p.ulps * p.u_accumulation) * slope + p.u * v * v + 2 * p.storage.eta
    return Ball(slope, p, r)


@tanh_slope.register
def _(t: Ball) -> Ball:
    """t² − t̃² = −(t̃−t)(2t + (t̃−t)), exactly; then the rounding of every form.

    1−t² rounds t² and the difference; (1−t)(1+t) rounds three times; 1/cosh² and 4s(1−s) from the
    pre-activation have the library's error of two activations.
    """
    p, v, radius = t.precision, t.v, t.radius
    square = v * v
    slope = 1.0 - square
    r = radius * (2.0 * np.abs(v) + radius)
    r += (3.0 * p.u + 4.0 * p.ulps * p.u_accumulation) * slope + p.u * square + 2 * p.storage.eta
    return Ball(slope, p, r)


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


@product.register
def _(first: Ball, *others: Any) -> Ball:
    """n factors in any order: n−1 roundings, and an underflow of any partial product.

    What underflows early is multiplied by the factors that follow, at most Π max(1, |factor|);
    where that may be past the largest number, a partial product may be infinite.  The factors of
    a factor that is a product itself may come in any order too: it carries its own Π as `reach`.
    """
    p = first.precision
    factors = [first, *(first._lift(f) for f in others)]
    n = len(factors)
    v, own = first.v, np.abs(first.v)
    below, grown = own, None if first.exact else first.radius
    nested = first.reach is not None
    reach = np.maximum(1.0, own if grown is None else own + grown)
    if first.reach is not None:
        reach = np.maximum(reach, first.reach)
    for f in factors[1:]:
        v, own = v * f.v, np.abs(f.v)
        # Π(|v|+r) − Π|v| as a sum of positive terms: nothing cancels.
        if f.exact:
            grown = None if grown is None else grown * own
            most = own
        else:
            most = own + f.radius
            cross = below * f.radius
            grown = cross if grown is None else grown * most + cross
        below = below * own
        most = np.maximum(1.0, most)
        if f.reach is not None:
            nested = True
            most = np.maximum(most, f.reach)
        reach = reach * most
    if n == 2 and not nested:
        return Ball(v, p, grown, roundings=1)
    # At most five factors beside these n, of a factor that is a product.
    floor = (n - 1 + 4 * nested) * p.storage.eta
    possible = below > 0 if grown is None else below + grown > 0
    r = possible * (floor * reach)
    r = r if grown is None else r + grown
    r = np.where(reach > 0.25 * p.storage.largest, np.inf, r)
    ball = Ball(v, p, r, roundings=n - 1)
    ball.reach = None if (reach == 1.0).all() else reach
    return ball
