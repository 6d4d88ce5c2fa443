"""Means, variances, running sums and norms stay in their Balls, in every covered form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, SLACK, Array, Precision
from gatewise.reference.functions import layer_norm, rms_norm
from tests.reference.simulated import NAMES, Library, libraries, worst

EPS = 1e-5
SIZES = (1, 2, 3, 7, 33, 64)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Overflow is tried on purpose."""
    with np.errstate(all="ignore"):
        yield


def rows(p: Precision, seed: int, n: int, count: int = 60) -> Array:
    """Rows of many scales, with a mean of up to a thousand deviations, some of them constant."""
    rng = np.random.RandomState(seed)
    scale = 10.0 ** rng.uniform(-3, 1, (count, 1))
    shift = rng.choice([0.0, 1.0, 30.0, 1000.0], (count, 1)) * rng.choice([-1.0, 1.0], (count, 1))
    x = p.storage.round(scale * (rng.standard_normal((count, n)) + shift))
    x[:3] = x[:3, :1]
    x[3] = 0.0
    return x


def mean(m: Library, x: Array, order: str = "serial") -> Array:
    return m.held(m.total(x, order) / x.shape[-1])


def mean_by_inverse(m: Library, x: Array) -> Array:
    return m.held(m.total(x, "pairwise") * m.held(np.asarray(1.0 / x.shape[-1])))


def two_passes(m: Library, x: Array) -> tuple[Array, Array]:
    centre = mean(m, x)
    d = m.held(x - centre)
    return centre, mean_by_inverse(m, m.held(d * d))


def running(m: Library, x: Array) -> tuple[Array, Array]:
    """Welford 1962, whose values are never stored."""
    round_ = m.p.accumulation.round
    centre, squares = x[..., :1], np.zeros_like(x[..., :1])
    for k in range(1, x.shape[-1]):
        d = round_(x[..., k : k + 1] - centre)
        centre = round_(centre + round_(d / (k + 1)))
        squares = round_(squares + round_(d * round_(x[..., k : k + 1] - centre)))
    return centre, round_(squares / x.shape[-1])


def merged(m: Library, x: Array) -> tuple[Array, Array]:
    """Chan, Golub & LeVeque 1983: halves of the row, the smaller one added to the larger one."""
    round_ = m.p.accumulation.round

    def part(x: Array) -> tuple[Array, Array]:
        n = x.shape[-1]
        if n == 1:
            return x, np.zeros_like(x)
        b = n // 2
        a = n - b
        (first, squares), (second, others) = part(x[..., :a]), part(x[..., a:])
        d = round_(second - first)
        centre = round_(first + round_(d * round_(np.asarray(b / n))))
        product = round_(round_(d * d) * round_(round_(np.asarray(float(a * b))) / n))
        return centre, round_(round_(squares + others) + product)

    centre, squares = part(x)
    return centre, round_(squares / x.shape[-1])


MOMENTS: dict[str, Callable[[Library, Array], tuple[Array, Array]]] = {
    "two passes": two_passes,
    "running": running,
    "merged": merged,
}


