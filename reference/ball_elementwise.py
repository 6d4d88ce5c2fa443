"""Rules of Balls for NumPy's elementwise functions: quotients, powers, exp, log and their kin.

A function f that a library computes is charged as tanh is.  The result is off by at most
sup|f′|·radius from the argument, and by `rate`·|f| from the library, at the subject's argument.
Then it is rounded to storage, if that is another format than that of accumulation.

- sqrt is within one ulp, so its rate is 2u.  IEEE 754-2019, 5.4.1, has it correctly rounded, but
  the vectorised sqrt that torch calls on a CPU is not: it is off by 0.75 ulp in float32.
- exp is off by `Precision.exp_ulps`, and log, log1p and expm1 by `Precision.ulps`.  The table of
  the CUDA C++ Programming Guide states 1 ulp for each of these three, SLEEF states 1 ulp, and MKL
  VML's LA mode states less than 4.

A library may take a subnormal argument as zero, for the same reason as `Format.eta`.  It then
returns √0, log 0, a/0 or 0/b.  So √ and 0/b move by themselves there; log and a/0 have no bound.

Beyond the largest number of the format, and where the Ball of an argument leaves the domain of the
function, the subject may have ∞ or NaN, so the radius is infinite or NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .ball_core import UFUNCS, Ball, charged, settled_ball
from .formats import SLACK, Array, Precision

_ZERO, _ONE, _TWO = (np.asarray(float(x)) for x in (0, 1, 2))


def stored(p: Precision, own: Array, r: Array) -> Array:
    """The radius of a value of size `own`, known up to r in accumulation, after its storage."""
    if p.stores:
        return charged(p, own + r, r, p.charge(0, 1))
    return np.where(own + r <= p.storage.largest, r, np.inf)


def of_library(x: Ball, f: Array, rate: float, moved: Array) -> Ball:
    """Ball of a library function f of x with the relative error `rate` (see the module)."""
    p, own = x.precision, np.abs(f)
    r = SLACK * (rate * own + (1.0 + rate) * moved + p.accumulation.eta)
    ball = settled_ball(p, f, stored(p, own, r))
    ball.absolute = own
    return ball


def exp_rate(p: Precision) -> float:
    """Relative error of exp in a library, with that of the reference."""
    return 2.0 * p.exp_ulps * p.u_accumulation


def ulps_rate(p: Precision) -> float:
    """Relative error of log, log1p and expm1 in a library, with that of the reference."""
    return 2.0 * p.ulps * p.u_accumulation


def exp(x: Ball) -> Ball:
    """e^s − e^v is at most e^(v+r)·(1−e^−r), and less below v."""
    return of_library(x, np.exp(x.v), exp_rate(x.precision), exp_moved(x))


def exp_moved(x: Ball) -> Array:
    """sup |e^s − e^v| over the Ball."""
    r = x.radius
    moved: Array = np.exp(x.v + r) * -np.expm1(-r)
    return moved


def expm1(x: Ball) -> Ball:
    """e^s − 1 moves as e^s does; the library's error is relative to e^x − 1."""
    return of_library(x, np.expm1(x.v), ulps_rate(x.precision), exp_moved(x))


def log(x: Ball) -> Ball:
    """log v − log s is at most −log(1 − r/v), and less above v."""
    r = x.radius
    moved = np.where(x.v - r >= x.precision.storage.eta, -np.log1p(-r / x.v), np.inf)
    return of_library(x, np.log(x.v), ulps_rate(x.precision), moved)


def log1p(x: Ball) -> Ball:
    """As `log` for 1 + x, which the library does not round."""
    r, beyond = x.radius, _ONE + x.v
    moved = np.where(r < beyond, -np.log1p(-r / beyond), np.inf)
    return of_library(x, np.log1p(x.v), ulps_rate(x.precision), moved)


def sqrt(x: Ball) -> Ball:
    """√v − √s = (v − s)/(√v + √s), at most r/(√v + √(v−r)), and less above v."""
    return _root(x, 2.0 * x.precision.u_accumulation)


