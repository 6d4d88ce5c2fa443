"""log softmax: against 50 digits, in every form of simulated low precision, and against torch."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.log_softmax import log_softmax
from tests.reference.test_ball import SIMULATED, Machine, ratio

P = PRECISIONS["float64"]
SCALES = (1e-6, 0.1, 1.0, 10.0, 100.0)


def by_digits(x: Array) -> list[mpmath.mpf]:
    """The last axis of one row, in 50 digits."""
    row = [mpf(float(v)) for v in x]
    log_sum = mpmath.log(sum((mpmath.exp(v) for v in row), mpf(0)))
    return [v - log_sum for v in row]


@pytest.mark.parametrize("n", [1, 2, 7, 33])
@pytest.mark.parametrize("scale", [*SCALES, 1e4])
def test_float64_lies_within_half_of_the_ball_of_fifty_digits(scale: float, n: int) -> None:
    with mpmath.workdps(50):
        worst = 0.0
        for seed in range(6):
            x = scale * np.random.RandomState(seed).standard_normal((3, n))
            ball = log_softmax(exact(x, P))
            error = [
                [float(abs(mpf(float(v)) - w)) for v, w in zip(got, by_digits(row), strict=True)]
                for got, row in zip(ball.v, x, strict=True)
            ]
            assert np.isfinite(ball.radius).all()
            worst = max(worst, float((np.array(error) / ball.radius).max()))
        assert worst <= 0.5
        assert worst > 0 or n == 1


def forms(m: Machine, x: Array) -> list[Array]:
    """log softmax as a machine may write it: what it stores on the way, and in which order."""
    found = []
    for held in (m.store, m.accumulate):
        top = x.max(axis=-1, keepdims=True)
        d = held(x - top)
        e = [held(m.accumulate(np.exp(d[..., k]))) for k in range(x.shape[-1])]
        for order in ("serial", "pairwise"):
            t = held(m.total(e, order))[..., None]
            log_t = held(m.accumulate(np.log(t)))
            found.append(m.store(held(d - log_t)))
            found.append(m.store(x - held(top + log_t)))
    return found


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SIMULATED)
def test_every_form_of_every_precision_stays_in_the_ball(name: str, scale: float) -> None:
    worst = 0.0
    for seed in range(8):
        for n in (1, 2, 5, 17):
            m = Machine(PRECISIONS[name], seed)
            x = m.draw(20, n, scale=scale)
            ball = log_softmax(exact(x, m.p))
            worst = max(worst, *(ratio(ball, got) for got in forms(m, x)))
    assert 0.005 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_an_inexact_argument_moves_the_result_within_its_radius(name: str) -> None:
    """The machine's own argument is a rounded sum; the ball's is the exact one."""
    worst = 0.0
    for seed in range(8):
        m = Machine(PRECISIONS[name], seed)
        x, w, b = m.draw(20, 6), m.draw(6, 9), m.draw(9)
        ball = log_softmax(exact(x, m.p) @ w + b)
        held = m.store(m.store(m.matmul(x, w, "serial", False)) + b)
        worst = max(worst, *(ratio(ball, got) for got in forms(m, held)))
    assert 0.02 < worst <= 1


def test_the_propagated_radius_is_attained() -> None:
    """r_i + max r cannot be less: one argument goes up and all others go down."""
    p, r = PRECISIONS["float64"], 1e-3
    x = np.array([[0.0, 30.0, -30.0]])
    ball = log_softmax(Ball(x, p, np.full_like(x, r)))
    moved = log_softmax(x + r * np.array([[1.0, -1.0, -1.0]]))
    assert 0.99 < ratio(ball, moved) <= 1


DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("name", DTYPES)
def test_torch_lies_within_the_ball(name: str) -> None:
    worst = 0.0
    for seed in range(20):
        m = Machine(PRECISIONS[name], seed)
        x = m.draw(8, 1 + seed, scale=SCALES[seed % len(SCALES)])
        got = torch.log_softmax(torch.from_numpy(x).to(DTYPES[name]), dim=-1).double().numpy()
        worst = max(worst, ratio(log_softmax(exact(x, m.p)), got))
    assert 0.01 < worst <= 1


def test_large_arguments_do_not_overflow_and_unbounded_ones_say_nothing() -> None:
    x = np.array([[1000.0, 0.0, -1000.0]])
    assert np.array_equal(log_softmax(x), [[0.0, -1000.0, -2000.0]])
    p = PRECISIONS["float32"]
    with np.errstate(all="ignore"):
        unbounded = Ball(x, p, np.array([[0.0, np.inf, 0.0]]))
        assert not np.isfinite(log_softmax(unbounded).radius).any()


def test_complex_arguments_differentiate_it() -> None:
    """∂y_i/∂x_j = δ_ij − p_j, by a complex step, whose error is of the order of its square."""
    x, step = np.random.RandomState(0).standard_normal(5), 1e-100
    for j in range(5):
        moved = x.astype(complex)
        moved[j] += 1j * step
        got = log_softmax(moved).imag / step
        want = (np.arange(5) == j) - np.exp(log_softmax(x))[j]
        # A few roundings in each, of numbers of at most 1.
        assert np.abs(got - want).max() <= 32 * 2.0**-53
