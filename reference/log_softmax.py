"""log softmax over the last axis, for real and complex arrays, with its rule for Balls."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np

from .ball_core import Ball, charged, settled_ball
from .formats import SLACK, Array, Precision, gamma

_ONE, _TWICE = np.asarray(1.0), np.asarray(2.0 * SLACK)


@singledispatch
def log_softmax(x: Any) -> Any:
    """y_i = x_i − log Σⱼ exp(x_j) over the last axis; x (..., O) → (..., O).

    Computed as d − log Σ exp(d) with d = x − max x, which cannot overflow.
    """
    d = x - np.max(np.real(x), axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


@log_softmax.register
def _(x: Ball) -> Ball:
    """Charge the radius of the argument, then the roundings of both orders of subtraction.

    ∂y_i/∂x_j = δ_ij − p_j with p ≥ 0, Σp = 1, so |y_i(s) − y_i(v)| ≤ r_i + max_j r_j.

    A correct implementation with n terms computes d_j = x_j − m with the maximum m, e_j = exp(d_j),
    t = Σ e_j ≥ 1 in any order, L = log t, and (x_i − m) − L or x_i − (m + L).  It may store each
    of these values.  So each is charged w: u_accumulation, plus u if storage is another format.
    The errors are:

    - of e_j, relative: w|d_j| + w, and 2·ulps·u_accumulation of exp, as in `ball_rules.tanh`;
    - of t, relative: those of e_j, γₙ and w, and n underflows; ρ is their sum;
    - of L: ρ/(1−ρ), and the error of log;
    - of d_i, m, m + L and y_i: one rounding each.

    Magnitudes are taken at the far end of the argument's ball.
    """
    p, r = x.precision, x.radius
    w, w_ulps, rho_0, own_0 = _rates(p, x.v.shape[-1])
    d = x.v - _over_last(np.maximum, x.v)
    y = d - np.log(_over_last(np.add, np.exp(d)))
    widest = _over_last(np.maximum, r)
    moved = r + widest
    m = _over_last(np.maximum, x.absolute + r)
    d = np.abs(d) + moved
    share = np.exp(np.minimum(y + moved, 0.0))  # e_j / t
    relative = _over_last(np.add, share * (w * d + w_ulps))
    rho = relative + rho_0
    own = rho / (_ONE - rho) + w * (d + m + np.abs(y)) + own_0
    # exp(ε) − 1 ≤ 2ε for the small exponents ε, and every charge above is such an ε.
    radius = moved + _TWICE * own
    if not rho.max() < 0.5:
        radius = np.where(rho < 0.5, radius, np.inf) + 0.0 * widest
    return Ball(y, p, radius, roundings=p.stores)


def _rates(p: Precision, n: int) -> tuple[Array, ...]:
    """w, w + ulps, and the parts of ρ and of the radius that do not depend on the argument."""
    found: tuple[Array, ...] | None = p.cache.get(("log_softmax", n))
    if found is None:
        w, eta = p.u_accumulation + p.stores * p.u, p.accumulation.eta
        ulps = 2.0 * p.ulps * p.u_accumulation
        rho = gamma(n, p.u_accumulation) + w + n * eta
        own = (ulps + 2.0 * w) * math.log(n) + eta  # 0 ≤ L ≤ log n
        found = tuple(np.asarray(a) for a in (w, w + ulps, rho, own))
        p.cache["log_softmax", n] = found
    return found


def _over_last(ufunc: np.ufunc, a: Array) -> Array:
    """Reduce over the last axis and keep it.  Takes half the time of np.sum and np.max."""
    reduced: Array = ufunc.reduce(a, axis=-1, keepdims=True)
    return reduced


@singledispatch
def softmax(y: Any) -> Any:
    """p = exp(y) from y = log_softmax(x)."""
    return np.exp(y)


@softmax.register
def _(y: Ball) -> Ball:
    """The radius R of y covers every rounding of x − m, exp and log.

    A softmax that is computed as e/Σe has the same roundings.  So p̃ = p·e^δ with |δ| ≤ R.  Then
    the exponential or the quotient has its own error, less than the rate of `Precision.slope`.
    """
    p, f = y.precision, np.exp(y.v)
    rate, _, floor = p.slope
    r = f * np.expm1(y.radius) + rate * f + floor
    if p.stores:
        r = charged(p, f + r, r, p.charge(0, 1))
    ball = settled_ball(p, f, r)
    ball.absolute = f
    return ball


@singledispatch
def through_log_softmax(y: Any, tangent: Any) -> Any:
    """ẏ = ẋ − Σ p∘ẋ over the last axis, from y = log_softmax(x)."""
    return tangent - np.sum(np.exp(y) * tangent, axis=-1, keepdims=True)


@through_log_softmax.register
def _(y: Ball, tangent: Any) -> Ball:
    """The formula, charged also for an implementation that differentiates its maximum.

    Such an implementation uses ḋ = ẋ − ẋ_m in place of ẋ.  Here m is the index of the maximum,
    or of any value that may be the maximum within its radius.
    """
    d, p = y.lift(tangent), softmax(y)
    dy = d - np.sum(p * d, axis=-1, keepdims=True)
    top = y.v + y.radius >= _over_last(np.maximum, y.v - y.radius)
    most = _over_last(np.maximum, np.where(top, d.magnitude, 0.0))
    # ẋ_m enters twice, in ẋ_i − ẋ_m and in Σ p_j (ẋ_j − ẋ_m), and cancels where Σ p is 1.
    r = dy.r + most * _over_last(np.add, p.radius)
    m, roundings = dy.magnitude + 2.0 * most, dy.roundings + 1
    return Ball(dy.v, y.precision, r, m, dy.products, dy.additions + 1, roundings)


@singledispatch
def log_softmax_backward(y: Any, upstream: Any) -> Any:
    """dx = dy − exp(y) Σ dy over the last axis, from y = log_softmax(x); (..., O) → (..., O)."""
    return upstream - np.exp(y) * np.sum(upstream, axis=-1, keepdims=True)


@log_softmax_backward.register
def _(y: Ball, upstream: Any) -> Ball:
    """The formula, charged also for an implementation that differentiates its maximum.

    Such an implementation adds −Σ_j dx_j to the entry at the maximum.  This sum is zero except for
    the errors of each dx_j.  These errors are added to that entry, and it is charged as if all
    terms of the sum had been added to it.
    """
    p, share, R, dy = y.precision, softmax(y), y.radius, y.lift(upstream)
    n, f, r = y.shape[-1], share.v, share.radius
    # The same bounds as Ball's own operations: Σ dy, its product with p, and the difference.
    total, m = _over_last(np.add, dy.v), _over_last(np.add, dy.magnitude)
    moved = None if dy.exact else _over_last(np.add, dy.radius)
    radius = charged(p, m, moved, p.charge(n, p.stores))
    far = np.abs(total) + radius
    v, r = f * total, r * far + f * radius
    m = np.abs(v) + r + dy.magnitude
    if dy.r is not None:
        r = r + dy.r
    top = y.v + R >= _over_last(np.maximum, y.v - R)
    r, m = (part + top * _over_last(np.add, part) for part in (r, m))
    return Ball(dy.v - v, p, r, m, n + dy.products, 1 + dy.additions, max(1, dy.roundings))
