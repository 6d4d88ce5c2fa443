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

    A correct implementation with n terms forms d_j = x_j − m with m the maximum (error u|d_j|),
    e_j = exp(d_j) (relative error u|d_j| from d_j and 2·ulps·u its own, as in `Ball.tanh`),
    t = Σ e_j ≥ 1 in any order (γₙ and n underflows), L = log t (error ρ/(1−ρ) from a relative
    error ρ of t, and 2·ulps·u·L its own), and then (x_i − m) − L or x_i − (m + L), which round
    d_i, m + L and y_i.  Magnitudes are taken at the far end of the argument's ball.
    """
    p, r = x.precision, x.radius
    u, n = p.u_accumulation, x.v.shape[-1]
    y = log_softmax(x.v)
    with np.errstate(all="ignore"):
        widest = np.max(r, axis=-1, keepdims=True)
        m = np.max(np.abs(x.v) + r, axis=-1, keepdims=True)
        d = np.abs(x.v - np.max(x.v, axis=-1, keepdims=True)) + r + widest
        share = np.exp(np.minimum(y + r + widest, 0.0))  # e_j / t
        relative = np.sum(share * (u * d + 2.0 * p.ulps * u), axis=-1, keepdims=True)
        rho = gamma(n, u) + relative + n * p.accumulation.eta
        log_t = np.log(float(n))  # 0 ≤ L ≤ log n
        own = rho / (1.0 - rho) + 2.0 * p.ulps * u * log_t + p.accumulation.eta
        own = own + u * (d + m + log_t + np.abs(y))
        # exp(ε) − 1 ≤ 2ε for the small ε of the exponents, and every charge above is one of these.
        radius = np.where(rho < 0.5, r + widest + 2.0 * own, np.inf)
        radius = radius + 0.0 * widest
    return Ball(y, p, radius, roundings=p.stores)
