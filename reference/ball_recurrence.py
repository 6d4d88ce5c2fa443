"""Rules of Balls for the recurrences of backpropagation: a whole step at once, as in `ball_cells`.

A rule holds where the weights are exact; where they are not, Ball's own operations take over, and
so they do where a partial product may be past the largest number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .ball_core import Ball, charged, dot, settled_ball
from .formats import Array, Precision
from .recurrence import Loop, Running, linear, lstm
from .slopes import NESTED


class _Sum(NamedTuple):
    """A Ball's parts, without its methods: value, radius, magnitude, and what it is yet charged."""

    v: Array
    r: Array
    m: Array
    products: int = 0
    additions: int = 0
    roundings: int = 0
    underflows: int = 0

    def radius(self, p: Precision) -> Array:
        """As `Ball.radius`."""
        stored = self.additions + self.roundings
        if not (stored or self.products):
            return self.r
        return charged(p, self.m, self.r, p.charge(self.products, stored, self.underflows))

    def standing(self, p: Precision) -> _Sum:
        """As `Ball.settled`."""
        if not (self.additions or self.roundings or self.products):
            return self
        return _term(self.v, self.radius(p))

    def plus(self, other: _Sum) -> _Sum:
        """As `Ball.__add__`."""
        return _Sum(
            self.v + other.v,
            self.r + other.r,
            self.m + other.m,
            self.products + other.products,
            self.additions + other.additions + 1,
            max(self.roundings, other.roundings),
            self.underflows + other.underflows,
        )

    def columns(self, index: slice) -> _Sum:
        """As `Ball.__getitem__`, along the last axis."""
        v, r, m, *counts = self
        return _Sum(v[:, index], r[:, index], m[:, index], *counts)


def _term(v: Array, radius: Array) -> _Sum:
    return _Sum(v, radius, np.abs(v) + radius)


def _of(d: Any) -> _Sum | None:
    return None if d is None else _term(d.v, d.radius)


def _back_through(p: Precision, v: Array, radius: Array, w: Ball, gates: int) -> _Sum:
    """As `through`, for an exact w."""
    r, m = dot(radius, w.absolute), dot(np.abs(v) + radius, w.absolute)
    if p.u_products:
        r = r + p.u_products * m
    return _Sum(v @ w.v, r, m, len(w), (gates - 1) * p.stores, p.stores)


class _Factors:
    """Factors of all steps, whose products with an adjoint are charged as `product` charges."""

    def __init__(self, factors: Ball) -> None:
        self.p = factors.precision
        self.v, self.absolute, self.radius = factors.v, factors.absolute, factors.radius
        self.reach = factors.reach
        self.charge = self.p.charge(0, 1, NESTED)
        self.floors = None if self.reach is None else self.charge.floor * self.reach
        self.far: list[Array] = []

    def times(self, t: int, d: Array, radius: Array) -> tuple[_Sum, Array]:
        """factors_t ∘ d, and its radius; one with large factors is charged before it is added."""
        far = np.abs(d) + radius
        v = self.v[t] * d
        r = self.radius[t] * far
        r += self.absolute[t] * radius
        m = np.abs(v) + r
        if self.floors is None:
            return _Sum(v, r, m, 0, 0, 1, NESTED), charged(self.p, m, r, self.charge)
        self.far.append(far)
        r = charged(self.p, m, r, self.charge, self.floors[t])
        return _term(v, r), r

    def overflows(self) -> bool:
        """Whether a partial product of large factors and an adjoint may be infinite."""
        if self.reach is None:
            return False
        span = np.max(self.reach) * np.maximum(1.0, np.max(np.array(self.far)))
        return not span < 0.25 * self.p.storage.largest  # nor NaN


class _Arrivals:
    """dh_t and its radius: what came back from step t+1, and what the loss adds at t."""

    def __init__(self, p: Precision, loop: Loop) -> None:
        self.p = p
        self.upstream: Ball | None = loop.upstream
        if self.upstream is not None:
            self.v, self.radius = self.upstream.v, self.upstream.radius
            self.m = self.upstream.absolute + self.radius

    def at(self, t: int, dh: _Sum | None) -> tuple[Array, Array]:
        """As `Loop.arriving`."""
        if self.upstream is None:
            assert dh is not None  # one of them is always given
            return dh.v, dh.radius(self.p)
        if dh is None:
            return self.v[t], self.radius[t]
        dh = dh.plus(_Sum(self.v[t], self.radius[t], self.m[t]))
        return dh.v, dh.radius(self.p)


