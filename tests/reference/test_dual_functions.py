"""Duals of the functions against the complex step, and torch's forward and double mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.reference.ball import Ball, exact
from gatewise.reference.dual import Dual
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.function_slopes import SLOPES, clip_slope, maximum_slope
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
from tests.reference.simulated import worst

P = PRECISIONS["float64"]
STEP = 1e-100
EPS = 1e-5
F = torch.nn.functional


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Infinite radii are tried on purpose."""
    with np.errstate(all="ignore"):
        yield


def root_of_square(a: Any) -> Any:
    return np.sqrt(np.square(a) + 0.25)


#: Name → function of two arguments (4, 6) in NumPy, and in torch; None where torch has none.
FUNCTIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "quotient": (lambda a, b: a / b, lambda a, b: a / b),
    "number / b": (lambda a, b: 3.0 / b + 0.0 * a, lambda a, b: 3.0 / b + 0.0 * a),
    "a / number": (lambda a, b: a / 3.0 + 0.0 * b, lambda a, b: a / 3.0 + 0.0 * b),
    "reciprocal": (lambda a, b: np.reciprocal(b) * a, lambda a, b: torch.reciprocal(b) * a),
    "powers": (lambda a, b: a**2 * b**-1, lambda a, b: a**2 * b**-1),
    "square root": (lambda a, b: root_of_square(a) + b, lambda a, b: (a * a + 0.25).sqrt() + b),
    "half power": (
        lambda a, b: (np.square(a) + 0.25) ** 0.5 + b,
        lambda a, b: (a * a + 0.25) ** 0.5 + b,
    ),
    "exp": (lambda a, b: np.exp(a - b), lambda a, b: torch.exp(a - b)),
    "expm1": (lambda a, b: np.expm1(a - b), lambda a, b: torch.expm1(a - b)),
    "log": (lambda a, b: np.log(a * a + 0.1) * b, lambda a, b: torch.log(a * a + 0.1) * b),
    "log1p": (lambda a, b: np.log1p(a * a) + b, lambda a, b: torch.log1p(a * a) + b),
    "softplus": (lambda a, b: softplus(a) * b, lambda a, b: F.softplus(a) * b),
    "log_sigmoid": (lambda a, b: log_sigmoid(a) * b, lambda a, b: F.logsigmoid(a) * b),
    "silu": (lambda a, b: silu(a) * b, lambda a, b: F.silu(a) * b),
    "hard_sigmoid": (
        lambda a, b: hard_sigmoid(a, 0.2) * b,
        lambda a, b: torch.clip(0.2 * a + 0.5, 0.0, 1.0) * b,
    ),
    "hard_tanh": (lambda a, b: hard_tanh(a) * b, lambda a, b: F.hardtanh(a) * b),
    "absolute": (lambda a, b: absolute(a) * b, lambda a, b: torch.abs(a) * b),
    "clip": (lambda a, b: np.clip(a, -0.5, 0.75) * b, lambda a, b: torch.clip(a, -0.5, 0.75) * b),
    "maximum": (np.maximum, torch.maximum),
    "minimum": (np.minimum, torch.minimum),
    "maximum with a number": (
        lambda a, b: np.maximum(a, 0.25) * b,
        lambda a, b: torch.clip(a, min=0.25) * b,
    ),
    "where": (
        lambda a, b: np.where(a > b, a * b, b + a),
        lambda a, b: torch.where(a > b, a * b, b + a),
    ),
    "mean": (
        lambda a, b: np.mean(a * b, axis=-1, keepdims=True) * a,
        lambda a, b: (a * b).mean(-1, keepdim=True) * a,
    ),
    "cumsum": (lambda a, b: np.cumsum(a * b, axis=0), lambda a, b: (a * b).cumsum(0)),
    "split": (
        lambda a, b: np.split(a * b, 2, axis=-1)[1] * 2.0,
        lambda a, b: (a * b).chunk(2, -1)[1] * 2.0,
    ),
    "layer norm": (
        lambda a, b: layer_norm(a, b[0], b[1], EPS),
        lambda a, b: F.layer_norm(a, (6,), b[0], b[1], EPS),
    ),
    "rms norm": (
        lambda a, b: rms_norm(a, b[0], EPS),
        lambda a, b: F.rms_norm(a, (6,), b[0], EPS),
    ),
}


