"""Rules of Balls for whole blocks of the cells, forward and backward.

A step that uses Ball's own operations costs several times its arithmetic.  So each block that
takes much of the time has one rule.  The rule gives the same radius as Ball's own operations, term
by term; tests/reference/test_ball_cells.py checks this for each rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .activations import blend, sigmoid
from .ball_core import Ball, charged, settled_ball
from .ball_rules import blend_slope_parts, tanh
from .cells import GRUParts, gru_state, lstm_state
from .cells_backward import gru_factors, gru_local, lstm_factors
from .formats import Array, Precision
from .slopes import NESTED, lstm_slopes, sigmoid_slope, tanh_slope

_ONE = np.asarray(1.0)


@lstm_state.register
def _(gates: Ball, c: Any) -> tuple[Ball, Ball, Ball]:
    p, c = gates.precision, gates.lift(c)
    size = c.shape[-1]
    i, f, g, o = (np.s_[..., k * size : (k + 1) * size] for k in range(4))
    v, own, radius = gates.v, gates.absolute, gates.radius
    far = own + radius
    c_far = c.absolute + c.radius
    r = radius[f] * c_far + own[f] * c.radius
    r += radius[i] * far[g]
    r += own[i] * radius[g]
    m = far[f] * c_far + far[i] * far[g]
    new = Ball(v[f] * c.v + v[i] * v[g], p, r, m, 0, 1, 1)
    tanh_c = tanh(new)
    r = radius[o] * (tanh_c.absolute + tanh_c.radius)
    r += own[o] * tanh_c.radius
    return new, tanh_c, Ball(v[o] * tanh_c.v, p, r, None, 0, 0, 1)


@gru_state.register
def _(x_share: Ball, a_h: Ball, h: Any, update_keeps: bool) -> GRUParts:
    p, h = x_share.precision, x_share.lift(h)
    size = h.shape[-1]
    rz = sigmoid(x_share[..., : 2 * size] + a_h[..., : 2 * size])
    inner, share = a_h[..., 2 * size :], x_share[..., 2 * size :]
    own, radius = rz.absolute[..., :size], rz.radius[..., :size]
    far = inner.absolute + inner.radius
    r = radius * far
    r += own * inner.radius
    m = (own + radius) * far
    if share.r is not None:
        r += share.r
    m += share.magnitude
    counts = (share.products, share.additions + 1, max(share.roundings, 1))
    n = tanh(Ball(share.v + rz.v[..., :size] * inner.v, p, r, m, *counts))
    z = rz[..., size:]
    return GRUParts(blend(z, h, n) if update_keeps else blend(z, n, h), rz, inner, n)


class _Term:
    """A factor: value, |value| and radius."""

    __slots__ = ("own", "radius", "v")

    def __init__(self, v: Array, own: Array, radius: Array) -> None:
        self.v, self.own, self.radius = v, own, radius


def _term(ball: Ball) -> _Term:
    return _Term(ball.v, ball.absolute, ball.radius)


def _product(p: Precision, a: _Term, b: _Term, reach: Array | None = None) -> _Term:
    """The product of two factors, charged as in `slopes.product`; `reach` is for large factors."""
    r = a.radius * (b.own + b.radius)
    r += a.own * b.radius
    charge, own = p.charge(0, 1, NESTED), a.own * b.own
    floor = None if reach is None else charge.floor * reach
    return _Term(a.v * b.v, own, charged(p, own + r, r, charge, floor))


def _reach(factor: _Term) -> Array | None:
    """The reach that `slopes.large` gives the factor, or None."""
    far = factor.own + factor.radius
    return np.maximum(_ONE, far) if far.max() > 1.0 else None


def _side_by_side(*parts: Array) -> Array:
    return np.concatenate(parts, axis=-1)


def _joined(*terms: _Term) -> _Term:
    parts = ([getattr(t, name) for t in terms] for name in ("v", "own", "radius"))
    return _Term(*(np.concatenate(part, axis=-1) for part in parts))


def _cut(term: _Term, low: int, high: int) -> _Term:
    index = np.s_[..., low:high]
    return _Term(term.v[index], term.own[index], term.radius[index])


def _ball(p: Precision, term: _Term, reach: Array | None) -> Ball:
    ball = settled_ball(p, term.v, term.radius)
    ball.absolute, ball.reach = term.own, reach
    return ball


@lstm_factors.register
def _(gates: Ball, tanh_c: Ball, c: Any) -> tuple[Ball, Ball]:
    p, size, c = gates.precision, tanh_c.shape[-1], gates.lift(c)
    all_, by_c, before = _term(gates), _term(tanh_c), _term(c)
    i, f, g, out = (_cut(all_, k * size, (k + 1) * size) for k in range(4))
    reach, ones = _reach(before), np.ones_like(c.v)
    if reach is not None:
        reach = _side_by_side(ones, reach, ones, ones)
    by_gate = _product(p, _joined(g, before, i, by_c), _term(lstm_slopes(gates)), reach)
    if reach is not None:
        reach = _side_by_side(reach, ones)
    through_c = _product(p, out, _term(tanh_slope(tanh_c)))
    return _ball(p, _joined(by_gate, f), reach), _ball(p, through_c, None)


def _gru_local(
    rz: Ball, n: Ball, inner: Ball, h: Ball, update_keeps: bool
) -> tuple[_Term, Array | None, _Term, _Term]:
    """The three factors of `gru_local`, with the reach of the first one after it."""
    p, size = rz.precision, n.shape[-1]
    index = np.s_[..., size:]
    far = rz.absolute[index] + rz.radius[index]
    slopes = blend_slope_parts(p, rz.v[index], far, rz.radius[index])
    to_h, to_n = (_Term(v, np.abs(v), r) for v, r in (slopes if update_keeps else slopes[::-1]))
    new, before, twice = _term(n), _term(h), p.charge(0, 2)
    v = before.v - new.v if update_keeps else new.v - before.v
    radius = before.radius + new.radius
    apart = _Term(v, np.abs(v), charged(p, before.own + new.own + radius, radius, twice))
    large = _joined(_term(inner), apart)
    reach = _reach(large)
    by_rz = _product(p, large, _term(sigmoid_slope(rz)), reach)
    return by_rz, reach, _product(p, to_n, _term(tanh_slope(n))), to_h


@gru_local.register
def _(rz: Ball, n: Ball, inner: Any, h: Any, update_keeps: bool) -> tuple[Ball, Ball, Ball]:
    p = rz.precision
    inner, h = rz.lift(inner), rz.lift(h)
    by_rz, reach, by_n, to_h = _gru_local(rz, n, inner, h, update_keeps)
    return _ball(p, by_rz, reach), _ball(p, by_n, None), _ball(p, to_h, None)


@gru_factors.register
def _(rz: Ball, n: Ball, inner: Ball, h: Ball, update_keeps: bool) -> tuple[Ball, Ball]:
    p, size = rz.precision, n.shape[-1]
    by_rz, reach, by_n, to_h = _gru_local(rz, n, inner, h, update_keeps)
    by_r, by_z = _cut(by_rz, 0, size), _cut(by_rz, size, 2 * size)
    ones = np.ones_like(n.v)
    half = None if reach is None else _side_by_side(reach[..., :size], ones)
    r = _cut(_term(rz), 0, size)
    both = _product(p, _joined(by_r, r), _joined(by_n, by_n), half)
    if reach is not None:
        reach = _side_by_side(reach, ones, ones)
    factors = _joined(_cut(both, 0, size), by_z, _cut(both, size, 2 * size), to_h)
    return _ball(p, factors, reach), _ball(p, by_n, None)
