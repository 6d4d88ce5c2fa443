"""The two recurrences of backpropagation through time, last step first; both are linear in dh.

`linear` is that of an RNN and of a GRU, `lstm` that of an LSTM, which carries dc as well.  All
factors of a step are formed before, for all steps at once.  For Balls there is a rule for a whole
step, since a step of Balls costs several times its arithmetic; it charges what Ball's own
operations would charge (tests/reference/test_recurrence.py holds it against them).

T is time, B the batch, H the hidden size, R the width of the hidden state.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import join, stack
from .ball_core import Ball, charged, dot, settled_ball
from .formats import Array, Precision
from .slopes import NESTED, also_summed, product

Running = npt.NDArray[np.bool_]


def plus(a: Any, b: Any) -> Any:
    """a + b, where None is a zero that is never added."""
    return b if a is None else a if b is None else a + b


def through(adjoint: Any, w: Any, gates: int) -> Any:
    """adjoint W: back through y = W x, as one product or as one for each gate."""
    return also_summed(adjoint @ w, gates - 1)


class Loop:
    """The steps from last to first: which rows run, and the loss's own adjoints of the outputs.

    `upstream` (T, B, R) or None for zero; `running` (T, B, 1) or None where all rows always run.
    """

    def __init__(self, upstream: Any, running: Running | None) -> None:
        self.upstream = upstream
        self.running = running

    def arriving(self, t: int, dh: Any) -> Any:
        """The adjoint by h_t: what came back from step t+1 and what the loss adds at t."""
        return dh if self.upstream is None else plus(dh, self.upstream[t])

    def rows(self, t: int) -> Running | None:
        """Which rows run at t, or None where all do."""
        return None if self.running is None or self.running[t].all() else self.running[t]

    def held(self, t: int, before: Any, after: Any) -> Any:
        """`before`, but `after` in rows whose sequence has ended, where the state is passed on."""
        rows = self.rows(t)
        return before if rows is None else np.where(rows, before, after)

    def masked(self, factors: Any) -> Any:
        """The factors, zero where a row does not run: nothing flows into padding."""
        return factors if self.running is None else np.where(self.running, factors, 0.0)


def backward_stack(parts: list[Any]) -> Any:
    """Parts collected from last to first, as (T, B, ·) in the order of time."""
    parts.reverse()
    return stack(parts)


@singledispatch
def linear(factors: Any, w: Any, gates: int, loop: Loop, dh: Any) -> tuple[Any, Any, Any]:
    """da_t = factors_t ∘ [dh_t, …], dh_{t−1} = da_t W, and all dh_t, da_t and the last dh.

    factors (T, B, k·H), w (m·H, H) with m = k, or m = k−1: then the last block is no adjoint of a
    pre-activation, but what is kept of dh_t and added to dh_{t−1}.
    """
    time, _, width = factors.shape
    rows, size = w.shape
    ds, das = [], []
    for t in range(time - 1, -1, -1):
        d = loop.arriving(t, dh)
        back = product(factors[t], d if width == size else join([d] * (width // size)))
        da = back if width == rows else back[..., :rows]
        ds.append(d)
        das.append(da)
        before = through(da, w, gates)
        dh = loop.held(t, before if width == rows else back[..., rows:] + before, d)
    return backward_stack(ds), backward_stack(das), dh


@singledispatch
def lstm(
    factors: Any, through_c: Any, w_hh: Any, w_hr: Any, loop: Loop, last: tuple[Any, Any]
) -> tuple[Any, Any, tuple[Any, Any]]:
    """dm = dh or dh W_hr, dc' = dc + dm∘through_c, [da, dc] = factors ∘ [dc', dc', dc', dm, dc'].

    factors (T, B, 5H), through_c (T, B, H), w_hh (4H, R), w_hr (R, H) or None; `last` is (dh, dc),
    dc None for zero.  Returns all dh_t, all da_t and the last (dh, dc).
    """
    (dh, dc), das, ds = last, [], []
    rows = w_hh.shape[0]
    for t in range(factors.shape[0] - 1, -1, -1):
        d = loop.arriving(t, dh)
        dm = d if w_hr is None else through(d, w_hr, 1)
        held, dc = dc, plus(dc, product(through_c[t], dm))
        back = product(factors[t], join([dc, dc, dc, dm, dc]))
        da = back[..., :rows]
        das.append(da)
        ds.append(d)
        dh = loop.held(t, through(da, w_hh, 4), d)
        dc = back[..., rows:]
        if held is not None:
            dc = loop.held(t, dc, held)
    return backward_stack(ds), backward_stack(das), (dh, dc)


# ---------------------------------------------------------------------- rules of Balls

#: Value, propagated radius and magnitude of a sum, as in Ball, before it is charged.
Sum = tuple[Array, Array, Array]


def back_through(p: Precision, v: Array, radius: Array, w: Ball) -> Sum:
    """A product with an exact w, as `matmul`."""
    r, m = dot(radius, w.absolute), dot(np.abs(v) + radius, w.absolute)
    if p.u_products:
        r = r + p.u_products * m
    return v @ w.v, r, m


class _Factors:
    """Factors of all steps, and what their products with an adjoint are charged, as `product`."""

    def __init__(self, factors: Ball) -> None:
        self.p = factors.precision
        self.v, self.absolute, self.radius = factors.v, factors.absolute, factors.radius
        self.charge = self.p.charge(0, 1, NESTED)
        self.reach = factors.reach
        if self.reach is not None:
            self.floors = self.charge.floor * self.reach
        self.far: list[Array] = []

    def times(self, t: int, d: Array, radius: Array) -> tuple[Sum, Array]:
        """factors_t ∘ d as a term of a sum, and its radius once charged."""
        far = np.abs(d) + radius
        v = self.v[t] * d
        r = self.radius[t] * far
        r += self.absolute[t] * radius
        m = np.abs(v) + r
        if self.reach is None:
            return (v, r, m), charged(self.p, m, r, self.charge)
        self.far.append(far)
        r = charged(self.p, m, r, self.charge, self.floors[t])
        return (v, r, np.abs(v) + r), r

    def overflows(self) -> bool:
        """Whether a partial product of large factors and an adjoint may be infinite."""
        if self.reach is None:
            return False
        span = float(self.reach.max()) * max(1.0, float(np.array(self.far).max()))
        return not span < 0.25 * self.p.storage.largest


class _Arrivals:
    """dh_t: what came back through w, what was kept of dh_{t+1}, and the loss's own adjoint."""

    def __init__(self, p: Precision, loop: Loop, w: Ball, gates: int, kept: int, time: int) -> None:
        self.p = p
        self.last_step = time - 1
        self.upstream: Ball | None = loop.upstream
        own = 0
        if self.upstream is not None:
            own = 1
            self.own_radius = self.upstream.radius
            self.own_magnitude = self.upstream.absolute + self.own_radius
        additions = (gates - 1) * p.stores + kept + own
        self.charge = p.charge(len(w), additions + max(kept, p.stores), NESTED * kept)

    def at(self, t: int, dh: Sum | None) -> tuple[Array, Array]:
        """dh_t and its radius."""
        if dh is None:
            assert self.upstream is not None  # one of them is always given
            return self.upstream.v[t], self.own_radius[t]
        first = t == self.last_step
        if self.upstream is None:
            return dh[0], dh[1] if first else charged(self.p, dh[2], dh[1], self.charge)
        v = dh[0] + self.upstream.v[t]
        r, m = dh[1] + self.own_radius[t], dh[2] + self.own_magnitude[t]
        return v, charged(self.p, m, r, self.p.charge(0, 1) if first else self.charge)

    def start(self, dh: Sum | None) -> Ball:
        """The adjoint by the first state."""
        assert dh is not None
        return settled_ball(self.p, dh[0], charged(self.p, dh[2], dh[1], self.charge))


