"""Comparisons of Balls: certain where the Balls do not meet; else both sides are in the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.reference.ball import Ball, exact
from gatewise.reference.ball_decisions import either
from gatewise.reference.formats import PRECISIONS, SLACK, Array, Precision
from tests.reference.simulated import NAMES, Library, draws, libraries, moved, worst

P = PRECISIONS["float32"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Infinite radii are tried on purpose."""
    with np.errstate(all="ignore"):
        yield


def near_ties(p: Precision, seed: int) -> tuple[Ball, Array, Ball, Array]:
    """Two Balls, many of whose values are equal or nearly so, and numbers near their ends."""
    x = draws(p, seed)
    rng = np.random.RandomState(seed)
    y = p.storage.round(x * (1.0 + rng.choice([0.0, 1e-3, 0.1, -1e-3], x.shape)))
    y = np.where(np.isfinite(y), y, x)
    first, to_x = moved(x, p, seed, 0.05)
    second, to_y = moved(y, p, seed + 1, 0.05)
    return first, to_x, second, to_y


CHOICES: dict[str, Callable[[Any, Any], Any]] = {
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda a, b: np.where(a > b, a, b),
    "where of others": lambda a, b: np.where(a <= b, a + a, b),
    "where of numbers": lambda a, b: np.where(b < a, 3.0, a),
    "both": lambda a, b: np.where((a > b) & (b > 0.0), a, b),
    "one": lambda a, b: np.where((a >= b) | ~(b > 1.0), a, b),
    "where equal": lambda a, b: np.where(a == b, 1.0, a * b),
    "where not equal": lambda a, b: np.where(0.0 != b, a, b),
    "clip": lambda a, b: np.clip(a, -2.0, 0.5) + 0.0 * b,
    "clip above": lambda a, b: np.clip(a, None, 0.5) + 0.0 * b,
}


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("name", CHOICES)
def test_whatever_a_subject_decides_is_in_the_ball(name: str, precision: str) -> None:
    f, largest = CHOICES[name], 0.0
    for seed in range(8):
        first, to_x, second, to_y = near_ties(PRECISIONS[precision], seed)
        got = f(to_x, to_y)
        ball = f(first, second)
        inside = np.isfinite(got) & np.isfinite(ball.v)
        largest = max(largest, worst(ball[inside], got[inside]))
    assert 0.7 <= largest <= 1, largest


def test_a_comparison_is_certain_where_the_balls_do_not_meet() -> None:
    a = Ball(np.array([1.0, 2.0, 3.0, 2.0]), P, np.array([0.4, 0.4, 0.4, 0.0]))
    b = Ball(np.array([2.0, 2.0, 2.0, 2.0]), P, np.array([0.4, 0.4, 0.4, 0.0]))
    for more in (a > b, b < a):
        assert more.value.tolist() == [False, False, True, False]
        assert more.certain.tolist() == [True, False, True, True]
    assert (a == b).certain.tolist() == [True, False, True, True]
    assert (a != b).value.tolist() == [True, False, True, False]
    assert (a >= b).value.tolist() == [False, True, True, True]
    assert (~(a > b)).value.tolist() == [True, True, False, True]
    chosen = np.where(a > b, a, b)
    assert chosen.radius.tolist() == [0.4, 0.4, 0.4, 0.0]
    apart = np.where(a > b, 10.0, exact(np.zeros(4), P))
    assert apart.v.tolist() == [0.0, 0.0, 10.0, 0.0]
    assert [r >= 10.0 for r in apart.radius] == [False, True, False, False]


def test_what_is_not_chosen_for_certain_does_not_count() -> None:
    """A quotient by 0 that np.where leaves out leaves the result bounded."""
    x = exact(np.array([0.0, 2.0]), P)
    guarded = np.where(x > 0.0, 1.0 / x, 0.0)
    assert guarded.v.tolist() == [0.0, 0.5]
    assert np.isfinite(guarded.radius).all()
    unknown = Ball(np.zeros(2), P, np.array([1.0, 1.0]))
    assert not np.isfinite(np.where(unknown > 0.0, 1.0 / x, 0.0).radius[0])


def test_subnormal_numbers_may_be_zeros_in_a_comparison() -> None:
    tiny, zero = exact(np.array([P.storage.eta / 2, P.storage.eta]), P), exact(np.zeros(2), P)
    assert (tiny > zero).certain.tolist() == [False, True]
    assert (zero >= zero).certain.all()


