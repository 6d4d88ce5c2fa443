"""Values that torch's dynamic quantization rounds to a grid, and the rules of Balls for them.

`torch.ao.nn.quantized.dynamic` rounds each weight once.  Before each product with int8 weights it
rounds the other factor, x or h, to a grid that it chooses from the range of that factor.  It
computes the product in integers, scales it, and adds the bias in float32.

The grid of a factor a, from `ChooseQuantizationParams` in ATen's quant_utils.h: the range is
[min(a, 0), max(a, 0)], and the step s is the range over 255, or over 127 where the range is
reduced; s is at least `LEAST_STEP`.  0 is a point of the grid.  The zero point is rounded to an
integer, which moves the grid by at most s/2, so a value at an end of the range is cut by at most
s/2.  So a moves by at most s/2, and by at most |a|, since 0 is on the grid.

The subject divides by s in float32: it rounds s, 1/s, the product and the sum with the zero point,
which moves a quotient below 256 by at most `_QUOTIENT` steps.  It may then round to the other side
of a midpoint, and be off by so much more than s/2.  The product is scaled with three more
roundings: of the scale, of the integer, and of their product.

The grid of a weight w, from `MinMaxObserver` (symmetric, qint8): s is max|w| over 127.5, at least
the eps of float32, and w becomes the integer nearest to w/s, from −128 to 127, times s.  A
quotient that may lie on either side of a midpoint in float32 may give either integer.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from .ball_core import Ball, settled_ball
from .formats import FLOAT16, FLOAT32, SLACK, Array

#: `SMALL_SCALE_THRESHOLD` of quant_utils.h.
LEAST_STEP = 6.1e-5

#: Steps of the reduced range, the coarser of the two.
_STEPS = 127.0

#: Four roundings of a quotient below 256, in steps.
_QUOTIENT = 4.0 * 256.0 * FLOAT32.u

#: The last integers of qint8, and half of their number less one.
_LOW, _HIGH, _HALF = -128.0, 127.0, 127.5

_EPS = 2.0 * FLOAT32.u


@singledispatch
def int8_factor(x: Any) -> Any:
    """x of any shape as a factor of an int8 product: x itself, since the grid is not fixed.

    A Ball contains every point that x may be rounded to.
    """
    return x


@int8_factor.register
def _(x: Ball) -> Ball:
    if not x.size:
        return x
    r, own = x.radius, x.absolute
    far = own + r
    span = max(float(np.max(x.v + r)), 0.0) - min(float(np.min(x.v - r)), 0.0)
    if not np.isfinite(far).all():
        span = np.inf  # ∞ or NaN anywhere leaves no bound anywhere
    step = max(span / _STEPS, LEAST_STEP)
    rounded = np.minimum((0.5 + _QUOTIENT) * step, (1.0 + 4.0 * _QUOTIENT) * far)
    moved = SLACK * (rounded + 3.0 * x.precision.u * far)
    return settled_ball(x.precision, x.v, r + np.where(np.isfinite(span), moved, np.inf))


@singledispatch
def int8_weight(w: Any) -> Any:
    """A weight of any shape, rounded to its symmetric grid of int8."""
    return _int8(w)[0]


@int8_weight.register
def _(w: Ball) -> Ball:
    _check(w)
    v, step = _int8(w.v)
    quotient = w.v / step
    beyond_midpoint = np.abs(quotient - np.floor(quotient) - 0.5) <= _QUOTIENT
    r = 4.0 * FLOAT32.u * np.abs(v) + np.where(beyond_midpoint, step, 0.0)
    return settled_ball(w.precision, v, SLACK * r)


def _int8(w: Array) -> tuple[Array, float]:
    """The rounded weight, and the step of its grid."""
    most = float(np.max(np.abs(w), initial=0.0))
    step = max(float(FLOAT32.round(most / _HALF)), _EPS)
    return np.clip(np.rint(w / step), _LOW, _HIGH) * step, step


@singledispatch
def float16_weight(w: Any) -> Any:
    """A weight of any shape, rounded to float16; beyond its largest number it is that number."""
    return np.clip(FLOAT16.round(w), -FLOAT16.largest, FLOAT16.largest)


@float16_weight.register
def _(w: Ball) -> Ball:
    _check(w)
    return Ball(float16_weight(w.v), w.precision)


def _check(w: Ball) -> None:
    if not w.exact:
        raise TypeError("the weight was computed; expected a weight of the step as it is")
