"""The matrix product of Balls, and its charge for subnormal factors (theory: `ball`)."""

from __future__ import annotations

import numpy as np

from .ball_core import UFUNCS, Ball
from .formats import SLACK, Array, Precision


def matmul(a: Ball, b: Ball) -> Ball:
    """a @ b over an inner length n; γₙ holds for every order of summation (Higham, §3.1)."""
    p = a.precision
    abs_a, abs_b = a.absolute, b.absolute
    r: Array | None = None
    if a.exact:
        m = dot(abs_a, abs_b)
        if not b.exact:
            r = dot(abs_a, b.radius)
            m = m + r
    else:
        far = abs_b if b.exact else abs_b + b.radius
        r = dot(a.radius, far)
        m = dot(abs_a + a.radius, far)
        if not b.exact:
            r = r + dot(abs_a, b.radius)
    if p.u_products:
        rounded = p.u_products * m
        r = rounded if r is None else r + rounded
    ra, rb = (None if x.exact else x.radius for x in (a, b))
    spans = tuple(x.span if x.exact else None for x in (a, b))
    lost = flushed(p, (abs_a, ra), (abs_b, rb), *spans)
    if lost is not None:
        r = lost if r is None else r + lost
    return Ball(a.v @ b.v, p, r, m, a.v.shape[-1], 0, p.stores)


#: |value| and radius; None is a radius of 0.
Factor = tuple[Array, "Array | None"]


#: `Ball.span` of an exact factor, or None.
Span = tuple[bool, bool] | None


def flushed(
    p: Precision, a: Factor, b: Factor, span_a: Span = None, span_b: Span = None
) -> Array | None:
    """What the matrix product a @ b loses where it takes subnormal entries of a factor as zeros.

    A CPU's products of 16 bits do so (Intel SDM, VDPBF16PS: denormals are zero).  The floor of a
    charge covers it where the other factor is at most 1, but not where that is large.  None where
    nothing is lost beyond the floor.
    """
    lost: Array | None = None
    for (own, radius), (others, others_radius), span, others_span, second in (
        (a, b, span_a, span_b, False),
        (b, a, span_b, span_a, True),
    ):
        if (span is not None and not span[1]) or (others_span is not None and not others_span[0]):
            continue
        large = others if others_radius is None else others + others_radius
        if not (large > 1.0).any():
            continue
        low, far = (own, own) if radius is None else (own - radius, own + radius)
        small = (low < p.storage.eta) & (far > 0.0)
        if not small.any():
            continue
        entries = np.where(small, np.minimum(far, p.storage.eta), 0.0)
        part = SLACK * (dot(large, entries) if second else dot(entries, large))
        lost = part if lost is None else lost + part
    return lost


def dot(a: Array, b: Array) -> Array:
    """a @ b, by the call that has the least overhead."""
    if b.ndim == 2 and a.ndim > 1:
        if a.ndim == 2:
            return a.dot(b)
        return a.reshape(-1, a.shape[-1]).dot(b).reshape(*a.shape[:-1], b.shape[-1])
    return a @ b


UFUNCS[np.matmul] = matmul
