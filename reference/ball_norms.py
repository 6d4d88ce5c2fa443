"""Rules of Balls for reductions: the mean, the variance, running sums, layer norm and RMS norm.

n is the number of terms, u that of accumulation, A = max|x| over them, and σ² their variance.

**Mean.**  A mean of n terms has n−1 additions and one division by n, or a product with 1/n, which
is rounded itself.  The sum, 1/n and the mean may be stored.

**Variance.**  Two forms are covered.
- *Two passes*, Σ(x−m)²/n with a mean that is off by e: Σ(x−m−e)² = Σ(x−m)² + n e².
- *Running* (Welford 1962), or merged from chunks (Chan, Golub & LeVeque 1983), where the smaller
  part is added to the larger one: from parts of a ≥ b terms, with w = ab/(a+b) and δ the difference
  of their means, m ← m_a + δ b/(a+b) and M ← M_a + M_b + δ²w, at last σ² = M/n.  M = Σδ²w = nσ².
  - The error e of a mean is the average of those of its parts and two more.  The new mean is
    rounded once, by uA.  In a part of k terms these make uA Σ(a+b)/k ≤ uA ((k+1)/2 − 1/k).
  - What is added is rounded three times, 3u|δ|b/(a+b), which makes 3uΣb|δ|/k.  By Cauchy–Schwarz
    that is at most 3u√(log₂k M_k/k): Σb²/w ≤ k log₂k, since b²/w = b(1 + b/a) is at most
    a log₂((a+b)/a) + b log₂((a+b)/b), with equality for a = b.
  - e_a + e_b moves δ, so M by at most 2Σw|δ|(e_a+e_b) + Σw(e_a+e_b)².  Welford multiplies the
    difference from the old mean by that from the new one, (1−1/k)δ ≥ δ/2.  So in both ways M moves
    by at most 3Σw(|δ|E + E²) ≤ 3(√M R + R²), where E is the larger of e_a + e_b and the error of
    the new mean, and R² = ΣwE².
  - Of the first part of e, E ≤ 1.125 uA(a+b)/2, and Σw(a+b)² = (n³−n)/3.  So its R is at most
    0.325 uA n√n.
  - Of the second, w E² ≤ 18u² log₂n (M_a b + M_b a + δ²w/2)/(a+b).  Each δ²w is in parts that grow
    from 2 terms to n, and 1 − s/s' ≤ log(s'/s).  So R² ≤ 18u² log₂n (log(n/2) + ½) nσ².
  With ρ = R/√n, σ² is off by 3ρ(σ + ρ).  A δ that is off by E adds less than 4nu of each part.
Each square passes at most n+8 roundings: two of its difference, its own, three of w or 1/n and the
product with it, and the additions.

**Norms.**  y = d∘s with d = x − m and s = 1/√(v + ε), v = mean d².  Where x moves by δ, |δ| ≤ r,
d moves by e = δ − mean δ and v by Δ = 2 mean(d∘e) + mean e², and s' − s = −Δ g(s') with
g(t) = s²t²/(s+t), g(s) = s³/2.  So
    y' − y = [e s − d s³ mean(d∘e)] + e (s' − s) − d (mean e²·g(s') + 2 mean(d∘e)(g(s') − g(s))).
The bracket is linear in δ, with the matrix s(δ_ij − 1/n − ŷ_i ŷ_j/n), ŷ = d s: in a norm of few
units most of what x moves is lost in it.  The rest is of second order.  For RMS norm m is 0 and the
matrix has no 1/n.  What a norm itself rounds is charged for the x that moved.

E[x²] − E[x]² has no rule: it cancels, and is off by γ·E[x²], which may be any multiple of σ².  Who
means that form writes it in these operations, and is charged for it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .ball_core import FUNCTIONS, Ball, charged, settled_ball
from .ball_elementwise import ulps_rate
from .formats import SLACK, UNDERFLOW_SLACK, Array, Precision, gamma
from .functions import layer_norm, rms_norm

Axis = Any


def _count(a: Ball, v: Array) -> int:
    return a.v.size // max(v.size, 1)


def _bounded(p: Precision, size: Array, r: Array) -> Array:
    """r where values of this size cannot pass the largest number, and else infinity."""
    room = p.storage.largest / (1.0 + 2.0**-4)
    return np.where(size < room, r, np.inf)


def mean(a: Ball, axis: Axis = None, keepdims: bool = False) -> Ball:
    """The mean over axes, with the roundings of the module."""
    p = a.precision
    v = np.mean(a.v, axis=axis, keepdims=keepdims)
    n = _count(a, v)
    m = np.mean(a.magnitude, axis=axis, keepdims=keepdims)
    r = np.zeros_like(v) if a.exact else np.mean(a.radius, axis=axis, keepdims=keepdims)
    # The sum itself may pass the largest number.
    return Ball(np.asarray(v), p, _bounded(p, m * n, r), np.asarray(m), n, 0, 1 + 2 * p.stores)


def variance(a: Ball, axis: Axis = None, keepdims: bool = False, **options: Any) -> Ball:
    """The mean of the squared differences from the mean, by two passes or by a running sum."""
    if options:
        raise TypeError(f"np.var of Balls has no rule with {', '.join(options)}")
    v, moved, own = _variance(a, axis)
    radius = moved + own
    if not keepdims:
        v, radius = (np.squeeze(part, axis=axis) for part in (v, radius))
    return settled_ball(a.precision, v, radius)


def _variance(a: Ball, axis: Axis) -> tuple[Array, Array, Array]:
    """The variance with its axes kept, how far its argument moves it, and what it rounds itself."""
    p, x, r = a.precision, a.v, a.radius

    def average(part: Array) -> Array:
        return np.mean(part, axis=axis, keepdims=True)

    d = x - average(x)
    v = average(d * d)
    n, size = _count(a, v), a.absolute + r
    # var(x+δ) = var x + 2 mean(d∘δ) + var δ, so far without any rounding.
    moved = 2.0 * average(np.abs(d) * r) + average(r * r)
    far = v + moved
    most, average_size = np.max(size, axis=axis, keepdims=True), average(size)
    root = np.sqrt(far)
    apart = _running(p, n, 0.325 * n * most, root, 18.0 * (math.log(max(n, 2) / 2.0) + 0.5))
    running = 3.0 * apart * (root + apart)
    by_mean = np.maximum(running, _mean_error(p, n, average_size) ** 2)
    # A difference may be stored, and so may the square, the sum, 1/n and the mean.
    rate = gamma(n + 8, p.u_accumulation) + p.stores * gamma(6, p.u)
    floor = UNDERFLOW_SLACK * (4.0 * p.storage.eta + n * p.accumulation.eta)
    own = SLACK * (by_mean + rate * (far + by_mean) + np.minimum(most, floor))
    # The sum of the terms, and that of the squares, must not pass the largest number.
    room = n * np.maximum(average_size, 2.0 * (far + moved + own))
    return v, moved, _bounded(p, room, own)


def _mean_error(p: Precision, n: int, average_size: Array) -> Array:
    """Error of a mean from the sum of n terms, whose sizes have this average."""
    rate = gamma(n + 1, p.u_accumulation) + p.stores * gamma(3, p.u)
    floor = UNDERFLOW_SLACK * (3.0 * p.stores * p.storage.eta + n * p.accumulation.eta)
    error: Array = SLACK * (rate * average_size + np.minimum(average_size, floor))
    return error


def _running(p: Precision, n: int, most: Array, root: Array, squared: float) -> Array:
    """u·(most + σ√(squared·log₂n)) of n terms, with what is of second order (see the module)."""
    u, deviations = p.u_accumulation, math.sqrt(squared * math.log2(max(n, 1)))
    error: Array = u * (1.0 + 4.0 * n * u) * (most + deviations * root)
    return error


def cumsum(a: Ball, axis: int | None = None) -> Ball:
    """Running sums along an axis: the k-th passes at most k−1 additions in accumulation."""
    if axis is None:
        raise TypeError("np.cumsum of Balls needs an axis")
    p = a.precision
    v, m, r = (np.cumsum(part, axis=axis) for part in (a.v, a.magnitude, a.radius))
    radius = np.empty_like(v)
    ends, sizes, moved = (np.moveaxis(part, axis, 0) for part in (radius, m, r))
    for k in range(len(ends)):
        ends[k] = charged(p, sizes[k], moved[k], p.charge(k, p.stores)) if k else moved[k]
    return settled_ball(p, v, radius)


def _scale(p: Precision, v: Array, radius: Array, eps: float) -> tuple[Array, Array]:
    """1/√(v + eps) and its radius, from v ≥ 0 and its radius.

    v + eps is rounded once, and so is eps.  Then the root and its inverse are within
    `Precision.ulps`, which covers a library's rsqrt, and each may be stored.
    """
    w = p.u_accumulation + p.stores * p.u
    inner = v + eps
    off = SLACK * (radius + w * (inner + radius + eps) + UNDERFLOW_SLACK * p.storage.eta)
    low = inner - off
    f = 1.0 / np.sqrt(inner)
    # 1/√low − 1/√inner = off/(√low √inner (√low + √inner)): nothing cancels.
    root, near = np.sqrt(inner), np.sqrt(np.where(low >= p.storage.eta, low, np.nan))
    moved = np.where(low >= p.storage.eta, off / (root * near * (root + near)), np.inf)
    rate = ulps_rate(p) + 2.0 * p.stores * p.u
    own = SLACK * (rate * (f + moved) + UNDERFLOW_SLACK * p.storage.eta)
    return f, moved + own


#: The most terms of a norm whose matrix is used: it has as many rows and columns.
_MATRIX = 64


def _propagated(
    d: Array, r: Array, q: Array, v: Array, mv: Array, eps: float, centred: bool
) -> tuple[Array, Array]:
    """How far d∘s goes where x moves by at most r, d by q and v by mv; and the lowest v."""
    n = d.shape[-1]
    slack = (n + 16.0) * 2.0**-52  # of these lines, in float64
    least = np.maximum(v * (1.0 - slack) - mv, 0.0)
    s, t, low = (1.0 / np.sqrt(a + eps) for a in (v, least, v * (1.0 + slack) + mv))
    apart = np.maximum(t - s, s - low) + slack * t
    moved = q * t + np.abs(d) * apart
    if n <= _MATRIX:
        hat = d * s
        matrix = np.abs(np.eye(n) - (centred + hat[..., :, None] * hat[..., None, :]) / n)
        first = s * ((matrix + slack) @ r[..., None])[..., 0]
        at_s, at_t, at_low = (s * s * a * a / (s + a) for a in (s, t, low))
        bent = np.mean(r * r, axis=-1, keepdims=True) * at_t
        linear = 2.0 * np.mean(np.abs(d) * r, axis=-1, keepdims=True)
        bent = bent + linear * (np.maximum(at_t - at_s, at_s - at_low) + slack * at_t)
        moved = np.fmin(moved, first + q * apart + np.abs(d) * bent)
    moves = np.any(r > 0.0, axis=-1, keepdims=True)
    return np.where(moves, np.where(np.isnan(moved), np.inf, moved), 0.0), least


@layer_norm.register
def _(x: Ball, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Ball:
    """(x − m)·s∘w + b with s = 1/√(var + eps), in every order of its products and sums.

    (x−m)/√(…)∘w + b, (x−m)∘(s w) + b and x∘(s w) + (b − m∘(s w)) round each of the terms x s w,
    m s w and b at most four times, and s and m once each.
    """
    p, r = x.precision, x.radius
    n = x.shape[-1]
    m = np.mean(x.v, axis=-1, keepdims=True)
    far_m = np.mean(x.absolute + r, axis=-1, keepdims=True)
    most = np.max(x.absolute + r, axis=-1, keepdims=True)
    v, mv, own = _variance(x, -1)
    d, q = x.v - m, r + np.mean(r, axis=-1, keepdims=True)
    moved, least = _propagated(d, r, q, v, mv, eps, centred=True)
    t, rt = _scale(p, least, own, eps)
    # The error of a running mean, or of one from the sum.
    running = _running(p, n, (0.5 * (n + 1) - 1.0 / n) * most, np.sqrt(v + mv + own), 9.0)
    e = np.maximum(SLACK * running, _mean_error(p, n, far_m))
    moved = moved + e * (t + rt) + (np.abs(d) + q) * rt
    factors = x.absolute + far_m + q + e, t + rt
    return _affine(x, d / np.sqrt(v + eps), moved, factors, weight, bias)


@rms_norm.register
def _(x: Ball, weight: Any = None, eps: float = 1e-5) -> Ball:
    """x·s∘w with s = 1/√(mean x² + eps), or x/√(…), in every order of its products."""
    p, r = x.precision, x.radius
    n, far = x.shape[-1], x.absolute + r
    v = np.mean(x.v * x.v, axis=-1, keepdims=True)
    mv = np.mean(r * (2.0 * x.absolute + r), axis=-1, keepdims=True)
    rate = gamma(n + 3, p.u_accumulation) + p.stores * gamma(4, p.u)
    floor = UNDERFLOW_SLACK * (4.0 * p.storage.eta + n * p.accumulation.eta)
    own = SLACK * (rate * (v + mv) + floor)
    own = _bounded(p, 2.0 * n * (v + mv + own), own)
    moved, least = _propagated(x.v, r, r, v, mv, eps, centred=False)
    t, rt = _scale(p, least, own, eps)
    moved = moved + far * rt
    return _affine(x, x.v / np.sqrt(v + eps), moved, (far, t + rt), weight, None)


def _affine(
    like: Ball, y: Array, moved: Array, factors: tuple[Array, Array], weight: Any, bias: Any
) -> Ball:
    """y∘weight + bias, where y is known up to `moved` and is a product of `factors` in size.

    An underflow of a partial product is multiplied by at most the largest factor.  The product of
    any two factors may come first, so it must not pass the largest number.
    """
    p, (x, s) = like.precision, factors
    m, reach = x * s, np.maximum(1.0, np.maximum(x, s))
    if weight is not None:
        w = like.lift(weight)
        far = w.absolute + w.radius
        moved = moved * far + np.abs(y) * w.radius
        moved = _bounded(p, np.maximum(m, np.maximum(x, s) * far), moved)
        y, m, reach = y * w.v, m * far, np.maximum(reach, far)
    if bias is not None:
        b = like.lift(bias)
        y, m = y + b.v, m + b.absolute + b.radius
        moved = moved + b.radius
    charge = p.charge(0, 4)
    return settled_ball(p, y, charged(p, m, moved, charge, charge.floor * reach))


FUNCTIONS.update({np.mean: mean, np.var: variance, np.cumsum: cumsum})
