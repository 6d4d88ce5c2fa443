"""Rules for Balls: NumPy's functions and the activation functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .activations import (
    blend,
    blend_slopes,
    constant,
    join_like,
    lstm_activations,
    rounded_apart,
    settled,
    sigmoid,
    stack_like,
)
from .arithmetic import SHAPE_FUNCTIONS
from .ball_core import FUNCTIONS, UFUNCS, Ball, charged, joined, settled_ball
from .formats import Array, Precision

_ZERO, _HALF, _ONE, _TWO, _FOUR = (np.asarray(float(x)) for x in (0, 0.5, 1, 2, 4))


# ---------------------------------------------------------------------- functions of elements


def tanh(x: Ball) -> Ball:
    """tanh: |tanh(s) − tanh(v)| ≤ min(sup tanh′ · radius, 2), plus the library's own error."""
    e = np.exp(_TWO * np.minimum(x.radius - x.absolute, _ZERO))
    t, moved = np.tanh(x.v), _confined(_tanh_moved(x.radius, e), _HALF)
    own = np.abs(t)
    return _function(x, t, own, _tanh_error(x.precision, own), moved)


@sigmoid.register
def _(x: Ball) -> Ball:
    """σ: |σ(s) − σ(v)| ≤ min(sup σ′ · radius, 1), plus the library's own error."""
    e = np.exp(np.minimum(x.radius - x.absolute, _ZERO))
    s, moved = _sigmoid_value(x), _confined(_sigmoid_moved(x.radius, e), _ONE)
    return _function(x, s, s, _sigmoid_error(x.precision, s), moved)


@lstm_activations.register
def _(x: Ball) -> Ball:
    """Both rules in one pass: σ of all blocks, then tanh in place of σ in the block g."""
    size = x.shape[-1] // 4
    g = (..., slice(2 * size, 3 * size))
    radius = x.radius
    e = np.exp(np.minimum(radius - x.absolute, _ZERO))
    f, moved = _sigmoid_value(x), _confined(_sigmoid_moved(radius, e), _ONE)
    error = _sigmoid_error(x.precision, f)
    e = e[g]
    f[g] = np.tanh(x.v[g])
    moved[g] = _confined(_tanh_moved(radius[g], e * e), _HALF)
    own = np.abs(f)
    error[g] = _tanh_error(x.precision, own[g])
    return _function(x, f, own, error, moved)


def _sigmoid_value(x: Ball) -> Array:
    """e^min(v,0)/(1+e^−|v|): bit for bit the result of `sigmoid`, but for real numbers only."""
    f: Array = np.exp(np.minimum(x.v, _ZERO)) / (_ONE + np.exp(-x.absolute))
    return f


def _sigmoid_moved(radius: Array, e: Array) -> Array:
    """sup σ′ · radius: σ′ = e/(1+e)² with e = e^−|a| is largest where |a| is least."""
    q = _ONE + e
    return radius * e / (q * q)


def _tanh_moved(radius: Array, e: Array) -> Array:
    """sup tanh′ · radius: tanh′ = 4e/(1+e)² with e = e^−2|a|."""
    q = _ONE + e
    return _FOUR * radius * e / (q * q)


def _confined(moved: Array, inverse: Array) -> Array:
    """min(moved, range of the function), where `inverse` is 1/range.

    An infinite `moved` gives NaN (∞/∞), which is no bound.  The subject's argument may be NaN
    there, so its result need not lie in the range.
    """
    return moved / np.maximum(_ONE, moved * inverse)


def _sigmoid_error(p: Precision, s: Array) -> Array:
    """Bound on a library's error of s = σ(a), for every form (see `activations`)."""
    library = p.library
    if p.relative:
        return s * library.rate + library.eta
    by_tanh = _HALF * library.rate * np.abs(_ONE - _TWO * s) + library.half_u
    return np.maximum(by_tanh, library.least_sigmoid) + library.eta


def _tanh_error(p: Precision, own: Array) -> Array:
    """Bound on a library's error of tanh from own = |tanh(a)|, for every form."""
    library = p.library
    error = own * library.rate
    if p.relative:
        return error + library.eta
    return np.maximum(error, library.least_tanh) + library.eta


def _function(x: Ball, f: Array, own: Array, error: Array, moved: Array) -> Ball:
    """Ball of a library function f with own = |f|: radius `moved` and the library's `error`."""
    r: Array = error + moved * x.precision.library.moved
    if x.precision.stores:
        r = charged(x.precision, own + r, r, x.precision.charge(0, 1))
    ball = settled_ball(x.precision, f, r)
    ball.absolute = own
    return ball


@constant.register
def _(like: Ball, value: Any) -> Any:
    return None if value is None else like.lift(value)


