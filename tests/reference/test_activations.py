"""The bounds of σ and tanh cover every form in which a correct implementation computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gatewise.reference.activations import sigmoid
from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import FLOAT32, PRECISIONS, Array, Precision


class Library:
    """exp, tanh and expm1 whose error is as large as `Precision` allows, of either sign."""

    def __init__(self, p: Precision, seed: int) -> None:
        self.p, self.rng = p, np.random.RandomState(seed)

    def round(self, x: Array) -> Array:
        return self.p.accumulation.round(x)

    def _spoiled(self, value: Array, ulps: float) -> Array:
        sign = self.rng.choice([-1.0, 1.0], value.shape)
        last = 2.0 * self.p.accumulation.u * 2.0 ** np.floor(np.log2(np.maximum(value, 1e-300)))
        near = self.round(value + sign * (ulps - 0.5) * last)
        return np.where(np.abs(near - value) <= ulps * last, near, value)

    def exp(self, x: Array) -> Array:
        return self._spoiled(np.exp(x), self.p.exp_ulps)

    def tanh(self, x: Array) -> Array:
        return np.copysign(self._spoiled(np.abs(np.tanh(x)), self.p.ulps), x)

    def expm1(self, x: Array) -> Array:
        return np.copysign(self._spoiled(np.abs(np.expm1(x)), 1.0), x)


Form = Callable[[Library, Array], Array]


def by_exp(m: Library, x: Array) -> Array:
    return m.round(1.0 / m.round(1.0 + m.exp(-x)))


def by_exp_of_x(m: Library, x: Array) -> Array:
    e = m.exp(x)
    return m.round(e / m.round(1.0 + e))


def mirrored(m: Library, x: Array) -> Array:
    return m.round(1.0 - by_exp(m, -x))


def by_tanh(m: Library, x: Array) -> Array:
    return 0.5 * m.round(1.0 + m.tanh(0.5 * x))


def clamped(m: Library, x: Array) -> Array:
    return by_exp(m, np.clip(x, -18.0, 18.0))


def by_sigmoid(m: Library, x: Array) -> Array:
    return m.round(2.0 * by_exp(m, 2.0 * x) - 1.0)


def by_sigmoid_mirrored(m: Library, x: Array) -> Array:
    return m.round(1.0 - 2.0 * by_exp(m, -2.0 * x))


def by_quotient(m: Library, x: Array) -> Array:
    e = m.exp(2.0 * x)
    return m.round(m.round(e - 1.0) / m.round(e + 1.0))


def by_expm1(m: Library, x: Array) -> Array:
    e = m.expm1(2.0 * x)
    return m.round(e / m.round(e + 2.0))


SIGMOIDS: tuple[Form, ...] = (by_exp, by_exp_of_x, mirrored, by_tanh, clamped)
TANHS: tuple[Form, ...] = (Library.tanh, by_sigmoid, by_sigmoid_mirrored, by_quotient, by_expm1)


def arguments(seed: int, p: Precision) -> Array:
    """Arguments of every size, of both signs, and many around 0."""
    rng = np.random.RandomState(seed)
    sizes = np.concatenate([np.exp2(rng.uniform(-30, 6, 40_000)), rng.uniform(0, 40, 40_000)])
    return p.storage.round(np.clip(sizes, 0, 40) * rng.choice([-1.0, 1.0], sizes.shape))


def worst(ball: Ball, got: Array) -> float:
    return float((np.abs(got - ball.v) / ball.radius).max())


@pytest.mark.parametrize("form", SIGMOIDS, ids=lambda form: form.__name__)
def test_sigmoid_is_covered_in_every_form(form: Form) -> None:
    p = PRECISIONS["float32"]
    for seed in range(5):
        x = arguments(seed, p)
        ratio = worst(sigmoid(exact(x, p)), form(Library(p, seed), x))
        assert 0.3 < ratio <= 1, ratio


@pytest.mark.parametrize("form", TANHS, ids=lambda form: form.__name__)
def test_tanh_is_covered_in_every_form(form: Form) -> None:
    p = PRECISIONS["float32"]
    for seed in range(5):
        x = np.clip(arguments(seed, p), -40, 40)
        ratio = worst(np.tanh(exact(x, p)), form(Library(p, seed), x))
        assert 0.3 < ratio <= 1, ratio


def test_relative_tails_are_a_claim_of_their_own() -> None:
    """By tanh and clamped, σ is inside the bound of values and outside that of relative tails."""
    p = PRECISIONS["float32"]
    strict, x = p.with_relative_tails, arguments(0, p)
    for form in (by_tanh, clamped, mirrored):
        assert worst(sigmoid(exact(x, strict)), form(Library(p, 0), x)) > 1e3
    for form in (by_exp, by_exp_of_x):
        assert worst(sigmoid(exact(x, strict)), form(Library(p, 0), x)) <= 1
    assert worst(np.tanh(exact(x, strict)), Library(p, 0).tanh(x)) <= 1
    assert worst(np.tanh(exact(x, strict)), by_sigmoid(Library(p, 0), x)) > 1e3


def test_gates_that_are_not_saturated_have_a_smaller_bound() -> None:
    """Around σ = ½ the bound of all forms is below that of a σ with 4 ulps of its value."""
    p = PRECISIONS["float32"]
    x = FLOAT32.round(np.linspace(-0.5, 8.0, 2000))
    assert (sigmoid(exact(x, p)).radius < sigmoid(exact(x, p.with_relative_tails)).radius).all()


def test_the_constants_of_the_argument() -> None:
    """The bound at 0 is the largest value of the formulas of the docstring, as it states them."""
    p = PRECISIONS["float32"]
    e, d = 2.0 * p.exp_ulps, np.linspace(0.0, 1.0, 100_001)
    formulas = (
        (sigmoid, (e * (1 - d**2) / 4 + 1.25 + d / 4).max(), 2.52),
        (np.tanh, (e * (1 - d**2) / 2 + 1 + (1 + d) ** 2 / 2).max(), 4.14),
    )
    for function, largest, stated in formulas:
        radius = float(function(exact(np.zeros(1), p)).radius[0] / p.u_accumulation)
        assert largest <= radius
        assert round(float(largest), 2) == round(radius, 2) == stated
