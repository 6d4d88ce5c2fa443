"""Rules of Balls for reductions: the mean, the variance, running sums, layer norm and RMS norm.

n is the number of terms, u that of accumulation, A = max|x| over them, and σ² their variance.

**Mean.**  A mean of n terms has n−1 additions and one division by n, or a product with 1/n, which
is rounded itself.  The sum, 1/n and the mean may be stored.

**Variance.**  Two forms are covered.
- *Two passes*, Σ(x−m)²/n with a mean that is off by e: Σ(x−m−e)² = Σ(x−m)² + n e².
- *Running* (Welford 1962), or merged from chunks (Chan, Golub & LeVeque 1983), where the smaller
  part is added to the larger one: from parts of a ≥ b terms, with w = ab/(a+b) and δ the difference
  of their means, m ← m_a + δ b/(a+b) and M ← M_a + M_b + δ²w, at last σ² = M/n.  Σδ²w = nσ², and
  Σw ≤ nL with L = max(1, log₂n/2), since each term is in the smaller part of at most log₂n merges.
  - Each new mean is rounded once, off by uA, and averages the errors of its parts.  By induction
    over the merges that gives (n+1)/2·uA in all.
  - What is added to a mean is rounded three times.  As b ≤ 2w, n times what this adds to the error
    of the mean is at most 3uΣ2w|δ| ≤ 6u·nσ√L, by Cauchy–Schwarz.
  - A part of k terms with the sum of squares M_k is off by 6u√(L M_k/k) for the same reason, and
    w ≤ b.  So Σ w(e_a + e_b)² ≤ 4·36u²L·nσ²·(1 + log₂n), where 1 + log₂n ≤ 3L.  With
    E = u((n/2+1)A + 24σ√L) for the error of each δ, Σ w|δ|·error ≤ nσ√L·E.
  - Welford multiplies the difference from the old mean by that from the new one, which is
    (1−1/k)δ ≥ δ/2, so each δ²w is off by 3w(|δ|E + E²), and σ² by 3Eσ√L + 3E²L.
Each square passes at most n+8 roundings: two of its difference, its own, three of w or 1/n and the
product with it, and the additions.

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
    v, radius = _variance(a, axis)
    if not keepdims:
        v, radius = (np.squeeze(part, axis=axis) for part in (v, radius))
    return settled_ball(a.precision, v, radius)


def _variance(a: Ball, axis: Axis) -> tuple[Array, Array]:
    """Value and radius of the variance, with its axes kept."""
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
    root, spread = np.sqrt(far), max(1.0, 0.5 * math.log2(n))
    apart = p.u_accumulation * ((0.5 * n + 1.0) * most + 24.0 * math.sqrt(spread) * root)
    running = 3.0 * apart * (math.sqrt(spread) * root + spread * apart)
    by_mean = np.maximum(running, _mean_error(p, n, average_size) ** 2)
    # A difference may be stored, and so may the square, the sum, 1/n and the mean.
    rate = gamma(n + 8, p.u_accumulation) + p.stores * gamma(6, p.u)
    floor = UNDERFLOW_SLACK * (4.0 * p.storage.eta + n * p.accumulation.eta)
    radius = moved + SLACK * (by_mean + rate * (far + by_mean) + np.minimum(most, floor))
    # The sum of the terms, and that of the squares, must not pass the largest number.
    return v, _bounded(p, n * np.maximum(average_size, 2.0 * (far + radius)), radius)


def _mean_error(p: Precision, n: int, average_size: Array) -> Array:
    """Error of a mean from the sum of n terms, whose sizes have this average."""
    rate = gamma(n + 1, p.u_accumulation) + p.stores * gamma(3, p.u)
    floor = UNDERFLOW_SLACK * (3.0 * p.stores * p.storage.eta + n * p.accumulation.eta)
    error: Array = SLACK * (rate * average_size + np.minimum(average_size, floor))
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
    v, radius = _variance(x, -1)
    s, rs = _scale(p, v, radius, eps)
    # Of x − m: its argument's radius, and the error of a running mean or of one from the sum.
    root = np.sqrt(max(1.0, 0.5 * math.log2(n)) * (v + radius))
    running = p.u_accumulation * (0.5 * (n + 1) * most + 6.0 * root)
    e = np.maximum(SLACK * running, _mean_error(p, n, far_m))
    rd = r + np.mean(r, axis=-1, keepdims=True) + e
    d, far = x.v - m, x.absolute + far_m + rd
    moved = rd * (s + rs) + np.abs(d) * rs
    return _affine(x, d * s, moved, (far, s + rs), weight, bias)


@rms_norm.register
def _(x: Ball, weight: Any = None, eps: float = 1e-5) -> Ball:
    """x·s∘w with s = 1/√(mean x² + eps), or x/√(…), in every order of its products."""
    p, r = x.precision, x.radius
    n, far = x.shape[-1], x.absolute + r
    v = np.mean(x.v * x.v, axis=-1, keepdims=True)
    moved = np.mean(r * (2.0 * x.absolute + r), axis=-1, keepdims=True)
    rate = gamma(n + 3, p.u_accumulation) + p.stores * gamma(4, p.u)
    floor = UNDERFLOW_SLACK * (4.0 * p.storage.eta + n * p.accumulation.eta)
    radius = moved + SLACK * (rate * (v + moved) + floor)
    s, rs = _scale(p, v, _bounded(p, 2.0 * n * (v + radius), radius), eps)
    moved = r * (s + rs) + x.absolute * rs
    return _affine(x, x.v * s, moved, (far, s + rs), weight, None)


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
