"""Rules of Duals for the functions of `ball_elementwise`, `ball_decisions`, and `functions`.

A function of one argument has the tangent f′(x)∘ẋ, with the slope of `function_slopes`.  A slope
of Duals has the slope's own value, and the tangent of its first form; the other forms of a slope
are covered in its value and not in its tangent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .activations import blend, relu, rounded_apart, settled, sigmoid
from .arithmetic import clip_ends
from .dual_core import FUNCTIONS, UFUNCS, Dual, lift, times
from .function_slopes import (
    SLOPES,
    absolute_slope,
    clip_slope,
    exp_slope,
    expm1_slope,
    hard_sigmoid_slope,
    hard_tanh_slope,
    log1p_slope,
    log_sigmoid_slope,
    log_slope,
    maximum_slope,
    reciprocal_slope,
    silu_slope,
    softplus_slope,
    sqrt_slope,
    square_slope,
)
from .functions import layer_norm, rms_norm
from .recurrence import plus
from .slopes import large, product, relu_slope


def _of_one(f: Any, slope: Callable[..., Any]) -> Callable[..., Dual]:
    def rule(x: Dual, *constants: Any, **named: Any) -> Dual:
        y = f(x.v, *constants, **named)
        return Dual(y, None if x.d is None else times(slope(x.v, y, *constants, **named), x.d))

    return rule


def _divide(a: Dual, b: Dual) -> Dual:
    """Tangent of q = a/b: (ȧ − q ḃ)/b, or ȧ/b − q∘(ḃ/b), or (ȧ b − a ḃ)/b².

    The last form rounds each term twice more than these products do: b², and its own product.
    It is not covered where b² underflows or passes the largest number.
    """
    q, d = a.v / b.v, None
    if a.d is not None or b.d is not None:
        inverse = large(1.0 / b.v)
        if a.d is not None:
            d = product(large(a.d), inverse)
        if b.d is not None:
            d = plus(d, -product(large(b.d), large(q), inverse))
        d = rounded_apart(rounded_apart(d))
        if d.shape != q.shape:
            d = np.broadcast_to(d, q.shape)
    return Dual(q, d)


def _power(x: Dual, exponent: Dual) -> Dual:
    n = float(exponent.v) if np.ndim(exponent.v) == 0 else None
    if n not in (2.0, 1.0, 0.5, -1.0):
        raise TypeError("x ** n has a rule for n = 2, 1, 0.5 and -1 only: write x * x * x for 3")
    if n == 1.0:
        return x
    f, slope = {
        2.0: (np.square, square_slope),
        0.5: (lambda v: v**0.5, sqrt_slope),
        -1.0: (np.reciprocal, reciprocal_slope),
    }[n]
    return _of_one(f, slope)(x)


def _extreme(ufunc: Any, first: bool) -> Callable[[Dual, Dual], Dual]:
    """max, or min whose slopes are exchanged; a maximum with the constant 0 is relu, 0 at 0.

    The tangent is s∘ȧ + (1−s)∘ḃ, or ḃ + s∘(ȧ−ḃ) as torch's forward mode has it: a `blend`.
    """

    def rule(a: Dual, b: Dual) -> Dual:
        v, d = ufunc(a.v, b.v), None
        if first and b.d is None and np.ndim(b.v) == 0 and np.all(b.v == 0):
            return Dual(v, times(relu_slope(a.v), a.d))
        if a.d is None and b.d is None:
            return Dual(v)
        lead, other = (a, b) if a.d is not None else (b, a)
        greater = maximum_slope(lead.v, other.v)
        slope = greater if first else 1.0 - greater
        if other.d is None:
            d = product(large(lead.d), slope)
        else:
            d = blend(settled(slope), lead.d, other.d)
        return Dual(v, d if d.shape == v.shape else np.broadcast_to(d, v.shape))

    return rule


def _clip(x: Any, low: Any = None, high: Any = None, **named: Any) -> Dual:
    low, high = clip_ends(low, high, named)
    if named or isinstance(low, Dual) or isinstance(high, Dual):
        raise TypeError("np.clip of Duals has a rule for np.clip(dual, low, high) only")
    v = np.clip(x.v, low, high)
    return Dual(v, None if x.d is None else times(clip_slope(x.v, low, high), x.d))


def _variance(x: Dual, axis: Any = None, keepdims: bool = False) -> Dual:
    """Tangent: 2 mean((x−m)∘(ẋ−ṁ)), or 2 mean((x−m)∘ẋ)."""
    v = np.var(x.v, axis=axis, keepdims=keepdims)
    if x.d is None:
        return Dual(v)
    d = x.v - np.mean(x.v, axis=axis, keepdims=True)
    along = rounded_apart(x.d - np.mean(x.d, axis=axis, keepdims=True))
    return Dual(v, np.mean(product(large(2.0 * d), large(along)), axis=axis, keepdims=keepdims))


def inverse_root(mean_square: Any, eps: float) -> Any:
    """1/√(mean_square + eps), as a large factor."""
    return large(1.0 / np.sqrt(mean_square + eps))


@layer_norm.register
def _(x: Dual, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Dual:
    """Tangent: w∘s∘(ẋ − mean ẋ − x̂ mean(x̂∘ẋ)) + ẇ∘x̂ + ḃ, with s = 1/√(var + eps), x̂ = s(x−m)."""
    w, b = lift(weight), lift(bias)
    y, hat = layer_norm(x.v, w.v, b.v, eps), layer_norm(x.v, None, None, eps)
    d = None
    if x.d is not None:
        along = rounded_apart(x.d - np.mean(x.d, axis=-1, keepdims=True))
        s = inverse_root(np.var(x.v, axis=-1, keepdims=True), eps)
        d = through_norm(hat, along, s, w.v)
    return Dual(y, plus(_by_weight(d, hat, w), b.d))


@rms_norm.register
def _(x: Dual, weight: Any = None, eps: float = 1e-5) -> Dual:
    """Tangent: w∘s∘(ẋ − x̂ mean(x̂∘ẋ)) + ẇ∘x̂, with s = 1/√(mean x² + eps) and x̂ = s x."""
    w = lift(weight)
    y, hat = rms_norm(x.v, w.v, eps), rms_norm(x.v, None, eps)
    d = None
    if x.d is not None:
        s = inverse_root(np.mean(np.square(x.v), axis=-1, keepdims=True), eps)
        d = through_norm(hat, x.d, s, w.v)
    return Dual(y, _by_weight(d, hat, w))


def through_norm(hat: Any, along: Any, s: Any, weight: Any) -> Any:
    """w∘s∘(along − x̂ mean(x̂∘along)); the factors may come before the difference, and in it."""
    share = np.mean(product(large(hat), large(along)), axis=-1, keepdims=True)
    inner = along - product(large(hat), large(share))
    for _ in range(4):
        inner = rounded_apart(inner)
    factors = (s,) if weight is None else (s, large(1.0 * weight + 0.0 * hat))
    return product(large(inner), *factors)


def _by_weight(d: Any, hat: Any, w: Dual) -> Any:
    return plus(d, None if w.d is None else product(large(hat), large(w.d)))


for _f, _slope in SLOPES.items():
    if isinstance(_f, np.ufunc):
        UFUNCS[_f] = _of_one(_f, _slope)
    elif _f not in (sigmoid, relu):
        _f.register(Dual, _of_one(_f, _slope))


def _slope_of_duals(slope: Any, curved: bool) -> Callable[..., Dual]:
    """The rule of a slope for Duals: the tangent is that of its first form, by Duals' own rules."""
    formula = slope.dispatch(object)

    def rule(x: Dual, *others: Any, **named: Any) -> Dual:
        values = [lift(other).v for other in others]
        v = slope(x.v, *values, **named)
        return Dual(v, formula(x, *others, **named).d if curved else None)

    return rule


for _slope in (
    exp_slope,
    expm1_slope,
    log_slope,
    log1p_slope,
    sqrt_slope,
    square_slope,
    reciprocal_slope,
    softplus_slope,
    log_sigmoid_slope,
    silu_slope,
):
    _slope.register(Dual, _slope_of_duals(_slope, curved=True))
for _slope in (absolute_slope, clip_slope, hard_tanh_slope, hard_sigmoid_slope, maximum_slope):
    _slope.register(Dual, _slope_of_duals(_slope, curved=False))

UFUNCS.update(
    {
        np.divide: _divide,
        np.power: _power,
        np.maximum: _extreme(np.maximum, first=True),
        np.minimum: _extreme(np.minimum, first=False),
    }
)
FUNCTIONS.update({np.clip: _clip, np.var: _variance})