def test_a_maximum_is_as_uncertain_as_what_reaches_past_it() -> None:
    a = Ball(np.array([0.0, 0.0, 0.0]), P, np.array([0.125, 0.125, 0.125]))
    b = Ball(np.array([-4.0, -0.5, 0.0]), P, np.array([1.0, 1.0, 1.0]))
    assert np.array_equal(np.maximum(a, b).v, np.zeros(3))
    radius = np.maximum(a, b).radius
    assert radius[0] == 0.125
    assert 0.5 <= radius[1] <= SLACK * 0.5
    assert radius[2] == 1.0
    both = np.maximum(exact(np.ones(2), P), exact(np.zeros(2), P))
    assert not both.radius.any()


#: Orders of s + t − m, where m is the maximum or minimum of s + t and another value.
ORDERS: dict[str, Callable[[Library, Array, Array, Array], Array]] = {
    "in turn": lambda lib, s, t, m: lib.held(lib.held(s + t) - m),
    "first with t": lambda lib, s, t, m: lib.held(s + lib.held(t - m)),
    "first with s": lambda lib, s, t, m: lib.held(t + lib.held(s - m)),
    "rounded once": lambda lib, s, t, m: lib.held(s + t - m),
    "negative": lambda lib, s, t, m: -lib.held(lib.held(m - s) - t),
}


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("extreme", [np.maximum, np.minimum])
@pytest.mark.parametrize("order", ORDERS)
def test_a_sum_and_its_maximum_cancel_in_every_order(
    order: str, extreme: Any, precision: str
) -> None:
    largest, p = 0.0, PRECISIONS[precision]
    for lib in libraries(precision):
        for seed in range(4):
            first, to_s, second, to_t = near_ties(p, seed)
            third, to_y = moved(np.roll(first.v, 5), p, seed + 2, 0.05)
            x = first + second
            ball = x - extreme(x, third)
            assert np.array_equal((extreme(x, third) - x).radius, ball.radius, equal_nan=True)
            m = lib.store(extreme(lib.store(to_s + to_t), to_y))
            got = ORDERS[order](lib, to_s, to_t, m)
            inside = np.isfinite(got) & np.isfinite(ball.v)
            largest = max(largest, worst(ball[inside], got[inside]))
    assert 0.5 <= largest <= 1, largest


def test_what_an_argument_is_off_by_cancels_against_its_maximum() -> None:
    x = Ball(np.array([3.0, 1.0, 2.0]), P, np.array([0.5, 0.5, 0.5]))
    y = Ball(np.array([1.0, 3.0, 2.0]), P, np.array([0.25, 0.25, 0.25]))
    radius = (x - np.maximum(x, y)).radius
    assert radius[0] <= 8 * P.u * 3.0
    assert radius[1] >= 0.75
    assert radius[2] >= 0.75
    # Another Ball of the same value is another value.
    assert (x[...] - np.maximum(x, y)).radius[0] >= 1.0


def test_a_cut_confines_its_result() -> None:
    x = Ball(np.array([0.2, 5.0, -9.0, 0.2]), P, np.array([3.0, 1.0, 2.0, np.inf]))
    cut = np.clip(x, -1.0, 1.0)
    assert cut.v.tolist() == [0.2, 1.0, -1.0, 0.2]
    assert 1.2 <= cut.radius[0] <= SLACK * 1.2
    assert cut.radius[1] == cut.radius[2] == 0.0
    # A subject may have NaN where its argument is not bounded.
    assert not np.isfinite(cut.radius[3])


def test_either_contains_all_of_its_forms() -> None:
    forms = [Ball(np.array([v]), P, np.array([r])) for v, r in ((1.0, 0.5), (3.0, 0.25), (0.0, 0))]
    assert 2.25 <= either(*forms).radius[0] <= SLACK * 2.25


@pytest.mark.parametrize(
    "use",
    [
        lambda decision, x: bool(decision),
        lambda decision, x: decision * x,
        lambda decision, x: x * decision,
        lambda decision, x: np.asarray(decision),
        lambda decision, x: np.sum(decision),
        lambda decision, x: np.concatenate([decision, x]),
    ],
)
def test_a_comparison_is_used_in_where_alone(use: Callable[[Any, Ball], Any]) -> None:
    x = exact(np.array([1.0, 2.0]), P)
    with pytest.raises(TypeError) as told:
        use(x > 1.5, x)
    assert "\n" not in str(told.value)