@settled.register
def _(x: Ball) -> Ball:
    return x.settled()


@stack_like.register
def _(like: Ball, parts: Any) -> Ball:
    return joined([like.lift(part) for part in parts], np.array)


@join_like.register
def _(like: Ball, parts: Any) -> Ball:
    return joined([like.lift(part) for part in parts], _side_by_side)


def _side_by_side(parts: list[Array]) -> Array:
    return np.concatenate(parts, axis=-1)


@rounded_apart.register
def _(x: Ball) -> Ball:
    return x.rounded_apart()


@blend.register
def _(z: Ball, kept: Any, new: Any) -> Ball:
    """(1−z)∘new + z∘kept, with the terms of the other forms added to its magnitude.

    The form new + z∘(kept − new) rounds new, z∘new and z∘kept once more.  The form
    kept − (1−z)∘(kept − new) rounds kept twice (in 1−z as well), (1−z)∘kept and (1−z)∘new.
    This one rule replaces six operations, which would take most of the time of a GRU step.
    """
    p = z.precision
    kept, new = z.lift(kept), z.lift(new)
    n, k = new.absolute + new.radius, kept.absolute + kept.radius
    most = z.absolute + z.radius
    v = _ONE - z.v
    own = np.abs(v)
    rest = charged(p, _ONE + most, z.radius, p.charge(0, 1))
    r = rest * n + own * new.radius + z.radius * k + z.absolute * kept.radius
    m = (own + rest + _ONE) * (n + k) + most * (n + k + k)
    return Ball(v * new.v + z.v * kept.v, p, r, m, 0, 1, 1)


@blend_slopes.register
def _(z: Ball) -> tuple[Ball, Ball]:
    p = z.precision
    (v, kept), (w, new) = blend_slope_parts(p, z.v, z.absolute + z.radius, z.radius)
    return settled_ball(p, v, kept), settled_ball(p, w, new)


def blend_slope_parts(
    p: Precision, v: Array, far: Array, radius: Array
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Values and radii of z and 1−z, from the value v and radius of z, and far = |v| + radius."""
    charge, w = p.charge(0, 2), _ONE - v
    far = _ONE + far
    new = charged(p, far, radius, charge)
    return (v, charged(p, far + np.abs(w) + new, radius, charge)), (w, new)


UFUNCS.update(
    {
        np.add: Ball.__add__,
        np.subtract: Ball.__sub__,
        np.multiply: Ball.__mul__,
        np.negative: Ball.__neg__,
        np.tanh: tanh,
    }
)


# ---------------------------------------------------------------------- functions of arrays


def _lifted(items: Any) -> list[Ball]:
    ball = next(x for x in items if isinstance(x, Ball))
    return [ball.lift(x) for x in items]


def _concatenate(items: Any, axis: int = 0) -> Ball:
    return joined(_lifted(items), lambda parts: np.concatenate(parts, axis=axis))


def _stack(items: Any, axis: int = 0) -> Ball:
    if axis == 0:  # several times faster than np.stack
        return joined(_lifted(items), np.array)
    return joined(_lifted(items), lambda parts: np.stack(parts, axis=axis))


def where(mask: Any, x: Any, y: Any) -> Ball:
    """x where the mask is true, else y; the mask has no error."""
    return joined(_lifted([x, y]), lambda parts: np.where(mask, parts[0], parts[1]))


def _sum(a: Ball, axis: Any = None, keepdims: bool = False) -> Ball:
    """Sum over axes, charged as a matrix product with ones."""

    def total(part: Array) -> Array:
        reduced: Any = np.add.reduce(part, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]
        return np.asarray(reduced)

    p, v = a.precision, total(a.v)
    n = a.v.size // max(v.size, 1)
    r = None if a.exact else total(a.radius)
    return Ball(v, p, r, total(a.magnitude), n, 0, p.stores)


def _split(a: Ball, sections: Any, axis: int = 0) -> list[Ball]:
    index: list[Any] = [slice(None)] * a.ndim
    pieces = []
    for piece in np.split(np.arange(a.shape[axis]), sections):
        index[axis] = slice(piece[0], piece[-1] + 1) if piece.size else slice(0, 0)
        pieces.append(a[tuple(index)])
    return pieces


def _shape_rule(func: Callable[..., Array]) -> Callable[..., Ball]:
    return lambda a, *args, **kwargs: a.mapped(lambda part: func(part, *args, **kwargs))


FUNCTIONS.update(
    {
        np.concatenate: _concatenate,
        np.stack: _stack,
        np.sum: _sum,
        np.split: _split,
        np.zeros_like: lambda a: Ball(np.zeros_like(a.v), a.precision),
    }
)
FUNCTIONS.update({func: _shape_rule(func) for func in SHAPE_FUNCTIONS})