def reduced(name: str, x: Ball) -> Ball:
    f = {"mean": np.mean, "var": np.var}[name]
    return f(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("precision", NAMES)
def test_a_mean_and_a_variance_in_every_form(precision: str) -> None:
    largest = dict.fromkeys(["mean", *MOMENTS], 0.0)
    for m in libraries(precision):
        for n in SIZES:
            x = rows(m.p, m.rng.randint(1000), n)
            ball = reduced("mean", exact(x, m.p))
            for got in (mean(m, x), mean(m, x, "pairwise"), mean_by_inverse(m, x)):
                largest["mean"] = max(largest["mean"], worst(ball, m.store(got)))
            ball = reduced("var", exact(x, m.p))
            for name, form in MOMENTS.items():
                largest[name] = max(largest[name], worst(ball, m.store(form(m, x)[1])))
    assert all(0.01 < ratio <= 1 for ratio in largest.values()), largest


def affine_forms(m: Library, x: Array, centre: Array, s: Array, w: Array, b: Array) -> list[Array]:
    """(x − m)·s∘w + b in several orders of its products and sums."""
    h = m.held
    scale = h(s * w)
    return [
        h(h(h(h(x - centre) * s) * w) + b),
        h(h(h(x - centre) * scale) + b),
        h(h(x * scale) + h(b - h(centre * scale))),
        h(h(h(h(x * s) - h(centre * s)) * w) + b),
    ]


def scales(m: Library, v: Array) -> list[Array]:
    inner = m.held(v + m.held(np.asarray(EPS)))
    return [m.held(1.0 / m.sqrt(inner)), m.rsqrt(inner)]


@pytest.mark.parametrize("precision", NAMES)
def test_layer_norm_in_every_form(precision: str) -> None:
    largest = 0.0
    for m in libraries(precision):
        for n in SIZES:
            x = rows(m.p, m.rng.randint(1000), n)
            w, b = (m.p.storage.round(m.rng.standard_normal(n)) for _ in range(2))
            ball = layer_norm(exact(x, m.p), w, b, EPS)
            for form in MOMENTS.values():
                centre, v = (m.held(part) for part in form(m, x))
                for s in scales(m, v):
                    for got in affine_forms(m, x, centre, s, w, b):
                        largest = max(largest, worst(ball, m.store(got)))
            root = m.sqrt(m.held(v + EPS))
            plain = layer_norm(exact(x, m.p), eps=EPS)
            largest = max(largest, worst(plain, m.store(m.held(x - centre) / root)))
    assert 0.05 < largest <= 1, largest


@pytest.mark.parametrize("precision", NAMES)
def test_rms_norm_in_every_form(precision: str) -> None:
    largest = 0.0
    for m in libraries(precision):
        for n in SIZES:
            x = rows(m.p, m.rng.randint(1000), n)
            w, h = m.p.storage.round(m.rng.standard_normal(n)), m.held
            ball = rms_norm(exact(x, m.p), w, EPS)
            v = mean_by_inverse(m, h(x * x))
            for s in scales(m, v):
                for got in (h(h(x * s) * w), h(x * h(s * w)), h(h(x * w) * s)):
                    largest = max(largest, worst(ball, m.store(got)))
            quotient = h(x / m.sqrt(h(v + EPS)))
            largest = max(largest, worst(ball, m.store(h(quotient * w))))
    assert 0.1 < largest <= 1, largest


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "mean", "var"])
def test_inexact_arguments_move_the_results_within_their_radii(name: str) -> None:
    """Weights and biases as well; the arguments go to an end of their Balls, or into them."""
    f = {"layer_norm": layer_norm, "rms_norm": rms_norm}.get(name)
    largest = 0.0
    for seed in range(6):
        p, rng = PRECISIONS["float32"], np.random.RandomState(seed)
        for n in SIZES:
            x, w, b = rows(p, seed, n), rng.standard_normal(n), rng.standard_normal(n)
            balls, to = [], []
            for v in (x, w, b):
                r = np.abs(v) * 10.0 ** rng.uniform(-5, -1, v.shape[:-1] + (1,) * (v.ndim > 1))
                balls.append(Ball(v, p, SLACK * r))
                to.append(v + r * rng.choice([-1.0, 0.3, 1.0], v.shape))
            if f is None:
                ball, got = reduced(name, balls[0]), reduced(name, exact(to[0], p)).v
            else:
                count = 3 if name == "layer_norm" else 2
                ball, got = f(*balls[:count]), f(*to[:count])
            largest = max(largest, worst(ball, got))
    assert 0.3 < largest <= 1, largest


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
@pytest.mark.parametrize("n", [*SIZES, 65])
def test_some_units_that_move_carry_the_others_within_their_radii(norm: Any, n: int) -> None:
    """In float64, where the roundings are small beside the radii; in an extended format outside."""
    p, rng, largest = PRECISIONS["float64"], np.random.RandomState(n), 0.0
    for eps in (1e-12, 1e-5, 1.0):
        x = np.concatenate([rows(p, seed, n) for seed in range(20)])
        r = np.abs(x) * 10.0 ** rng.uniform(-8, 1, (len(x), 1)) * rng.choice([0, 1, 1], x.shape)
        ball = norm(Ball(x, p, SLACK * r), eps=eps)
        away = np.sign(x - x.mean(-1, keepdims=True) + 1e-300)
        for signs in (away, -away, *(rng.choice([-1.0, 1.0], x.shape) for _ in range(6))):
            got = norm((x + r * signs).astype(np.longdouble), eps=np.longdouble(eps))
            largest = max(largest, worst(ball, got.astype(np.float64)))
    assert (n == 1 and norm is layer_norm) or 0.3 < largest <= 1, largest


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "mean", "var", "cumsum"])
def test_torch_lies_within_the_ball(name: str, precision: str) -> None:
    p, dtype = PRECISIONS[precision], getattr(torch, precision)
    for seed, n in enumerate((*SIZES, 128, 1000)):
        x = rows(p, seed, n)
        w, b = (p.storage.round(np.random.RandomState(seed).standard_normal(n)) for _ in range(2))
        t, tw, tb = (torch.from_numpy(v).to(dtype) for v in (x, w, b))
        ball, got = {
            "layer_norm": (
                lambda: layer_norm(exact(x, p), w, b, EPS),  # noqa: B023
                lambda: torch.nn.functional.layer_norm(t, (n,), tw, tb, EPS),  # noqa: B023
            ),
            "rms_norm": (
                lambda: rms_norm(exact(x, p), w, EPS),  # noqa: B023
                lambda: torch.nn.functional.rms_norm(t, (n,), tw, EPS),  # noqa: B023
            ),
            "mean": (lambda: reduced("mean", exact(x, p)), lambda: t.mean(-1, keepdim=True)),  # noqa: B023
            "var": (
                lambda: reduced("var", exact(x, p)),  # noqa: B023
                lambda: t.var(-1, keepdim=True, unbiased=False),  # noqa: B023
            ),
            "cumsum": (lambda: np.cumsum(exact(x, p), axis=-1), lambda: t.cumsum(-1)),  # noqa: B023
        }[name]
        assert worst(ball(), got().double().numpy()) <= 1


