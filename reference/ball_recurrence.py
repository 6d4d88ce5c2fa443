"""Rules of Balls for the recurrences of BPTT: one rule for a whole step, as in `ball_cells`.

A rule holds only for exact weights, and only while no partial product may be past the largest
number.  Otherwise the recurrence is computed with Ball's own operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .ball_core import Ball, charged, settled_ball
from .ball_matmul import dot, flushed
from .formats import Array, Precision
from .recurrence import Loop, Running, linear, lstm
from .slopes import NESTED

#: Value, radius and magnitude of a sum that is not charged yet.
Sum = tuple[Array, Array, Array]


def _term(v: Array, radius: Array) -> Sum:
    return v, radius, np.abs(v) + radius


def _back_through(p: Precision, v: Array, radius: Array, w: Ball) -> Sum:
    """v W for an exact W, as `matmul` computes it."""
    own = np.abs(v)
    r, m = dot(radius, w.absolute), dot(own + radius, w.absolute)
    if p.u_products:
        r = r + p.u_products * m
    lost = flushed(p, (own, radius), (w.absolute, None), span_b=w.span)
    if lost is not None:
        r = r + lost
    return v @ w.v, r, m


class _Factors:
    """The factors of all steps.  Products with an adjoint are charged as by `slopes.product`."""

    def __init__(self, factors: Ball) -> None:
        self.p = factors.precision
        self.v, self.absolute, self.radius = factors.v, factors.absolute, factors.radius
        self.reach = factors.reach
        self.charge = self.p.charge(0, 1, NESTED)
        self.floors = None if self.reach is None else self.charge.floor * self.reach
        self.far: list[Array] = []

    def times(self, t: int, d: Array, radius: Array) -> tuple[Sum, Array]:
        """factors_t ∘ d and its radius.  With large factors it is charged before any addition."""
        far = np.abs(d) + radius
        v = self.v[t] * d
        r = self.radius[t] * far
        r += self.absolute[t] * radius
        m = np.abs(v) + r
        if self.floors is None:
            return (v, r, m), charged(self.p, m, r, self.charge)
        self.far.append(far)
        r = charged(self.p, m, r, self.charge, self.floors[t])
        return _term(v, r), r

    def overflows(self) -> bool:
        """Whether a partial product of large factors and an adjoint may be infinite."""
        if self.reach is None:
            return False
        span = np.max(self.reach) * np.maximum(1.0, np.max(np.array(self.far)))
        return not span < 0.25 * self.p.storage.largest  # also True for NaN


class _Carried:
    """The sum that a step passes on to the step before it in time, and how it is charged.

    `counts` are the products, the additions and roundings, and the underflows of the sum that a
    step gives.  While `stands` is true they do not apply, because the radius is final: the sum is
    the upstream gradient itself, or it was charged already.
    """

    def __init__(self, p: Precision, d: Any, counts: tuple[int, int, int]) -> None:
        self.p, (products, stored, underflows) = p, counts
        self.sum: Sum | None = None if d is None else _term(d.v, d.radius)
        self.stands = True
        self.alone = p.charge(*counts) if products or stored else None
        self.with_term = p.charge(products, stored + 1, underflows)

    def radius(self) -> Array:
        """The radius, as `Ball.radius`."""
        assert self.sum is not None
        _, r, m = self.sum
        return r if self.stands or self.alone is None else charged(self.p, m, r, self.alone)

    def leave(self, new: Sum, rows: Running | None, held: Sum) -> None:
        """Store the sum that a step gives; rows that do not run get `held` (see `Loop.held`)."""
        self.sum, self.stands = new, False
        if rows is not None:
            v, r, m = (
                np.where(rows, a, b)
                for a, b in zip(_term(new[0], self.radius()), held, strict=True)
            )
            self.sum, self.stands = (v, r, m), True

    def ball(self) -> Ball:
        """The adjoint of the initial state, after the loop has passed step 0."""
        assert self.sum is not None
        return settled_ball(self.p, self.sum[0], self.radius())


class _Arrivals:
    """dh_t and its radius: the sum that step t+1 passed on, plus the upstream gradient at t."""

    def __init__(self, carried: _Carried, loop: Loop) -> None:
        self.carried, self.p = carried, carried.p
        self.upstream: Ball | None = loop.upstream
        self.once = self.p.charge(0, 1)
        if self.upstream is not None:
            self.v, self.radius = self.upstream.v, self.upstream.radius
            self.m = self.upstream.absolute + self.radius

    def at(self, t: int) -> tuple[Array, Array]:
        """dh_t and its radius, as in `Loop.arriving`."""
        dh = self.carried
        if self.upstream is None:
            assert dh.sum is not None  # dh or the upstream gradient is always given
            return dh.sum[0], dh.radius()
        if dh.sum is None:
            return self.v[t], self.radius[t]
        v, r, m = dh.sum
        charge = self.once if dh.stands else dh.with_term
        return v + self.v[t], charged(self.p, m + self.m[t], r + self.radius[t], charge)


def _fits(*weights: Any) -> bool:
    """Whether the rules below hold: every weight is an exact Ball or None."""
    return all(w is None or (isinstance(w, Ball) and w.exact) for w in weights)


def _stacked(p: Precision, parts: list[tuple[Array, Array]]) -> Ball:
    return settled_ball(p, *(np.array(part) for part in zip(*parts, strict=True)))


@linear.register
def _(factors: Ball, w: Any, gates: int, loop: Loop, dh: Any) -> tuple[Any, Any, Any]:
    if not _fits(w):
        return linear.dispatch(object)(factors, w, gates, loop, dh)
    p, (time, _, width), (rows, size) = factors.precision, factors.shape, w.shape
    keeps, summed = width > rows, (gates - 1) * p.stores
    # The blocks of a row get their own axis, and dh is broadcast along it.
    f = _Factors(factors if width == size else factors.reshape(time, -1, width // size, size))
    counts = (rows, summed + keeps + max(keeps, p.stores), NESTED * keeps)
    if keeps and f.reach is not None:
        counts = (0, 1, 0)  # both terms are charged before the addition
    product = p.charge(rows, summed + p.stores)
    carried = _Carried(p, dh, counts)
    arrivals = _Arrivals(carried, loop)
    ds: list[Any] = [None] * time
    das: list[Any] = [None] * time
    for t in range(time - 1, -1, -1):
        d, radius = ds[t] = arrivals.at(t)
        if width == size:
            (v, r, m), radius = f.times(t, d, radius)
        else:
            (v, r, m), radius = f.times(t, d[:, None], radius[:, None])
            v, r, m, radius = (part.reshape(-1, width) for part in (v, r, m, radius))
        a = das[t] = v[:, :rows], radius[:, :rows]
        new = _back_through(p, *a, w)
        if keeps:
            if f.reach is not None:
                new = _term(new[0], charged(p, new[2], new[1], product))
            new = new[0] + v[:, rows:], new[1] + r[:, rows:], new[2] + m[:, rows:]
        running = loop.rows(t)
        carried.leave(new, running, new if running is None else _term(*ds[t]))
    if f.overflows():
        return linear.dispatch(object)(factors, w, gates, loop, dh)
    return _stacked(p, ds), _stacked(p, das), carried.ball()


@lstm.register
def _(
    factors: Ball, through_c: Ball, w_hh: Any, w_hr: Any, loop: Loop, last: tuple[Any, Any]
) -> tuple[Any, Any, tuple[Any, Any]]:
    if not _fits(w_hh, w_hr) or through_c.reach is not None:
        return lstm.dispatch(object)(factors, through_c, w_hh, w_hr, loop, last)
    p, time, rows = factors.precision, len(factors), len(w_hh)
    f, by_c = _Factors(factors), _Factors(through_c)
    carried = _Carried(p, last[0], (rows, 3 * p.stores + p.stores, 0))
    cell = _Carried(p, last[1], (0, 1, NESTED) if f.reach is None else (0, 0, 0))
    arrivals = _Arrivals(carried, loop)
    projected = None if w_hr is None else p.charge(len(w_hr), p.stores)
    once, twice = p.charge(0, 2, NESTED), p.charge(0, 2, 2 * NESTED)
    ds: list[Any] = [None] * time
    das: list[Any] = [None] * time
    for t in range(time - 1, -1, -1):
        d, radius = ds[t] = arrivals.at(t)
        if projected is not None:
            d, r, m = _back_through(p, d, radius, w_hr)
            radius = charged(p, m, r, projected)
        (c, r, m), c_radius = by_c.times(t, d, radius)
        held, running = cell.sum, loop.rows(t)
        if held is not None:
            charge = once if cell.stands else twice
            if f.reach is not None and t < time - 1:
                # dc was charged already, with its large factors; so charge the other term too.
                (_, r, m), charge = _term(c, c_radius), arrivals.once
            c, c_radius = c + held[0], charged(p, m + held[2], r + held[1], charge)
            held = held if running is None else _term(held[0], cell.radius())
        wide = np.concatenate((c, c, c, d, c), axis=-1)
        wide_radius = np.concatenate((c_radius, c_radius, c_radius, radius, c_radius), axis=-1)
        (v, r, m), radius = f.times(t, wide, wide_radius)
        a = das[t] = v[:, :rows], radius[:, :rows]
        new = _back_through(p, *a, w_hh)
        carried.leave(new, running, new if running is None else _term(*ds[t]))
        new = v[:, rows:], r[:, rows:], m[:, rows:]
        cell.leave(new, None if held is None else running, new if held is None else held)
    if f.overflows():
        return lstm.dispatch(object)(factors, through_c, w_hh, w_hr, loop, last)
    return _stacked(p, ds), _stacked(p, das), (carried.ball(), cell.ball())