def _root(x: Ball, rate: float) -> Ball:
    p, r, f = x.precision, x.radius, np.sqrt(x.v)
    low = x.v - r
    moved = np.where(r == 0, _ZERO, r / (f + np.sqrt(np.maximum(low, _ZERO))))
    # A subnormal argument may be taken as 0; a negative one gives NaN.
    moved = np.where(low < p.storage.eta, np.maximum(moved, f), moved)
    moved = np.where(low < 0, np.inf, moved)
    # √ of a normal or subnormal number never underflows, and √0 is 0.
    own = SLACK * (rate * f + (1.0 + rate) * moved)
    return settled_ball(p, f, stored(p, f, own))


def divide(a: Ball, b: Ball) -> Ball:
    """|s/t − a/b| ≤ (r_a + |a/b| r_b)/(|b| − r_b); the quotient is then rounded, as a·(1/b) twice.

    A quotient is taken as correctly rounded, as everywhere in the reference (`activations`).

    1/t may underflow where a/b does not; then a·(1/t) is off by η|a| more.  There is no bound
    where the Ball of b contains 0, or a number that may be taken as 0.
    """
    p, q = a.precision, a.v / b.v
    ra, rb = a.radius, b.radius
    eta, far_a = p.storage.eta, a.absolute + ra
    near = b.absolute - rb
    near = np.where(near >= eta, near, np.nan)
    # A numerator that may be subnormal may be taken as 0.
    lost = np.where(a.absolute - ra < eta, np.minimum(far_a, eta), 0.0)
    moved = (ra + lost) / near + np.abs(q) * (rb / near)
    moved = np.where(np.isnan(near), np.inf, moved)
    tiny = b.absolute + rb > 1.0 / eta
    if tiny.any():
        moved = moved + np.where(tiny, SLACK * eta * far_a, 0.0)
    return Ball(q, p, moved, _above_underflow(p, np.abs(q) + moved, a), roundings=2)


def reciprocal(x: Ball) -> Ball:
    """1/x, as `divide`."""
    return divide(x.lift(1.0), x)


def square(x: Ball) -> Ball:
    """s² − v² = (s − v)(2v + (s − v)), exactly; then one rounding."""
    r = x.radius
    v, moved = x.v * x.v, r * (_TWO * x.absolute + r)
    return Ball(v, x.precision, moved, _above_underflow(x.precision, v + moved, x), roundings=1)


def _above_underflow(p: Precision, size: Array, x: Ball) -> Array:
    """The size of a result, but η where only an underflow of float64 makes it 0."""
    nonzero = np.where(x.absolute + x.radius > 0, p.storage.eta, 0.0)
    larger: Array = np.maximum(size, nonzero)
    return larger


def absolute(x: Ball) -> Ball:
    """|·| is 1-Lipschitz and rounds nothing."""
    ball = x.settled()[...]
    ball.v = ball.absolute
    return ball


def power(x: Ball, exponent: Ball) -> Ball:
    """x², √x (by a library's pow as well, so within `Precision.ulps`), 1/x and x itself."""
    n = float(exponent.v) if exponent.exact and exponent.ndim == 0 else None
    if n == 0.5:
        return _root(x, ulps_rate(x.precision))
    rule = {2.0: square, 1.0: Ball.settled, -1.0: reciprocal}.get(n) if n is not None else None
    if rule is None:
        raise TypeError("x ** n has a rule for n = 2, 1, 0.5 and -1 only: write x * x * x for 3")
    return rule(x)


RULES: dict[np.ufunc, Any] = {
    np.exp: exp,
    np.expm1: expm1,
    np.log: log,
    np.log1p: log1p,
    np.sqrt: sqrt,
    np.divide: divide,
    np.reciprocal: reciprocal,
    np.square: square,
    np.absolute: absolute,
    np.power: power,
}
UFUNCS.update(RULES)