def test_float64_lies_within_half_of_the_ball_of_fifty_digits() -> None:
    p, x = PRECISIONS["float64"], rows(PRECISIONS["float64"], 0, 9, 20)
    w, b = np.random.RandomState(1).standard_normal((2, 9))
    normed, scaled = layer_norm(exact(x, p), w, b, EPS), rms_norm(exact(x, p), w, EPS)
    centre, spread = reduced("mean", exact(x, p)), reduced("var", exact(x, p))
    largest: dict[str, float] = {}

    def note(name: str, ball: Ball, place: Any, want: Any) -> None:
        error, r = abs(mpf(float(ball.v[place])) - want), float(ball.radius[place])
        assert error <= r / 2
        largest[name] = max(largest.get(name, 0.0), float(error / r) if r else 0.0)

    with mpmath.workdps(50):
        for i, row in enumerate(x):
            terms = [mpf(float(v)) for v in row]
            mu = sum(terms) / 9
            var = sum((t - mu) ** 2 for t in terms) / 9
            squares = sum(t * t for t in terms) / 9
            note("mean", centre, (i, 0), mu)
            note("var", spread, (i, 0), var)
            for j, t in enumerate(terms):
                y = (t - mu) / mpmath.sqrt(var + mpf(EPS)) * mpf(float(w[j])) + mpf(float(b[j]))
                note("layer_norm", normed, (i, j), y)
                y = t / mpmath.sqrt(squares + mpf(EPS)) * mpf(float(w[j]))
                note("rms_norm", scaled, (i, j), y)
    assert all(ratio > 0 for ratio in largest.values())


@pytest.mark.parametrize("precision", NAMES)
def test_running_sums_in_every_order(precision: str) -> None:
    largest = 0.0
    for seed in range(3):
        m = Library(PRECISIONS[precision], seed)
        x = rows(m.p, seed, 20)
        ball = np.cumsum(exact(x, m.p), axis=-1)
        assert not ball.radius[:, 0].any()
        assert np.array_equal(ball.v, np.cumsum(x, axis=-1))
        for order in ("serial", "pairwise"):
            got = np.concatenate([m.total(x[:, : k + 1], order) for k in range(20)], axis=-1)
            largest = max(largest, worst(ball, m.store(got)))
    assert 0.1 < largest <= 1, largest
    with pytest.raises(TypeError, match="needs an axis"):
        np.cumsum(exact(x, m.p))


def test_zeros_stay_exact_and_options_without_a_rule_raise() -> None:
    zero = exact(np.zeros((2, 4)), PRECISIONS["float32"])
    for name in ("mean", "var"):
        assert not reduced(name, zero).radius.any()
    assert np.var(zero, axis=(0, 1)).shape == np.mean(zero, axis=(0, 1)).shape == ()
    with pytest.raises(TypeError, match=r"np\.var of Balls has no rule with ddof"):
        np.var(zero, axis=-1, ddof=1)


def test_a_sum_past_the_largest_number_leaves_no_bound() -> None:
    for precision in NAMES:
        p = PRECISIONS[precision]
        top = exact(np.full((1, 4), p.storage.largest / 2), p)
        for ball in (reduced("mean", top), reduced("var", top), layer_norm(top), rms_norm(top)):
            assert not np.isfinite(ball.radius).any()
