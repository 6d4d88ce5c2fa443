"""softplus, log σ, SiLU and the functions with kinks stay in their Balls, in every form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

from gatewise.reference.ball import exact
from gatewise.reference.formats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, PRECISIONS, Array
from gatewise.reference.functions import (
    absolute,
    hard_sigmoid,
    hard_tanh,
    log_sigmoid,
    silu,
    softplus,
)
from tests.reference.simulated import (
    NAMES,
    Form,
    Library,
    draws,
    in_fifty_digits,
    libraries,
    moved,
    of,
    true_sigmoid,
    worst,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Overflow is tried on purpose."""
    with np.errstate(all="ignore"):
        yield


def stable(m: Library, x: Array) -> Array:
    return m.held(np.maximum(x, 0.0) + m.log1p(m.exp(-np.abs(x))))


def thresholded(m: Library, x: Array, y: Array) -> Array:
    """y, and x itself above torch's threshold; where eˣ overflows below it, the stable form."""
    finite = np.where(np.isfinite(m.held(np.exp(x))), y, stable(m, x))
    return np.where(x > 20.0, x, finite)


def by_log1p(m: Library, x: Array) -> Array:
    return thresholded(m, x, m.log1p(m.exp(np.minimum(x, 20.0))))


def by_log(m: Library, x: Array) -> Array:
    return thresholded(m, x, m.log(m.held(1.0 + m.exp(np.minimum(x, 20.0)))))


def by_sigmoid(m: Library, x: Array) -> Array:
    """−log σ(−x), where σ does not underflow; else as above."""
    low = np.log(m.p.storage.eta) + 1.0
    return np.where(x < -low, -m.log(m.sigmoid(-np.minimum(x, -low))), x)


def two_sided(m: Library, x: Array) -> Array:
    """log σ as torch computes it: min(x, 0) − log1p(e^−|x|)."""
    return -m.held(np.minimum(-x, 0.0) - m.log1p(m.exp(-np.abs(x))))


SOFTPLUS: list[Form] = [stable, by_log1p, by_log, by_sigmoid, two_sided]
SILU: list[Form] = [
    lambda m, x: m.held(x * m.sigmoid(x)),
    lambda m, x: m.held(x * m.sigmoid_by_tanh(x)),
    lambda m, x: m.held(x / m.held(1.0 + m.exp(-x))),
]


def hard(slope: float, over: float) -> list[Form]:
    """slope·x + ½ cut to [0, 1], and the cut of x + over to [0, 2 over] times the slope."""

    def by_sum(m: Library, x: Array) -> Array:
        a = m.held(m.held(m.held(np.asarray(slope)) * x) + 0.5)
        return np.clip(a, 0.0, 1.0)

    def by_product(m: Library, x: Array) -> Array:
        inside = np.clip(m.held(x + over), 0.0, 2.0 * over)
        return m.held(inside * m.held(np.asarray(slope)))

    def by_quotient(m: Library, x: Array) -> Array:
        return m.held(np.clip(m.held(x + over), 0.0, 2.0 * over) / (2.0 * over))

    return [by_sum, by_product, by_quotient]


def mirrored(form: Form) -> Form:
    """−f(−x) from a form of f."""
    return lambda m, x: -form(m, -x)


def cut(x: Any, low: float, high: float) -> Any:
    return min(max(x, mpf(low)), mpf(high))