def _fits(*weights: Any) -> bool:
    """Whether the rules below hold: every weight is an exact Ball or None."""
    return all(w is None or (isinstance(w, Ball) and w.exact) for w in weights)


def _chosen(p: Precision, rows: Running, new: _Sum, held: _Sum) -> _Sum:
    """As `Loop.held`: each as the one term that it is once rounded and stored."""
    a, b = new.standing(p), held.standing(p)
    return _Sum(np.where(rows, a.v, b.v), np.where(rows, a.r, b.r), np.where(rows, a.m, b.m))


def _ball(p: Precision, x: _Sum | None) -> Ball:
    assert x is not None  # there is at least one step
    return settled_ball(p, x.v, x.radius(p))


def _stacked(p: Precision, parts: list[tuple[Array, Array]]) -> Ball:
    return settled_ball(p, *(np.array(part) for part in zip(*parts, strict=True)))


@linear.register
def _(factors: Ball, w: Any, gates: int, loop: Loop, dh: Any) -> tuple[Any, Any, Any]:
    if not _fits(w):
        return linear.dispatch(object)(factors, w, gates, loop, dh)
    p, (time, _, width), (rows, size) = factors.precision, factors.shape, w.shape
    state, f, arrivals = _of(dh), _Factors(factors), _Arrivals(p, loop)
    kept = slice(rows, width)
    ds: list[Any] = [None] * time
    das: list[Any] = [None] * time
    for t in range(time - 1, -1, -1):
        d, radius = ds[t] = arrivals.at(t, state)
        if width > size:
            d, radius = (np.concatenate((a,) * (width // size), axis=-1) for a in (d, radius))
        back, radius = f.times(t, d, radius)
        a = das[t] = back.v[:, :rows], radius[:, :rows]
        state = _back_through(p, *a, w, gates)
        if width > rows:
            state = back.columns(kept).plus(state if f.reach is None else state.standing(p))
        running = loop.rows(t)
        if running is not None:
            state = _chosen(p, running, state, _term(*ds[t]))
    if f.overflows():
        return linear.dispatch(object)(factors, w, gates, loop, dh)
    return _stacked(p, ds), _stacked(p, das), _ball(p, state)


@lstm.register
def _(
    factors: Ball, through_c: Ball, w_hh: Any, w_hr: Any, loop: Loop, last: tuple[Any, Any]
) -> tuple[Any, Any, tuple[Any, Any]]:
    if not _fits(w_hh, w_hr) or through_c.reach is not None:
        return lstm.dispatch(object)(factors, through_c, w_hh, w_hr, loop, last)
    p, time, rows = factors.precision, len(factors), len(w_hh)
    f, by_c, arrivals = _Factors(factors), _Factors(through_c), _Arrivals(p, loop)
    state, cell = _of(last[0]), _of(last[1])
    kept = slice(rows, factors.shape[-1])
    ds: list[Any] = [None] * time
    das: list[Any] = [None] * time
    for t in range(time - 1, -1, -1):
        d, radius = ds[t] = arrivals.at(t, state)
        if w_hr is not None:
            dm = _back_through(p, d, radius, w_hr, 1)
            d, radius = dm.v, dm.radius(p)
        c, c_radius = by_c.times(t, d, radius)
        held, running = cell, loop.rows(t)
        if held is not None:
            # Large factors carried dc here, where it is not the loss's own.
            settled_first = f.reach is not None and t < time - 1
            c = held.plus(c.standing(p) if settled_first else c)
            c_radius = c.radius(p)
        wide = np.concatenate((c.v, c.v, c.v, d, c.v), axis=-1)
        wide_radius = np.concatenate((c_radius, c_radius, c_radius, radius, c_radius), axis=-1)
        back, radius = f.times(t, wide, wide_radius)
        a = das[t] = back.v[:, :rows], radius[:, :rows]
        state, cell = _back_through(p, *a, w_hh, 4), back.columns(kept)
        if running is not None:
            state = _chosen(p, running, state, _term(*ds[t]))
            cell = cell if held is None else _chosen(p, running, cell, held)
    if f.overflows():
        return lstm.dispatch(object)(factors, through_c, w_hh, w_hr, loop, last)
    return _stacked(p, ds), _stacked(p, das), (_ball(p, state), _ball(p, cell))
