"""Derivatives of the elementwise functions, for arrays, complex arrays, Balls and Duals.

Each function of an input x and its output y = f(x) gives f′(x), elementwise.  `SLOPES` has one for
each elementwise function of one argument.  The rule of a Ball covers the forms in which a correct
implementation writes the derivative: a Ball that contains the Ball of each form (`either`), or one
whose charge is that of the form with the most roundings.  A form is from x or from y.

A slope that may be above 1 is marked as `large` for the products that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np

from .activations import relu, sigmoid
from .ball_core import Ball, settled_ball
from .ball_decisions import apart, either
from .ball_elementwise import ulps_rate
from .ball_functions import past_threshold
from .formats import SLACK, Array
from .functions import absolute, hard_sigmoid, hard_tanh, log_sigmoid, silu, softplus
from .slopes import large, relu_slope, sigmoid_slope, tanh_slope


@singledispatch
def exp_slope(x: Any, y: Any) -> Any:
    """exp′ = eˣ = y."""
    return large(y)


@singledispatch
def expm1_slope(x: Any, y: Any) -> Any:
    """expm1′ = eˣ, or y + 1."""
    return large(np.exp(x))


@expm1_slope.register
def _(x: Ball, y: Ball) -> Ball:
    return large(either(np.exp(x), y + 1.0))


@singledispatch
def log_slope(x: Any, y: Any) -> Any:
    """log′ = 1/x."""
    return large(1.0 / x)


@singledispatch
def log1p_slope(x: Any, y: Any) -> Any:
    """log1p′ = 1/(1+x)."""
    return large(1.0 / (1.0 + x))


@singledispatch
def sqrt_slope(x: Any, y: Any) -> Any:
    """√′ = 1/(2y), or ½·rsqrt(x)."""
    return large(0.5 / y)


@sqrt_slope.register
def _(x: Ball, y: Ball) -> Ball:
    """½·rsqrt(x) has the error of a library, `Precision.ulps`, in place of that of y."""
    half = (0.5 / y).settled()
    r = half.radius + SLACK * ulps_rate(y.precision) * (half.absolute + half.radius)
    return large(settled_ball(y.precision, half.v, r))


@singledispatch
def square_slope(x: Any, y: Any) -> Any:
    """(x²)′ = 2x."""
    return large(2.0 * x)


@singledispatch
def reciprocal_slope(x: Any, y: Any) -> Any:
    """(1/x)′ = −y², or −1/x²."""
    return large(-(y * y))


@reciprocal_slope.register
def _(x: Ball, y: Ball) -> Ball:
    """−1/x² rounds x² and the quotient, less than y² does; but x² may vanish."""
    eta = y.precision.storage.eta
    slope = -np.square(y)
    square = slope.absolute + slope.radius
    r = np.where(square < 0.5 / eta, slope.radius, np.inf)
    return large(settled_ball(y.precision, slope.v, r))


@singledispatch
def absolute_slope(x: Any, y: Any) -> Any:
    """|x|′: the sign of x, and 0 at 0, as in torch and JAX."""
    return np.sign(np.real(x))


@absolute_slope.register
def _(x: Ball, y: Ball) -> Ball:
    certain = apart(x, x.lift(0.0)) | ((x.v == 0) & (x.radius == 0))
    sign = np.sign(x.v)
    return settled_ball(x.precision, sign, np.where(certain, 0.0, 1.0 + np.abs(sign)))


@singledispatch
def softplus_slope(x: Any, y: Any) -> Any:
    """softplus′ = σ(x), or 1 − e⁻ʸ, or 1 for x > 20 as in torch."""
    return sigmoid(x)


@softplus_slope.register
def _(x: Ball, y: Ball) -> Ball:
    """z/(1+z) with z = eˣ is a form of σ; z and 1+z may be stored, which is two more roundings."""
    p, s = x.precision, sigmoid(x)
    if not p.relative:  # 1 − e⁻ʸ has no relative accuracy where it is small
        s = either(s, 1.0 - np.exp(-y))
    more = 2.0 * p.stores * p.u * (s.absolute + s.radius) + past_threshold(x)
    return settled_ball(p, s.v, s.radius + SLACK * more)


@singledispatch
def log_sigmoid_slope(x: Any, y: Any) -> Any:
    """(log σ)′ = σ(−x), in the forms of softplus′(−x)."""
    return softplus_slope(-x, -y)


@singledispatch
def silu_slope(x: Any, y: Any) -> Any:
    """silu′ = σ(1 + x(1−σ)), or y + σ(1−y), or σ + y(1−σ), with σ = σ(x)."""
    s = sigmoid(x)
    return large(s * (1.0 + x * (1.0 - s)))


@silu_slope.register
def _(x: Ball, y: Ball) -> Ball:
    s = sigmoid(x)
    rest = 1.0 - s
    forms = (s * (1.0 + x * rest), y + s * (1.0 - y), s + y * rest, s + x * sigmoid_slope(s))
    return large(either(*forms))


@singledispatch
def clip_slope(x: Any, low: Any, high: Any) -> Any:
    """1 between the constants low and high, else 0; so 0 at both ends, as torch's hardtanh has it.

    Other functions, such as torch.clamp, have 1 at both ends.  A Ball covers both there.
    """
    inside = np.ones(np.shape(x), dtype=bool)
    if low is not None:
        inside &= np.real(x) > low
    if high is not None:
        inside &= np.real(x) < high
    return np.where(inside, 1.0, 0.0)


@clip_slope.register
def _(x: Ball, low: Any, high: Any) -> Ball:
    certain = np.ones(x.shape, dtype=bool)
    for end in (low, high):
        if end is not None:
            certain &= apart(x, x.lift(end))
    slope: Array = clip_slope(x.v, low, high)
    return settled_ball(x.precision, slope, np.where(certain, 0.0, 1.0))


@singledispatch
def hard_tanh_slope(x: Any, y: Any) -> Any:
    """1 for −1 < x < 1, else 0."""
    return clip_slope(x, -1.0, 1.0)


@singledispatch
def hard_sigmoid_slope(x: Any, y: Any, slope: float = 1 / 6, offset: float = 0.5) -> Any:
    """`slope` where the result is between 0 and 1, else 0."""
    return slope * clip_slope(x, -offset / slope, (1.0 - offset) / slope)


@hard_sigmoid_slope.register
def _(x: Ball, y: Ball, slope: float = 1 / 6, offset: float = 0.5) -> Ball:
    """Whether the result is between 0 and 1 is decided by x, by the sum or by the result."""
    line = Ball(slope * x.v + offset, x.precision, abs(slope) * x.radius)
    line.m, line.roundings = abs(slope) * (x.absolute + x.radius) + abs(offset), 3
    inside = clip_slope(line, 0.0, 1.0)
    # The slope is a constant that is rounded, or a quotient by 6 that is rounded later.
    r = inside.radius * abs(slope) + SLACK * 2.0 * x.precision.u * abs(slope) * (inside.v != 0)
    return settled_ball(x.precision, inside.v * slope, (1.0 + 2.0 * x.precision.u) * r)


@singledispatch
def maximum_slope(a: Any, b: Any) -> Any:
    """∂max(a, b)/∂a: 1 where a > b, 0 where a < b, ½ where both are one, as in torch.

    That by b is 1 less this; those of min(a, b) are exchanged.
    """
    a, b = np.real(a), np.real(b)
    return np.where(a > b, 1.0, np.where(a < b, 0.0, 0.5))


@maximum_slope.register
def _(a: Ball, b: Any) -> Ball:
    """Any slope from 0 to 1 where the two Balls meet: implementations share it in several ways."""
    b = a.lift(b)
    slope = np.where(a.v > b.v, 1.0, np.where(a.v < b.v, 0.0, 0.5))
    return settled_ball(
        a.precision, slope, np.where(apart(a, b), 0.0, np.maximum(slope, 1.0 - slope))
    )


#: Elementwise function f → a function of x and y = f(x) that gives f′(x).
SLOPES: dict[Any, Callable[[Any, Any], Any]] = {
    np.tanh: lambda x, y: tanh_slope(y),
    sigmoid: lambda x, y: sigmoid_slope(y),
    relu: lambda x, y: relu_slope(x),
    np.exp: exp_slope,
    np.expm1: expm1_slope,
    np.log: log_slope,
    np.log1p: log1p_slope,
    np.sqrt: sqrt_slope,
    np.square: square_slope,
    np.reciprocal: reciprocal_slope,
    np.absolute: absolute_slope,
    absolute: absolute_slope,
    softplus: softplus_slope,
    log_sigmoid: log_sigmoid_slope,
    silu: silu_slope,
    hard_sigmoid: hard_sigmoid_slope,
    hard_tanh: hard_tanh_slope,
}
