"""Cells of the literature as plain NumPy steps: their Balls hold every simulated implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.reference.activations import relu, sigmoid
from gatewise.reference.ball import exact
from gatewise.reference.dual import Dual
from gatewise.reference.formats import PRECISIONS, Array, Precision
from gatewise.reference.functions import (
    absolute,
    hard_sigmoid,
    hard_tanh,
    layer_norm,
    log_sigmoid,
    rms_norm,
    silu,
    softplus,
)
from tests.reference.simulated import NAMES, worst

B, H, STEP = 3, 5, 1e-100
W = dict[str, Any]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Radii of tangents may grow without end in a low precision."""
    with np.errstate(all="ignore"):
        yield


def gates(x: Any, h: Any, w: W, count: int) -> Any:
    """The first `count` blocks of x Wᵀ + h Uᵀ + b."""
    size = count * H
    return np.split(x @ w["w"][:size].T + h @ w["u"][:size].T + w["b"][:size], count, axis=-1)


def peephole_lstm(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Gers & Schmidhuber 2000, with the cell state cut to [−0.8, 0.8]."""
    i, f, g, o = gates(x, h, w, 4)
    c = sigmoid(f + w["p"] * c) * c + sigmoid(i + w["q"] * c) * np.tanh(g)
    c = np.clip(c, -0.8, 0.8)
    return sigmoid(o + w["p"] * c) * np.tanh(c), c


def cifg(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Coupled input and forget gates (Greff et al. 2017)."""
    f, g, o = gates(x, h, w, 3)
    f = sigmoid(f)
    c = f * c + (1.0 - f) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def layer_norm_lstm(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Ba, Kiros & Hinton 2016."""
    a = layer_norm(x @ w["w"].T, w["g"], w["b"]) + layer_norm(h @ w["u"].T, w["g"], None)
    i, f, g, o = np.split(a, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(layer_norm(c, w["p"], w["q"])), c


def zoneout_gru(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """A GRU with hard gates, and zoneout (Krueger et al. 2017) by a mask and by its mean."""
    r, z, n = gates(x, h, w, 3)
    n = hard_tanh(n + hard_sigmoid(r, 0.2) * (h @ w["u"][3 * H :].T))
    z = hard_sigmoid(z)
    new = z * h + (1.0 - z) * n
    return np.where(np.arange(H) % 2 == 0, 1.0 * h, new), 0.1 * c + 0.9 * new


def mgu(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Zhou et al. 2016, with ½ of an RMS norm of the state beside it."""
    (f,) = gates(x, h, w, 1)
    f = sigmoid(f)
    n = np.tanh(x @ w["w"][H : 2 * H].T + (f * h) @ w["u"][H : 2 * H].T)
    return (1.0 - f) * h + f * n, 0.5 * rms_norm(c + n, w["p"])


def li_gru(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Ravanelli et al. 2018 beside an IndRNN (Li et al. 2018)."""
    z, n = gates(x, h, w, 2)
    z = sigmoid(z)
    return z * h + (1.0 - z) * relu(n), relu(x @ w["w"][:H].T + w["p"] * c)


def min_lstm(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Feng et al. 2024: gates that are divided by their sum, and g(x) = x + ½ or σ(x)."""
    f, i, n = (x @ part.T for part in np.split(w["w"][: 3 * H], 3))
    f, i = sigmoid(f), sigmoid(i)
    n = np.where(n >= 0.0, n + 0.5, sigmoid(n))
    return f / (f + i) * h + i / (f + i) * n, np.cumsum(c, axis=-1) / 5.0


def sru(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Lei et al. 2018, with SiLU in place of tanh."""
    n, f, r = (x @ part.T for part in np.split(w["w"][: 3 * H], 3))
    f, r = sigmoid(f + w["p"] * c), sigmoid(r + w["q"] * c)
    c = f * c + (1.0 - f) * n
    return r * silu(c) + (1.0 - r) * x, c


def s_lstm(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """Beck et al. 2024 with its stabiliser m; c holds m, and both of its sums start from |h|."""
    i, f, g, o = gates(x, h, w, 4)
    log_f = log_sigmoid(f)
    m = np.maximum(log_f + c, i)
    i, f = np.exp(i - m), np.exp(log_f + c - m)
    held, total = f * h + i * np.tanh(g), f * (absolute(h) + 0.5) + i
    return sigmoid(o) * (held / total), m


def rg_lru(x: Any, h: Any, c: Any, w: W) -> tuple[Any, Any]:
    """De et al. 2024: a = exp(−8 softplus(Λ)∘r), h' = a∘h + √(1−a²)∘(i∘x)."""
    r, i = (sigmoid(x @ part.T) for part in np.split(w["w"][: 2 * H], 2))
    log_a = -8.0 * softplus(w["p"]) * r
    new = np.exp(log_a) * h + np.sqrt(-np.expm1(2.0 * log_a)) * (i * x)
    return new, np.log1p(np.square(c)) + 1.0 / (1.0 + np.mean(c * c, axis=-1, keepdims=True))


CELLS: tuple[Callable[..., tuple[Any, Any]], ...] = (
    peephole_lstm,
    cifg,
    layer_norm_lstm,
    zoneout_gru,
    mgu,
    li_gru,
    min_lstm,
    sru,
    s_lstm,
    rg_lru,
)


class Rounded(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a precision that rounds to storage after each operation of NumPy."""

    def __init__(self, v: Array, p: Precision) -> None:
        self.v, self.p = v, p

    @property
    def T(self) -> Rounded:
        return Rounded(self.v.T, self.p)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.v.shape

    def __getitem__(self, index: Any) -> Rounded:
        return Rounded(self.v[index], self.p)

    def of(self, f: Any, *args: Any, **named: Any) -> Any:
        """f in float64, rounded to accumulation and to storage."""
        plain = [a.v if isinstance(a, Rounded) else a for a in args]
        plain = [self.p.storage.round(a) if isinstance(a, float) else a for a in plain]
        got = f(*plain, **named)
        if isinstance(got, list):
            return [Rounded(part, self.p) for part in got]
        if got.dtype == bool:
            return got
        return Rounded(self.p.storage.round(self.p.accumulation.round(got)), self.p)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        return self.of(ufunc, *inputs, **named)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.of(func, *args, **kwargs)


for _f in (absolute, hard_sigmoid, hard_tanh, layer_norm, log_sigmoid, rms_norm, sigmoid, silu):
    _f.register(Rounded, lambda x, *args, _f=_f, **named: x.of(_f, x, *args, **named))
softplus.register(Rounded, lambda x: x.of(softplus, x))


def problem(p: Precision, seed: int, steps: int = 1) -> tuple[list[Array], W]:
    """x of each step, h and c, and weights."""
    rng = np.random.RandomState(seed)
    shapes = {"w": (4 * H, H), "u": (4 * H, H), "b": 4 * H, "g": 4 * H, "p": H, "q": H}
    w = {name: p.storage.round(0.7 * rng.standard_normal(shape)) for name, shape in shapes.items()}
    arrays = [p.storage.round(rng.standard_normal((B, H))) for _ in range(steps + 2)]
    return arrays, w


def run(cell: Callable[..., tuple[Any, Any]], arrays: list[Any], w: W) -> tuple[Any, Any]:
    *xs, h, c = arrays
    for x in xs:
        h, c = cell(x, h, c, w)
    return h, c


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("cell", CELLS, ids=lambda f: f.__name__)
def test_a_cell_as_plain_numpy_lies_within_its_ball(cell: Any, precision: str) -> None:
    p, largest, bounded = PRECISIONS[precision], 0.0, 0
    for seed in range(6):
        arrays, w = problem(p, seed)
        balls = run(cell, [exact(a, p) for a in arrays], {k: exact(v, p) for k, v in w.items()})
        plain = run(cell, arrays, w)
        own = {k: Rounded(v, p) for k, v in w.items()}
        rounded = run(cell, [Rounded(a, p) for a in arrays], own)
        for ball, got, value in zip(balls, rounded, plain, strict=True):
            largest = max(largest, worst(ball, got.v))
            bounded += np.isfinite(ball.radius).sum()
            assert (np.abs(value - ball.v) <= ball.radius)[np.isfinite(ball.radius)].all()
    if precision != "float64":  # where the simulated implementation is the reference itself
        assert 0.01 < largest
    assert largest <= 1
    assert bounded > 0.5 * 6 * 2 * B * H


@pytest.mark.parametrize("cell", CELLS, ids=lambda f: f.__name__)
def test_its_tangent_is_that_of_the_complex_step(cell: Any) -> None:
    p = PRECISIONS["float64"]
    for seed in range(4):
        arrays, w = problem(p, seed, 3)
        directions, along = problem(p, seed + 100, 3)
        tilted = [a + 1j * STEP * d for a, d in zip(arrays, directions, strict=True)]
        got = run(cell, tilted, {k: v + 1j * STEP * along[k] for k, v in w.items()})
        duals = [Dual(exact(a, p), exact(d, p)) for a, d in zip(arrays, directions, strict=True)]
        weights = {k: Dual(exact(v, p), exact(along[k], p)) for k, v in w.items()}
        for ball, complex_ in zip(run(cell, duals, weights), got, strict=True):
            assert np.isfinite(ball.d.radius).mean() > 0.9
            assert worst(ball.d, np.imag(complex_) / STEP) <= 1
