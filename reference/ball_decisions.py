"""Comparisons of Balls and what they choose: np.where, np.maximum, np.minimum and np.clip.

A comparison is certain where the two Balls do not meet.  Where they meet, a correct implementation
may find either, and the result of `np.where` is a Ball that contains both of its sides.

**x − max(x, y)** is 0 where x is the larger for certain, however far x itself is off: the maximum
is x.  So the exponent of a stabilised exponential may be known where x is not.  An implementation
may have x as a sum, and subtract the maximum from a part of it first, as in log f + (m − m').  It
forms each term of x once, so the errors of the terms cancel.  What is left are the roundings of the
additions: once in the maximum and once in the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import clip_ends
from .ball_core import FUNCTIONS, NO_TRUTH, UFUNCS, Ball, settled_ball
from .ball_rules import where as plain_where
from .formats import Array, Precision

Booleans = npt.NDArray[np.bool_]

#: A difference of two float64 numbers is multiplied by this to be no less, or no more, than exact.
_UP, _DOWN = 1.0 + 2.0**-50, 1.0 - 2.0**-50


class Decision:
    """The result of a comparison: `value` in float64, and whether it is `certain`, elementwise.

    Supports `& | ~`, indexing and `np.where(decision, x, y)`.
    """

    __slots__ = ("certain", "precision", "value")

    def __init__(self, value: Booleans, certain: Booleans, precision: Precision) -> None:
        self.value, self.certain, self.precision = value, certain, precision

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the comparison."""
        return self.value.shape

    def __and__(self, other: Any) -> Decision:
        other = self._lift(other)
        no = (self.certain & ~self.value) | (other.certain & ~other.value)
        certain = (self.certain & other.certain) | no
        return Decision(self.value & other.value, certain, self.precision)

    __rand__ = __and__

    def __or__(self, other: Any) -> Decision:
        return ~(~self & ~self._lift(other))

    __ror__ = __or__

    def __invert__(self) -> Decision:
        return Decision(~self.value, self.certain, self.precision)

    def __getitem__(self, index: Any) -> Decision:
        return Decision(self.value[index], self.certain[index], self.precision)

    def _lift(self, x: Any) -> Decision:
        if isinstance(x, Decision):
            return x
        value = np.asarray(x, dtype=np.bool_)
        return Decision(value, np.ones_like(value), self.precision)

    def __bool__(self) -> bool:
        raise TypeError(NO_TRUTH)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("a comparison of Balls is no array: use np.where(a > b, x, y)")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        raise TypeError(f"np.{ufunc.__name__} has no rule for a comparison of Balls: use np.where")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is not np.where:
            raise TypeError(f"np.{func.__name__} has no rule for a comparison of Balls")
        if not all(issubclass(t, Decision | Ball | np.ndarray) for t in types):
            return NotImplemented  # the rule of a Dual
        return where(*args, **kwargs)


def apart(a: Ball, b: Ball) -> Booleans:
    """Whether two Balls do not meet; numbers below η may both be taken as zeros, so they do."""
    ra, rb, eta = a.radius, b.radius, a.precision.storage.eta
    gap = np.abs(a.v - b.v) * _DOWN > ra + rb
    tiny = np.maximum(a.absolute + ra, b.absolute + rb) < eta
    certain: Booleans = gap & ~tiny
    return certain


def _comparison(ufunc: np.ufunc) -> Callable[[Ball, Ball], Decision]:
    """The rule of a comparison: two exact Balls of one value are equal for certain."""

    def compare(a: Ball, b: Ball) -> Decision:
        equal = (a.v == b.v) & (a.radius == 0) & (b.radius == 0)
        return Decision(ufunc(a.v, b.v), apart(a, b) | equal, a.precision)

    return compare


