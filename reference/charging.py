"""What operations on Balls charge: the radius of a sum, and what a matrix product flushes."""

from __future__ import annotations

import numpy as np

from .formats import FLOAT64, SLACK, Array, Charge, Precision


def charged(
    p: Precision, m: Array, r: Array | None, charge: Charge, floor: Array | None = None
) -> Array:
    """Radius of a sum of magnitude m and propagated radius r; `floor` replaces `charge.floor`."""
    # A partial sum past the largest number may be infinite in a correct implementation.
    scaled = m * charge.scale
    radius: Array = scaled * charge.rate
    # Underflow can lose at most m, so a sum of zeros loses nothing.
    lost = np.minimum(scaled, charge.floor if floor is None else floor)
    if p.storage is FLOAT64:
        lost += lost  # `scale` is about 1 here: below the floor, a term may be lost and rounded
    radius += lost
    if r is not None:
        radius += r
    return radius


#: |value| and radius; None is a radius of 0.
Factor = tuple[Array, "Array | None"]


def flushed(p: Precision, a: Factor, b: Factor) -> Array | None:
    """What the matrix product a @ b loses where it takes subnormal entries of a factor as zeros.

    A CPU's products of 16 bits do so (Intel SDM, VDPBF16PS: denormals are zero).  The floor of a
    charge covers it where the other factor is at most 1, but not where that is large.  None where
    nothing is lost beyond the floor.
    """
    lost: Array | None = None
    for (own, radius), (others, others_radius), second in ((a, b, False), (b, a, True)):
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