def _fits(*weights: Any) -> bool:
    """Whether the rules below hold: every weight is an exact Ball or None."""
    return all(w is None or (isinstance(w, Ball) and w.exact) for w in weights)


def _chosen(rows: Running, new: Sum, held: Sum) -> Sum:
    v, r, m = (np.where(rows, a, b) for a, b in zip(new, held, strict=True))
    return v, r, m


def _term(v: Array, radius: Array) -> Sum:
    return v, radius, np.abs(v) + radius


def _as_sum(d: Any) -> Sum | None:
    return None if d is None else _term(d.v, d.radius)


def _stacked(p: Precision, parts: list[tuple[Array, Array]]) -> Ball:
    return settled_ball(p, *(np.array(part) for part in zip(*parts, strict=True)))


@linear.register
def _(factors: Ball, w: Any, gates: int, loop: Loop, dh: Any) -> tuple[Any, Any, Any]:
    if not _fits(w):
        return linear.dispatch(object)(factors, w, gates, loop, dh)
    p, (time, _, width), (rows, size) = factors.precision, factors.shape, w.shape
    kept, state, f = int(width > rows), _as_sum(dh), _Factors(factors)
    arrivals = _Arrivals(p, loop, w, gates, kept, time)
    ds: list[Any] = [None] * time
    das: list[Any] = [None] * time
    for t in range(time - 1, -1, -1):
        d, radius = ds[t] = arrivals.at(t, state)
        if width > size:
            d, radius = (np.concatenate((a,) * (width // size), axis=-1) for a in (d, radius))
        (v, r, m), radius = f.times(t, d, radius)
        a = das[t] = v[:, :rows], radius[:, :rows]
        state = back_through(p, *a, w)
        if kept:
            parts = zip(state, (v, r, m), strict=True)
            state = tuple(back + term[:, rows:] for back, term in parts)  # type: ignore[assignment]
        running = loop.rows(t)
        if running is not None:
            state = _chosen(running, state, _term(*ds[t]))
    if f.overflows():
        return linear.dispatch(object)(factors, w, gates, loop, dh)
    return _stacked(p, ds), _stacked(p, das), arrivals.start(state)


@lstm.register
def _(
    factors: Ball, through_c: Ball, w_hh: Any, w_hr: Any, loop: Loop, last: tuple[Any, Any]
) -> tuple[Any, Any, tuple[Any, Any]]:
    if not _fits(w_hh, w_hr):
        return lstm.dispatch(object)(factors, through_c, w_hh, w_hr, loop, last)
    p, time, rows = factors.precision, len(factors), len(w_hh)
    f, by_c, arrivals = _Factors(factors), _Factors(through_c), _Arrivals(p, loop, w_hh, 4, 0, time)
    projected = None if w_hr is None else p.charge(len(w_hr), p.stores)
    twice = p.charge(0, 2, 2 * NESTED)
    state, cell = _as_sum(last[0]), _as_sum(last[1])
    ds: list[Any] = [None] * time
    das: list[Any] = [None] * time
    for t in range(time - 1, -1, -1):
        d, radius = ds[t] = arrivals.at(t, state)
        if projected is not None:
            d, r, m = back_through(p, d, radius, w_hr)
            radius = charged(p, m, r, projected)
        (c, r, m), c_radius = by_c.times(t, d, radius)
        held, running = cell, loop.rows(t)
        if held is not None:
            c = c + held[0]
            c_radius = charged(p, m + held[2], r + held[1], twice)
        wide = np.concatenate((c, c, c, d, c), axis=-1)
        wide_radius = np.concatenate((c_radius, c_radius, c_radius, radius, c_radius), axis=-1)
        (v, r, m), radius = f.times(t, wide, wide_radius)
        a = das[t] = v[:, :rows], radius[:, :rows]
        state, cell = back_through(p, *a, w_hh), (v[:, rows:], r[:, rows:], m[:, rows:])
        if running is not None:
            state = _chosen(running, state, _term(*ds[t]))
            cell = cell if held is None else _chosen(running, cell, held)
    if f.overflows():
        return lstm.dispatch(object)(factors, through_c, w_hh, w_hr, loop, last)
    assert cell is not None
    start = settled_ball(p, cell[0], charged(p, cell[2], cell[1], f.charge))
    return _stacked(p, ds), _stacked(p, das), (arrivals.start(state), start)
