"""Quotients, powers, exp, log and their kin: each result stays in its Ball, in every precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, Array
from tests.reference.simulated import (
    NAMES,
    Form,
    Library,
    draws,
    in_fifty_digits,
    libraries,
    moved,
    of,
    worst,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Poles and overflow are tried on purpose."""
    with np.errstate(all="ignore"):
        yield


#: Name → function, the same in 50 digits, its domain, and forms of an implementation.
FUNCTIONS: dict[str, tuple[Any, Callable[[mpf], mpf], Callable[[Array], Array], list[Form]]] = {
    "exp": (np.exp, mpmath.exp, lambda x: x < 700, [Library.exp]),
    "expm1": (np.expm1, mpmath.expm1, lambda x: x < 700, [Library.expm1]),
    "log": (np.log, mpmath.log, lambda x: x > 0, [Library.log]),
    "log1p": (np.log1p, mpmath.log1p, lambda x: x > -1, [Library.log1p]),
    "sqrt": (np.sqrt, mpmath.sqrt, lambda x: x >= 0, [Library.sqrt]),
    "root": (
        lambda b: b**0.5,
        mpmath.sqrt,
        lambda x: x >= 0,
        [Library.sqrt, lambda m, x: m.pow(x, 0.5)],
    ),
    "square": (np.square, lambda x: x * x, lambda x: x == x, [lambda m, x: m.held(x * x)]),
    "power": (lambda b: b**2, lambda x: x * x, lambda x: x == x, [lambda m, x: m.held(x * x)]),
    "reciprocal": (np.reciprocal, lambda x: 1 / x, lambda x: x != 0, [lambda m, x: m.held(1 / x)]),
    "absolute": (abs, abs, lambda x: x == x, [lambda m, x: np.abs(x)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_lies_within_half_of_the_ball_of_fifty_digits(name: str) -> None:
    f, digits, domain, _ = FUNCTIONS[name]
    x = draws(PRECISIONS["float64"], 0, 1600)
    # A square that float64 takes as 0 is 0 in every implementation too.
    x = x[domain(x) & ((np.abs(x) > 1e-150) | (name not in ("square", "power")))]
    ratio = in_fifty_digits(digits, x, f(of("float64", x)))
    # The library behind the reference is far better than the bound, and |x| is exact.
    assert (0.02 if name != "absolute" else 0.0) <= ratio <= 0.5


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_library_as_bad_as_stated_stays_in_the_ball(name: str, precision: str) -> None:
    f, _, domain, forms = FUNCTIONS[name]
    largest = 0.0
    for m in libraries(precision):
        x = draws(m.p, m.rng.randint(1000))
        x = x[domain(x)]
        for form in forms:
            got = m.store(form(m, x))
            ball = f(exact(x, m.p))
            largest = max(largest, worst(ball, got))
            if name != "absolute":  # which rounds nothing
                flushed = np.where(np.abs(got) < m.p.storage.eta, 0.0, got)
                largest = max(largest, worst(ball, flushed))
    # A single operation reaches a quarter of its charge.  In float64 the reference rounds alike.
    correctly_rounded = precision == "float64" and name in ("sqrt", "square", "power", "reciprocal")
    assert (0.0 if name == "absolute" or correctly_rounded else 0.25) <= largest <= 1, largest


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_inexact_argument_moves_the_result_within_its_radius(name: str, precision: str) -> None:
    f, _, domain, forms = FUNCTIONS[name]
    largest = 0.0
    for m in libraries(precision, 4):
        x = draws(m.p, m.rng.randint(1000))
        for most in (0.9, 1e-2):
            x = x[domain(x)]
            ball, to = moved(x, m.p, m.rng.randint(1000), most)
            for form in forms:
                largest = max(largest, worst(f(ball), m.store(form(m, to))))
    assert 0.7 <= largest <= 1, largest


@pytest.mark.parametrize("name", ["log", "log1p", "sqrt", "reciprocal"])
def test_outside_of_the_domain_there_is_no_bound(name: str) -> None:
    for precision in NAMES:
        p, r = PRECISIONS[precision], 2.0**-4
        pole = -1.0 if name == "log1p" else 0.0
        for x in (pole + r / 2, pole, pole + r * (1 - 2.0**-6)):
            ball = FUNCTIONS[name][0](Ball(np.array([x]), p, np.array([r])))
            assert not np.isfinite(ball.radius).any()
        beside = FUNCTIONS[name][0](Ball(np.array([pole + 2 * r]), p, np.array([r])))
        assert np.isfinite(beside.radius).all()


@pytest.mark.parametrize("precision", NAMES)
def test_beyond_the_largest_number_there_is_no_bound(precision: str) -> None:
    p = PRECISIONS[precision]
    f = p.storage
    top, root = np.array([f.largest]), np.array([2.0 ** ((f.max_exponent + 1) / 2)])
    over = np.exp(exact(np.array([np.log(f.largest) * (1 + 2.0**-6)]), p))
    assert not np.isfinite(over.radius).any()
    assert not np.isfinite(np.square(exact(root * 1.01, p)).radius).any()
    assert not np.isfinite((exact(top, p) / 0.5).radius).any()
    assert np.isfinite((exact(top, p) / 4.0).radius).all()


@pytest.mark.parametrize("precision", NAMES)
def test_a_quotient_in_both_forms(precision: str) -> None:
    largest = 0.0
    for m in libraries(precision):
        a, b = (draws(m.p, m.rng.randint(1000)) for _ in range(2))
        b = m.rng.permutation(b)
        ball = exact(a, m.p) / exact(b, m.p)
        whole = [np.where(np.abs(v) < m.p.storage.eta, 0.0, v) for v in (a, b)]
        for got in (m.held(a / b), m.held(whole[0] / whole[1]), m.held(a * m.held(1.0 / b))):
            largest = max(largest, worst(ball, m.store(got)))
        # An inverse that is subnormal may be zero.
        inverse = m.held(1.0 / b)
        inverse = np.where(np.abs(inverse) < m.p.storage.eta, 0.0, inverse)
        largest = max(largest, worst(ball, m.store(a * inverse)))
        for most in (0.9, 1e-2, 1e-5):
            first, to_a = moved(a, m.p, m.rng.randint(1000), most)
            second, to_b = moved(b, m.p, m.rng.randint(1000), most)
            largest = max(largest, worst(first / second, m.store(to_a / to_b)))
    assert 0.4 <= largest <= 1, largest


def test_zero_stays_exact_and_a_power_without_a_rule_raises() -> None:
    p = PRECISIONS["float32"]
    zero, one = exact(np.zeros(2), p), exact(np.ones(2), p)
    for ball in (zero / one, np.sqrt(zero), np.square(zero), abs(zero)):
        assert not ball.v.any()
        assert not ball.radius.any()
    assert np.array_equal((one**-1).v, one.v)
    for exponent in (3, 1.5, one):
        with pytest.raises(TypeError, match=r"x \*\* n has a rule for n"):
            one**exponent


@pytest.mark.parametrize("precision", NAMES)
def test_a_number_that_the_format_cannot_hold_is_rounded(precision: str) -> None:
    """0.1·x in an implementation is fl(0.1)·x; 0.5·x is not more than one rounding."""
    p = PRECISIONS[precision]
    x = draws(p, 0)
    for factor in (0.1, 1.0 / 3.0, 0.5):
        got = p.storage.round(p.storage.round(factor) * x)
        assert worst(factor * exact(x, p), got) <= 1
    small = p.storage.eta / 2
    assert (np.abs(0.0 - small) <= (exact(np.zeros(1), p) + small).radius).all()


@pytest.mark.parametrize(
    ("operation", "name"),
    [(np.exp2, "exp2"), (np.std, "std"), (lambda b: np.add.reduce(b), "add.reduce")],
)
def test_the_message_of_an_operation_without_a_rule_is_one_line(operation: Any, name: str) -> None:
    with pytest.raises(TypeError) as told:
        operation(exact(np.ones(3), PRECISIONS["float32"]))
    assert str(told.value).startswith(f"np.{name} has no rule for Balls")
    assert "\n" not in str(told.value)