def where(mask: Any, x: Any, y: Any) -> Ball:
    """x or y: the side that is certain, and else a Ball around one side that contains the other."""
    if not isinstance(mask, Decision):
        chosen: Ball = plain_where(mask, x, y)
        return chosen
    like = Ball(np.zeros(()), mask.precision)
    x, y = like.lift(x), like.lift(y)
    chosen = plain_where(mask.value, x, y)
    certain = np.broadcast_to(mask.certain, chosen.shape)
    if certain.all():
        return chosen
    between = np.abs(x.v - y.v) * _UP
    other = between + np.where(mask.value, y.radius, x.radius)
    r = np.where(certain, chosen.radius, np.maximum(chosen.radius, other))
    result = settled_ball(mask.precision, chosen.v, r)
    result.reach = chosen.reach
    return result


def either(first: Ball, *others: Ball) -> Ball:
    """A Ball around `first` that contains all `others`: forms of one formula, each in its Ball."""
    r = first.radius
    for other in others:
        r = np.maximum(r, np.abs(first.v - other.v) * _UP + other.radius)
    return settled_ball(first.precision, first.v, r)


class Extreme(Ball):
    """max or min of two Balls, which knows them: see x − max(x, y) in the module."""

    __slots__ = ("sides",)

    sides: tuple[Ball, Ball]

    def __sub__(self, other: Any) -> Ball:
        return self._difference(other, super().__sub__(other))

    def __rsub__(self, other: Any) -> Ball:
        return self._difference(other, super().__rsub__(other))

    def _difference(self, other: Any, ball: Ball) -> Ball:
        """`ball`, the difference from `other`: its radius is less where `other` was chosen."""
        if not any(side is other for side in self.sides):
            return ball
        # The side that won equals the extreme in float64 too, and the loser does not meet it.
        chosen = (other.v == self.v) & apart(*self.sides)
        terms = _terms(other)
        left = terms._sum(ball.v, terms.settled()).radius
        return settled_ball(self.precision, ball.v, np.where(chosen, left, ball.radius))


def _terms(x: Ball) -> Ball:
    """The sum that x is, of terms that are known; one that is stored may be used unstored too."""
    terms = x[...]
    terms.r, terms.m, terms.products, terms._radius = None, x.magnitude, 0, None
    terms.roundings = max(x.roundings, x.precision.stores)
    return terms


def _extreme(ufunc: np.ufunc) -> Callable[[Ball, Ball], Ball]:
    """max or min: it rounds nothing, and the loser counts as far as it reaches past the winner."""

    def extreme(a: Ball, b: Ball) -> Ball:
        v = ufunc(a.v, b.v)
        past = [ball.radius - np.abs(v - ball.v) * _DOWN for ball in (a, b)]
        if a.exact and b.exact:
            return Ball(v, a.precision)
        result = Extreme(v, a.precision, np.maximum(np.maximum(*past), 0.0))
        result._radius, result.sides = result.r, (a, b)
        return result

    return extreme


_maximum, minimum = _extreme(np.maximum), _extreme(np.minimum)


def maximum(a: Ball, b: Ball) -> Ball:
    """max; with the constant 0 it is relu, and keeps the radius of its argument wherever it is."""
    if b.exact and not b.ndim and not b.v:
        return Ball(np.maximum(a.v, b.v), a.precision, None if a.exact else a.radius)
    return _maximum(a, b)


def clip(x: Any, low: Any = None, high: Any = None, **named: Any) -> Ball:
    """x cut to [low, high], constants or None: its error is also at most that range."""
    low, high = clip_ends(low, high, named)
    if named or not isinstance(x, Ball):
        raise TypeError("np.clip of Balls has a rule for np.clip(ball, low, high) only")
    ball = x
    if low is not None:
        ball = _maximum(ball, x.lift(low))
    if high is not None:
        ball = minimum(ball, x.lift(high))
    if low is None or high is None or ball.exact:
        return ball
    ends = [x.lift(end) for end in (low, high)]
    most: Array = np.maximum(*(np.abs(ball.v - end.v) * _UP + end.radius for end in ends))
    # An infinite radius stays: the subject may have NaN there.
    r = np.where(np.isfinite(ball.radius), np.minimum(ball.radius, most), ball.radius)
    return settled_ball(x.precision, ball.v, r)


UFUNCS.update({np.maximum: maximum, np.minimum: minimum})
_ORDERS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
UFUNCS.update({f: _comparison(f) for f in _ORDERS})
FUNCTIONS.update({np.where: where, np.clip: clip})