def arguments(seed: int, precision: str = "float64") -> list[Array]:
    """Two arguments and their tangents; b is away from 0."""
    rng, f = np.random.RandomState(seed), PRECISIONS[precision].storage
    a, b, da, db = rng.standard_normal((4, 4, 6))
    return [f.round(v) for v in (a, np.sign(b) * (0.3 + np.abs(b)), da, db)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents_are_those_of_the_complex_step(name: str) -> None:
    f, _ = FUNCTIONS[name]
    for seed in range(5):
        a, b, da, db = arguments(seed)
        want = np.imag(f(a + 1j * STEP * da, b + 1j * STEP * db)) / STEP
        balls = f(Dual(exact(a, P), exact(da, P)), Dual(exact(b, P), exact(db, P)))
        plain = f(Dual(a, da), Dual(b, db))
        assert np.isfinite(balls.d.radius).all()
        assert worst(balls.d, plain.d) <= 1
        # The complex step has roundings of its own, those of a subject.
        assert worst(balls.d, want) <= 1
        assert np.array_equal(plain.v, f(a, b)) or name in ("layer norm", "rms norm")


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_forward_mode_of_torch_stay_in_the_ball(name: str, precision: str) -> None:
    f, theirs = FUNCTIONS[name]
    p, dtype = PRECISIONS[precision], getattr(torch, precision)
    largest = 0.0
    for seed in range(5):
        parts = arguments(seed, precision)
        ta, tb, tda, tdb = (torch.from_numpy(v).to(dtype) for v in parts)
        y, d = torch.func.jvp(theirs, (ta, tb), (tda, tdb))
        a, b, da, db = (exact(v, p) for v in parts)
        ball = f(Dual(a, da), Dual(b, db))
        largest = max(largest, worst(ball.v, y.double().numpy()))
        largest = max(largest, worst(ball.d, d.double().numpy()))
    assert largest <= 1, largest


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("f", SLOPES, ids=lambda f: f.__name__)
def test_a_slope_of_duals_has_the_second_derivative_of_torch(f: Any, precision: str) -> None:
    """d·f′(x) differentiated along x: by the tangent of the slope, and by double backward."""
    p, dtype = PRECISIONS[precision], getattr(torch, precision)
    theirs = {
        absolute: torch.abs,
        softplus: F.softplus,
        log_sigmoid: F.logsigmoid,
        silu: F.silu,
        hard_sigmoid: F.hardsigmoid,
        hard_tanh: F.hardtanh,
    }.get(f) or getattr(torch, f.__name__)
    rng = np.random.RandomState(0)
    x, dx = (p.storage.round(np.abs(v) + 0.05) for v in rng.standard_normal((2, 50)))
    t = torch.from_numpy(x).to(dtype).requires_grad_()
    (first,) = torch.autograd.grad(theirs(t).sum(), t, create_graph=True)
    got = np.zeros(50)
    if first.requires_grad and f is not hard_sigmoid:  # which has no double backward in torch
        along = (first * torch.from_numpy(dx).to(dtype)).sum()
        (second,) = torch.autograd.grad(along, t, allow_unused=True)
        got = got if second is None else second.numpy(force=True).astype(np.float64)
    dual = Dual(exact(x, p), exact(dx, p))
    slope = SLOPES[f](dual, f(dual))
    if slope.d is None:
        assert not got.any()
        return
    assert worst(slope.d, got) <= 1
    moved = x + 1j * STEP * dx
    complex_ = np.imag(SLOPES[f](moved, f(moved))) / STEP
    if precision == "float64":
        assert worst(slope.d, complex_) <= 1


def test_at_a_tie_every_share_is_in_the_ball() -> None:
    one = exact(np.ones(2), P)
    dual = np.maximum(Dual(one, 4.0 * one), Dual(one, 8.0 * one))
    for share in (0.0, 0.5, 1.0):
        assert (np.abs(dual.d.v - (share * 4.0 + (1.0 - share) * 8.0)) <= dual.d.radius).all()
    zero = Dual(exact(np.zeros(2), P), one)
    assert not np.maximum(zero, 0.0).d.v.any()
    assert not np.maximum(zero, 0.0).d.radius.any()
    assert np.clip(zero, 0.0, 1.0).d.radius.all()


def test_what_has_no_tangent_keeps_none_and_what_has_no_rule_raises() -> None:
    x = Dual(np.array([0.5, 2.0]))
    for f in SLOPES:
        assert f(x).d is None
    for y in (x / 2.0, 1.0 / x, x**2, np.clip(x, 0.0, 1.0), np.maximum(x, 1.0), layer_norm(x)):
        assert y.d is None
    assert np.var(x).d is None
    assert clip_slope(Dual(x.v, x.v), 0.0, 1.0).d is None
    assert maximum_slope(Dual(x.v, x.v), 1.0).d is None
    for operation in (np.exp2, np.std, np.add.reduce, lambda x: x**3):
        with pytest.raises(TypeError) as told:
            operation(Dual(np.ones(2), np.ones(2)))
        assert "\n" not in str(told.value)


def test_an_uncertain_comparison_of_duals_has_both_tangents() -> None:
    a = Ball(np.array([1.0, 1.0]), P, np.array([0.5, 0.0]))
    x = Dual(a, exact(np.array([2.0, 2.0]), P))
    y = np.where(x > 0.75, x, 0.0)
    assert y.d.radius[0] >= 2.0
    assert y.d.radius[1] == 0.0