#: Name → function, the same in 50 digits, forms, and the least share of the radius that is reached.
FUNCTIONS: dict[str, tuple[Any, Callable[[mpf], mpf], list[Form], float]] = {
    "softplus": (softplus, lambda x: mpmath.log(1 + mpmath.exp(x)), SOFTPLUS, 0.4),
    "log_sigmoid": (
        log_sigmoid,
        lambda x: -mpmath.log(1 + mpmath.exp(-x)),
        [mirrored(f) for f in SOFTPLUS],
        0.4,
    ),
    "silu": (silu, lambda x: x * true_sigmoid(x), SILU, 0.4),
    "hard_sigmoid": (hard_sigmoid, lambda x: cut(x / 6 + mpf(0.5), 0, 1), hard(1 / 6, 3.0), 0.3),
    "hard_sigmoid_fifth": (
        lambda x: hard_sigmoid(x, 0.2),
        lambda x: cut(x / 5 + mpf(0.5), 0, 1),
        hard(0.2, 2.5),
        0.3,
    ),
    "hard_tanh": (hard_tanh, lambda x: cut(x, -1, 1), [lambda m, x: np.clip(x, -1.0, 1.0)], 0.0),
    "absolute": (absolute, abs, [lambda m, x: np.abs(x)], 0.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_lies_within_half_of_the_ball_of_fifty_digits(name: str) -> None:
    f, digits, _, _ = FUNCTIONS[name]
    x = draws(PRECISIONS["float64"], 0, 1600)
    x = x[np.abs(x) < 1e4]
    assert in_fifty_digits(digits, x, f(of("float64", x))) <= 0.5


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_form_stays_in_the_ball(name: str, precision: str) -> None:
    f, _, forms, least = FUNCTIONS[name]
    largest = 0.0
    for m in libraries(precision):
        x = draws(m.p, m.rng.randint(1000))
        for form in forms:
            largest = max(largest, worst(f(exact(x, m.p)), m.store(form(m, x))))
    assert least <= largest <= 1, largest


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_inexact_argument_moves_the_result_within_its_radius(name: str, precision: str) -> None:
    f, _, forms, _ = FUNCTIONS[name]
    largest = 0.0
    for m in libraries(precision, 4):
        x = draws(m.p, m.rng.randint(1000))
        for most in (0.9, 1e-2):
            ball, to = moved(x, m.p, m.rng.randint(1000), most)
            for form in forms:
                largest = max(largest, worst(f(ball), m.store(form(m, to))))
    assert 0.7 <= largest <= 1, largest


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_relative_precisions_leave_out_the_forms_without_relative_accuracy(precision: str) -> None:
    p = PRECISIONS[precision]
    strict, x = p.with_relative_tails, draws(p, 0)
    ball = softplus(exact(x, strict))
    for form in (stable, by_log1p, two_sided):
        assert worst(ball, form(Library(p, 0), x)) <= 1
    for form in (by_log, by_sigmoid):
        assert worst(ball, form(Library(p, 0), x)) > 1e3


#: The function of torch, and by which `functions` compute the same.
TORCH: dict[str, tuple[Any, Any]] = {
    "softplus": (torch.nn.functional.softplus, softplus),
    "logsigmoid": (torch.nn.functional.logsigmoid, log_sigmoid),
    "silu": (torch.nn.functional.silu, silu),
    "hardsigmoid": (torch.nn.functional.hardsigmoid, hard_sigmoid),
    "hardtanh": (torch.nn.functional.hardtanh, hard_tanh),
    "exp": (torch.exp, np.exp),
    "expm1": (torch.expm1, np.expm1),
    "log": (torch.log, np.log),
    "log1p": (torch.log1p, np.log1p),
    "sqrt": (torch.sqrt, np.sqrt),
    "reciprocal": (torch.reciprocal, np.reciprocal),
}


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", TORCH)
def test_torch_lies_within_the_ball(name: str, precision: str) -> None:
    theirs, ours = TORCH[name]
    p = PRECISIONS[precision]
    x = draws(p, 5)
    x = x[x > 0] if name in ("log", "sqrt") else x[x > -1] if name == "log1p" else x[x != 0]
    got = theirs(torch.from_numpy(x).to(getattr(torch, precision))).double().numpy()
    assert worst(ours(exact(x, p)), got) <= 1


def test_the_cut_may_come_before_the_product() -> None:
    """6·fl(1/6) and 5·fl(0.2) round to 1 in every format, so a saturated gate is 1 in each form."""
    for f in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16):
        assert f.round(6.0 * f.round(1.0 / 6.0)) == f.round(5.0 * f.round(0.2)) == 1.0


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "silu", "hard_sigmoid", "hard_tanh"])
def test_a_complex_step_differentiates_it(name: str) -> None:
    f, digits, _, _ = FUNCTIONS[name]
    x, step = np.array([-30.0, -2.9, -0.7, 0.3, 0.9, 2.0, 40.0]), 1e-100
    got = np.imag(f(x + 1j * step)) / step
    with mpmath.workdps(50):
        want = np.array([float(mpmath.diff(digits, mpf(v))) for v in x])
    # Some roundings of a number of at most 1.1, and some of a small slope.
    assert (np.abs(got - want) <= 64 * 2.0**-53).all()
    assert (np.abs(np.real(f(x + 1j * step)) - f(x)) <= 8 * 2.0**-53 * np.abs(f(x))).all()
