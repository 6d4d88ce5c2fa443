"""Reverse-mode rules of division, choices, means and norms, and of the functions in `SLOPES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .activations import constant, relu, rounded_apart, settled, sigmoid
from .arithmetic import clip_ends
from .ball_decisions import Decision
from .dual_functions import inverse_root, through_norm
from .function_slopes import (
    SLOPES,
    clip_slope,
    hard_sigmoid_slope,
    maximum_slope,
    reciprocal_slope,
)
from .functions import hard_sigmoid, layer_norm, rms_norm
from .slopes import large, product
from .tape_adjoints import Adjoint
from .tape_core import FUNCTIONS, UFUNCS, Taped, as_taped, record, unsupported, value
from .tape_rules import OF_SLOPE, add_slopes, rectified, times
from .tape_shapes import where as plain_where


def _of_one(function: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Taped]:
    """The rule of an elementwise function with constants beside its argument."""

    def rule(x: Taped, *constants: Any) -> Taped:
        y = function(x.v, *constants)

        def back(a: Adjoint) -> None:
            x.receive(times(a, slope(x.v, y, *constants)), a, OF_SLOPE)

        return record(y, back, (x,), OF_SLOPE)

    return rule


def _divide(x: Any, y: Any) -> Taped:
    """x/y: d/y for x and −d∘x/y² for y; an implementation may divide by y twice, or by y²."""
    x, y = as_taped(x), as_taped(y)
    v = x.v / y.v

    def back(a: Adjoint) -> None:
        below = constant(a.d, y.v)
        inverse = 1.0 / below
        if x.needs:
            x.receive(times(a, inverse), a, OF_SLOPE)
        if y.needs:
            slope = reciprocal_slope(below, inverse)
            factors = large(constant(a.d, x.v)), large(slope)
            y.receive(product(a.d, *factors, chain=a.chain), a, OF_SLOPE + 1)

    return record(v, back, (x, y), OF_SLOPE + 1)


def _power(x: Taped, exponent: Any) -> Taped:
    functions = {2.0: np.square, 0.5: np.sqrt, -1.0: np.reciprocal}
    if not isinstance(exponent, int | float) or exponent not in functions:
        raise TypeError("x ** n has a rule for n = 2, 0.5 and -1 only: write x * x * x for 3")
    powered: Taped = UFUNCS[functions[exponent]](x)
    return powered


def _extreme(ufunc: np.ufunc, first: bool) -> Callable[[Any, Any], Taped]:
    """max, or min whose slopes are exchanged; a maximum with the constant 0 is relu."""

    def rule(x: Any, y: Any) -> Taped:
        if first and any(_is_zero(side) for side in (x, y)):
            return rectified(x, y)
        x, y = as_taped(x), as_taped(y)
        greater = maximum_slope(x.v, y.v)
        to_x, to_y = (greater, 1.0 - greater) if first else (1.0 - greater, greater)

        def back(a: Adjoint) -> None:
            if x.needs:
                x.receive(times(a, constant(a.d, to_x), at_most_one=True), a, 1)
            if y.needs:
                y.receive(times(a, constant(a.d, to_y), at_most_one=True), a, 1)

        return record(ufunc(x.v, y.v), back, (x, y), 1)

    return rule


def _is_zero(x: Any) -> bool:
    return not isinstance(x, Taped) and np.ndim(value(x)) == 0 and bool(np.all(x == 0))


def _clip(x: Taped, low: Any = None, high: Any = None, **named: Any) -> Taped:
    low, high = clip_ends(low, high, named)
    if named or isinstance(low, Taped) or isinstance(high, Taped):
        unsupported("np.clip, but for np.clip(x, low, high) with constants,")

    def back(a: Adjoint) -> None:
        slope = clip_slope(constant(a.d, x.v), low, high)
        x.receive(times(a, slope, at_most_one=True), a, 1)

    return record(np.clip(x.v, low, high), back, (x,), 1)


def _compare(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    return lambda x, y: ufunc(value(x), value(y))


def _where(mask: Any, x: Any, y: Any) -> Taped:
    """np.where; where Balls do not decide the mask, the adjoint may go to either side."""
    if not isinstance(mask, Decision):
        return plain_where(mask, x, y)
    x, y = as_taped(x), as_taped(y)

    def back(a: Adjoint) -> None:
        d = settled(a.d)
        nothing = constant(d, np.zeros(d.shape))
        if x.needs:
            x.receive(np.where(mask, d, nothing), a)
        if y.needs:
            y.receive(np.where(mask, nothing, d), a)

    return record(np.where(mask, x.v, y.v), back, (x, y))


def _mean(x: Taped, axis: Any = None, keepdims: bool = False) -> Taped:
    kept = np.sum(np.empty(x.shape), axis=axis, keepdims=True).shape
    share = float(np.prod(kept)) / x.size

    def back(a: Adjoint) -> None:
        # A format may have to round the share: a product charges a number for that.
        d = product(a.d, constant(a.d, np.ones(a.d.shape)) * share, chain=a.chain)
        x.receive(np.broadcast_to(d.reshape(*kept), x.shape), a, 1)

    return record(np.mean(x.v, axis=axis, keepdims=keepdims), back, (x,), 1)


def _normed(x: Taped, weight: Any, bias: Any, eps: float, centred: bool) -> Taped:
    """Layer norm, or RMS norm where it is not `centred`: dx = s∘(g − mean g − x̂ mean(x̂∘g)).

    g = d∘w and s = 1/√(var + eps).  Without centring the mean of g is left out.  The factors may
    come before the difference or after it (`dual_functions.through_norm`).
    """
    w, b = (None if p is None else as_taped(p) for p in (weight, bias))
    factor, offset = (None if p is None else p.v for p in (w, b))
    v = layer_norm(x.v, factor, offset, eps) if centred else rms_norm(x.v, factor, eps)

    def back(a: Adjoint) -> None:
        at = constant(a.d, x.v)
        hat = layer_norm(at, None, None, eps) if centred else rms_norm(at, None, eps)
        if b is not None and b.needs:
            b.receive(a.d, a)
        if w is not None and w.needs:
            w.receive(times(a, hat), a, 1)
        if not x.needs:
            return
        g = a.d if w is None else times(a, constant(a.d, w.v))
        power = np.var(at, axis=-1, keepdims=True)
        if centred:
            g = rounded_apart(g - np.mean(g, axis=-1, keepdims=True))
        else:
            power = np.mean(np.square(at), axis=-1, keepdims=True)
        # The formula uses x three more times: in the mean, in the variance and in its mean.
        x.receive(through_norm(hat, g, inverse_root(power, eps), None), a, 4, split=3)

    return record(v, back, [p for p in (x, w, b) if p is not None], 4)


@layer_norm.register
def _(x: Taped, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Taped:
    return _normed(x, weight, bias, eps, centred=True)


@rms_norm.register
def _(x: Taped, weight: Any = None, eps: float = 1e-5) -> Taped:
    return _normed(x, weight, None, eps, centred=False)


add_slopes({f: s for f, s in SLOPES.items() if f not in (np.tanh, sigmoid, relu, hard_sigmoid)})
hard_sigmoid.register(Taped, _of_one(hard_sigmoid, hard_sigmoid_slope))

UFUNCS.update(
    {
        np.divide: _divide,
        np.power: _power,
        np.maximum: _extreme(np.maximum, first=True),
        np.minimum: _extreme(np.minimum, first=False),
    }
)
for _ufunc in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
    UFUNCS[_ufunc] = _compare(_ufunc)
FUNCTIONS.update({np.clip: _clip, np.where: _where, np.mean: _mean})
