"""Implementations that are as inaccurate as a precision allows, and the numbers to try them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath
import numpy as np
from mpmath import mpf

from gatewise.reference.activations import sigmoid
from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, SLACK, Array, Precision

#: The precisions that are simulated, float64 among them.
NAMES = ("float64", "float32", "float16", "bfloat16", "float16_accumulate")


class Library:
    """Operations of a precision, each result `held` in accumulation or in storage.

    exp, log and their kin have an error as large as `Precision` states, of either sign.
    """

    def __init__(self, p: Precision, seed: int, in_storage: bool = False) -> None:
        self.p, self.rng, self.in_storage = p, np.random.RandomState(seed), in_storage

    def held(self, x: Array) -> Array:
        """x as the implementation keeps it between two operations."""
        x = self.p.accumulation.round(x)
        return self.p.storage.round(x) if self.in_storage else x

    def store(self, x: Array) -> Array:
        """x as a result."""
        return self.p.storage.round(self.p.accumulation.round(x))

    def flushed(self, x: Array) -> Array:
        """x, with subnormal numbers as zeros."""
        return np.where(np.abs(x) < self.p.accumulation.eta, 0.0 * x, x)

    def _spoiled(self, value: Array, ulps: float) -> Array:
        size = np.abs(value)
        least = self.p.accumulation.eta
        last = 2.0 * self.p.accumulation.u * 2.0 ** np.floor(np.log2(np.maximum(size, least)))
        sign = self.rng.choice([-1.0, 1.0], value.shape)
        near = self.p.accumulation.round(value + sign * (ulps - 0.5) * last)
        within = np.isfinite(near) & (np.abs(near - value) <= ulps * last) & (value != 0)
        return self.held(np.where(within, near, value))

    def exp(self, x: Array) -> Array:
        return self._spoiled(np.exp(x), self.p.exp_ulps)

    def expm1(self, x: Array) -> Array:
        return self._spoiled(np.expm1(x), self.p.ulps)

    def log(self, x: Array) -> Array:
        return self._spoiled(np.log(x), self.p.ulps)

    def log1p(self, x: Array) -> Array:
        return self._spoiled(np.log1p(x), self.p.ulps)

    def rsqrt(self, x: Array) -> Array:
        return self._spoiled(1.0 / np.sqrt(x), self.p.ulps)

    def pow(self, x: Array, n: float) -> Array:
        return self._spoiled(x**n, self.p.ulps)

    def tanh(self, x: Array) -> Array:
        return self._spoiled(np.tanh(x), self.p.ulps)

    def sqrt(self, x: Array) -> Array:
        return self._spoiled(np.sqrt(x), 1.0)

    def sigmoid(self, x: Array) -> Array:
        """By exp, which has full relative accuracy."""
        return self.held(1.0 / self.held(1.0 + self.exp(-x)))

    def sigmoid_by_tanh(self, x: Array) -> Array:
        """½(1 + tanh(x/2)), which loses a small σ, with its values in accumulation."""
        m = Library(self.p, self.rng.randint(1000))
        return self.held(m.held(0.5 * m.held(1.0 + m.tanh(0.5 * x))))

    def total(self, x: Array, order: str) -> Array:
        """Σ over the last axis in accumulation, one term after the other or in pairs."""
        terms = [x[..., k] for k in self.rng.permutation(x.shape[-1])]
        while len(terms) > 1:
            first = self.p.accumulation.round(terms[0] + terms[1])
            terms = [first, *terms[2:]] if order == "serial" else [*terms[2:], first]
        return self.held(terms[0][..., None])


Form = Callable[[Library, Array], Array]


def libraries(name: str, seeds: int = 2) -> Iterator[Library]:
    """Libraries of several seeds that hold their values in accumulation, and in storage."""
    p = PRECISIONS[name]
    for seed in range(seeds):
        for in_storage in (False, True)[: 1 + p.stores]:
            yield Library(p, seed, in_storage)


def draws(p: Precision, seed: int, n: int = 3000) -> Array:
    """Numbers of p's storage: of every size and sign, near 0 and 1, at the edges of the format."""
    rng, f = np.random.RandomState(1000 + seed), p.storage
    low = f.min_exponent - f.significand
    edges = [0.0, f.tiniest, f.eta / 2, f.eta, f.largest, f.largest / 2, 1.0, 1.0 - f.u, 20.0]
    parts = [
        np.array(edges),
        2.0 ** rng.uniform(low, f.max_exponent + 1, n // 4),
        2.0 ** rng.uniform(-12, 12, n // 4),
        rng.uniform(0.0, 30.0, n // 4),
        1.0 + rng.standard_normal(n // 8) * 2.0 ** rng.uniform(-f.significand, 0, n // 8),
        rng.uniform(f.tiniest, 2.0 * f.eta, n // 8),
    ]
    sizes = np.concatenate(parts)
    with np.errstate(all="ignore"):
        x = f.round(sizes * rng.choice([-1.0, 1.0], sizes.shape))
    return np.where(np.isfinite(x), x, 1.0)


def worst(ball: Ball, got: Array) -> float:
    """The largest error / radius where there is a bound; NaN and 0/0 do not count as an error."""
    bounded = np.isfinite(ball.radius) & np.isfinite(ball.v)
    error = np.abs(got - ball.v)[bounded]
    radius = ball.radius[bounded]
    assert not (error[radius == 0] > 0).any()
    assert np.isfinite(error).all()
    inside = radius > 0
    return float((error[inside] / radius[inside]).max(initial=0.0))


def moved(x: Array, p: Precision, seed: int, most: float = 0.1) -> tuple[Ball, Array]:
    """A Ball around x, and a number of p's storage at or near one of its ends."""
    rng = np.random.RandomState(2000 + seed)
    to = p.storage.round(x * (1.0 + most * rng.uniform(-1.0, 1.0, x.shape) ** 3))
    to = np.where(np.isfinite(to), to, x)
    return Ball(x, p, SLACK * np.abs(to - x)), to


def in_fifty_digits(f: Callable[[mpf], mpf], x: Array, ball: Ball) -> float:
    """The largest |v − f(x)| / radius of a float64 Ball, for f in 50 digits."""
    ratio = 0.0
    with mpmath.workdps(50):
        for a, v, r in zip(x.ravel(), ball.v.ravel(), ball.radius.ravel(), strict=True):
            if np.isfinite(r) and np.isfinite(v):
                error = abs(mpf(float(v)) - f(mpf(float(a))))
                assert r > 0 or error == 0
                ratio = max(ratio, float(error / r) if r else 0.0)
    return ratio


def of(name: str, x: Array) -> Ball:
    """An exact Ball of the named precision."""
    return exact(x, PRECISIONS[name])


def true_sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mpmath.exp(-x))


__all__ = [
    "NAMES",
    "Form",
    "Library",
    "draws",
    "in_fifty_digits",
    "libraries",
    "moved",
    "of",
    "sigmoid",
    "true_sigmoid",
    "worst",
]
