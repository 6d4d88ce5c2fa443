"""Rules of Balls for `functions`: softplus, log σ, SiLU, and the functions with kinks.

An implementation may store every value on the way.  So each operation is charged
w = u_accumulation, plus u if storage is another format; ε_e and ε_l are the relative errors of exp
and of log or log1p, and of the storage of their results.

softplus y = log(1+eˣ), with s = σ(x):
- log1p(eˣ): ε_e s from exp, since ∂y/∂log e = e/(1+e) = s, and ε_l y;
- max(x, 0) + log1p(e^−|x|): the same for x ≤ 0.  For x > 0 it is ε_e σ(−x) ≤ ε_e s, ε_l of the
  second term, which is less than y, and w y from the sum;
- log(1+eˣ): ε_e s, w from 1+e, whose logarithm it moves, and ε_l y;
- −log σ(−x), with σ by exp: ε_e s, 2w from 1+e and the quotient, and ε_l y.
Together ε_e s + (ε_l + w) y + 2w.  The last two forms lose the relative accuracy of a small y, so
their 2w is left out of a precision that is `relative`.  An implementation with torch's threshold
returns x for x > 20, and is off by log1p(e⁻ˣ) ≤ e^−max(20, x).  Not covered: a form whose eˣ
overflows without a threshold, and log σ where its σ underflows or is ½(1+tanh).
"""

from __future__ import annotations

import numpy as np

from .activations import sigmoid
from .ball_core import Ball, settled_ball
from .ball_decisions import clip
from .ball_elementwise import absolute as ball_absolute
from .ball_elementwise import exp_rate, stored, ulps_rate
from .formats import SLACK, UNDERFLOW_SLACK, Array, Precision
from .functions import absolute, hard_sigmoid, hard_tanh, log_sigmoid, silu, softplus

#: Above this, torch.nn.functional.softplus returns its argument (its default `threshold`).
THRESHOLD = 20.0

#: Bounds of |silu′| and |silu″|, both for all x: 1.0998… at 2.3994, and ½ at 0.
_SLOPE, _CURVE = 1.0999, 0.5


def _each(p: Precision) -> float:
    """w: the rounding of one operation whose result may be stored."""
    return p.u_accumulation + p.stores * p.u


def past_threshold(x: Ball) -> Array:
    """e^−max(20, x): what an implementation loses that takes 1+e⁻ˣ as 1 above the threshold."""
    r = x.radius
    lost = np.exp(-np.maximum(THRESHOLD, x.v - r))
    beyond: Array = np.where(x.v + r > THRESHOLD, lost, 0.0)
    return beyond


absolute.register(Ball, ball_absolute)


@softplus.register
def _(x: Ball) -> Ball:
    """The bound of the module, at the far end of the Ball; s is σ there, and moves by s·radius."""
    p, r = x.precision, x.radius
    y = softplus(x.v)
    s = sigmoid(x.v + r)
    moved = s * r
    w = _each(p)
    by_exp, by_log = exp_rate(p) + p.stores * p.u, ulps_rate(p) + p.stores * p.u
    own = by_exp * s + (by_log + w) * (y + moved) + (0.0 if p.relative else 2.0 * w)
    # log(1+ε) ≤ ε/(1−ε), and products of several errors are below 1/(1−ε) as well.
    own = own / (1.0 - (by_exp + by_log + 3.0 * w))
    floor = 2.0 * UNDERFLOW_SLACK * p.storage.eta
    radius = moved + SLACK * (own + floor + past_threshold(x))
    return settled_ball(p, y, stored(p, y, radius))


@log_sigmoid.register
def _(x: Ball) -> Ball:
    """−softplus(−x): its forms are those of softplus, and torch's min(x, 0) − log1p(e^−|x|)."""
    return -softplus(-x)


@silu.register
def _(x: Ball) -> Ball:
    """x σ(x), with the error of σ in every form (`activations`), or x/(1+e⁻ˣ).

    The product or quotient is one more rounding.  The exponential and 1+e⁻ˣ may be stored, which
    is two more.  Where e⁻ˣ overflows, x/(1+e⁻ˣ) is 0, and σ is below η.
    """
    p, r, own = x.precision, x.radius, x.absolute
    s = sigmoid(Ball(x.v, p))
    y = x.v * s.v
    moved = r * _silu_slope(x)
    far = own + r
    # σ is computed at the subject's argument, where its error may be more by its rate.
    sigma = s.radius + (ulps_rate(p) + p.stores * p.u) * np.minimum(0.25 * r, 1.0)
    rest = (p.u_accumulation + 2.0 * p.stores * p.u) * (np.abs(y) + moved + far * sigma)
    floor = UNDERFLOW_SLACK * p.storage.eta
    radius = moved + SLACK * (far * sigma + rest + np.minimum(far, floor))
    return settled_ball(p, y, stored(p, np.abs(y), radius))


def _silu_slope(x: Ball) -> Array:
    """sup |silu′| over the Ball: silu′ = σ(1 + xσ(−x)) is below (1+|x|)eˣ for x < 0."""
    r, s = x.radius, sigmoid(x.v)
    here = np.abs(s * (1.0 + x.v * sigmoid(-x.v))) + _CURVE * r
    high = np.minimum(x.v + r, 0.0)
    tail = (1.0 - high) * np.exp(high)
    slope: Array = np.minimum(np.minimum(here, _SLOPE), np.where(high < 0, tail, _SLOPE))
    return slope


@hard_sigmoid.register
def _(x: Ball, slope: float = 1 / 6, offset: float = 0.5) -> Ball:
    """slope·x + offset, cut to [0, 1], with three roundings of each term.

    slope·x + offset rounds the slope, the product and the sum.  (x + c)·slope, or (x + c) over
    1/slope, rounds the sum, the constant and the last operation; c = offset/slope is exact where
    it is 3 or 2.5.  The cut may come before the last product: 6·(1/6) and 5·0.2 round to 1 in every
    format (tests/reference/test_ball_functions.py).
    """
    p = x.precision
    r = None if x.exact else abs(slope) * x.radius
    m = abs(slope) * (x.absolute + x.radius) + abs(offset)
    return clip(Ball(slope * x.v + offset, p, r, m, roundings=3), 0.0, 1.0)


@hard_tanh.register
def _(x: Ball) -> Ball:
    """A cut to [−1, 1], which rounds nothing."""
    return clip(x, -1.0, 1.0)
