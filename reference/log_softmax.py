"""log softmax over the last axis, for real and complex arrays, with its rule for Balls."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from .ball import Ball
from .formats import gamma


@singledispatch
def log_softmax(x: Any) -> Any:
    """y_i = x_i − log Σⱼ exp(x_j) over the last axis; x (..., O) → (..., O).

    Computed as d − log Σ exp(d) with d = x − max x, which cannot overflow.
    """
    d = x - np.max(np.real(x), axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


@log_softmax.register
def _(x: Ball) -> Ball:
    """The argument's radius, then the rounding of either order of subtraction.

    ∂y_i/∂x_j = δ_ij − p_j with p ≥ 0, Σp = 1, so |y_i(s) − y_i(v)| ≤ r_i + max_j r_j.

    A correct implementation with n terms forms d_j = x_j − m with m the maximum, e_j = exp(d_j),
    t = Σ e_j ≥ 1 in any order, L = log t, and (x_i − m) − L or x_i − (m + L).  It may store each
    of them, so every one is charged w = u_accumulation, and u beside where storage is another
    format.  Then e_j has relative error w|d_j| + w and 2·ulps·u_accumulation of its own, as in
    `Ball.tanh`; t has γₙ, w and n underflows beside; L has ρ/(1−ρ) from a relative error ρ of t
    and its own; and d_i, m, m + L and y_i are rounded.  Magnitudes are taken at the far end of
    the argument's ball.
    """
    p, r = x.precision, x.radius
    w, n = p.u_accumulation + p.stores * p.u, x.v.shape[-1]
    ulps = 2.0 * p.ulps * p.u_accumulation
    y = log_softmax(x.v)
    with np.errstate(all="ignore"):
        widest = np.max(r, axis=-1, keepdims=True)
        m = np.max(np.abs(x.v) + r, axis=-1, keepdims=True)
        d = np.abs(x.v - np.max(x.v, axis=-1, keepdims=True)) + r + widest
        share = np.exp(np.minimum(y + r + widest, 0.0))  # e_j / t
        relative = np.sum(share * (w * d + w + ulps), axis=-1, keepdims=True)
        rho = gamma(n, p.u_accumulation) + w + relative + n * p.accumulation.eta
        log_t = np.log(float(n))  # 0 ≤ L ≤ log n
        own = rho / (1.0 - rho) + (ulps + w) * log_t + p.accumulation.eta
        own = own + w * (d + m + log_t + np.abs(y))
        # exp(ε) − 1 ≤ 2ε for the small ε of the exponents, and every charge above is one of these.
        radius = np.where(rho < 0.5, r + widest + 2.0 * own, np.inf)
        radius = radius + 0.0 * widest
    return Ball(y, p, radius, roundings=p.stores)


@singledispatch
def log_softmax_backward(y: Any, upstream: Any) -> Any:
    """dx = dy − exp(y) Σ dy over the last axis, from y = log_softmax(x); (..., O) → (..., O)."""
    return upstream - np.exp(y) * np.sum(upstream, axis=-1, keepdims=True)


@log_softmax_backward.register
def _(y: Ball, upstream: Any) -> Ball:
    """The softmax p = exp(y) as y's ball has it, and a maximum that is not cut from the graph.

    y's radius R is charged for every rounding of x − m, exp and log, which are those of a softmax
    formed as e/Σe too; so p̃ = p·e^δ with |δ| ≤ R, and the exponential or the quotient rounds once
    more.  Where an implementation differentiates its maximum as well, the entry at the maximum
    gains −Σ_j dx_j, which is zero but for the errors of each dx_j: those are added there, and the
    entry is charged as if all their terms had been summed on the way.
    """
    p = y.precision
    f = np.exp(y.v)
    r = f * np.expm1(y.radius) + (2.0 * p.ulps * p.u_accumulation + p.u) * f + p.storage.eta
    share = Ball(f, p, r, roundings=p.stores)
    dy: Any = upstream if isinstance(upstream, Ball) else y._lift(upstream)
    dx = dy - share * np.sum(dy, axis=-1, keepdims=True)
    top = y.v + y.radius >= np.max(y.v - y.radius, axis=-1, keepdims=True)
    m, own = dx.magnitude, np.zeros_like(f) if dx.r is None else dx.r
    around, errors = (np.where(top, np.sum(a, axis=-1, keepdims=True), 0.0) for a in (m, own))
    return Ball(
        dx.v,
        p,
        own + errors,
        m + 2.0 * around,
        products=dx.products + f.shape[-1],
        additions=dx.additions,
        roundings=dx.roundings,
    )
