"""Derivatives and products of every form stay in their balls; simulated in low precision."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from gatewise.reference.activations import blend_slopes, lstm_activations, sigmoid
from gatewise.reference.ball import exact
from gatewise.reference.dual import SPREAD, Dual
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.log_softmax import log_softmax, log_softmax_backward
from gatewise.reference.slopes import (
    also_summed,
    large,
    lstm_slopes,
    product,
    relu_slope,
    sigmoid_slope,
    tanh_slope,
)
from tests.reference.test_ball import SIMULATED, K, M, Machine, N, ratio
from tests.reference.test_ball_cells import same_up_to_slack

Form = Callable[[Array, Array, Callable[[Array], Array]], Array]

#: Forms from the value and from the pre-activation, each operation stored by r.
SIGMOID: dict[str, Form] = {
    "s(1-s)": lambda a, s, r: r(s * r(1 - s)),
    "s-s²": lambda a, s, r: r(s - r(s * s)),
    "σ(a)σ(-a)": lambda a, s, r: r(r(sigmoid(a)) * r(sigmoid(-a))),
    "e/(1+e)²": lambda a, s, r: r(r(np.exp(-np.abs(a))) / r(r(1 + r(np.exp(-np.abs(a)))) ** 2)),
    "once": lambda a, s, r: r(s * (1 - s)),
}
TANH: dict[str, Form] = {
    "1-t²": lambda a, t, r: r(1 - r(t * t)),
    "(1-t)(1+t)": lambda a, t, r: r(r(1 - t) * r(1 + t)),
    "1/cosh²": lambda a, t, r: r(r(1 / r(np.cosh(np.clip(a, -9, 9)))) ** 2),
    "4s(1-s)": lambda a, t, r: r(4 * r(r(sigmoid(2 * a)) * r(1 - r(sigmoid(2 * a))))),
    "once": lambda a, t, r: r(1 - t * t),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_every_form_of_a_slope(name: str) -> None:
    worst = {"σ": 0.0, "tanh": 0.0}
    for seed in range(6):
        m = Machine(PRECISIONS[name], seed)
        a, b = m.draw(N, M, scale=(0.3, 2.0, 8.0)[seed % 3]), m.draw(N, M)
        x, held = exact(a, m.p) + b, m.store(a + b)
        s, t = m.store(sigmoid(held)), m.store(np.tanh(held))
        for form in SIGMOID.values():
            ball = sigmoid_slope(sigmoid(x))
            worst["σ"] = max(worst["σ"], ratio(ball, form(held, s, m.store)))
        for form in TANH.values():
            ball = tanh_slope(np.tanh(x))
            worst["tanh"] = max(worst["tanh"], ratio(ball, form(held, t, m.store)))
    assert all(0.02 < w <= 1 for w in worst.values()), worst


def test_the_slopes_of_an_lstm_are_those_of_its_activations() -> None:
    for name in SIMULATED:
        m = Machine(PRECISIONS[name], 0)
        a = exact(m.draw(N, 4 * M), m.p) + m.draw(4 * M)
        both = lstm_slopes(lstm_activations(a))
        for k in range(4):
            block = np.s_[:, k * M : (k + 1) * M]
            one = tanh_slope(np.tanh(a[block])) if k == 2 else sigmoid_slope(sigmoid(a[block]))
            assert np.array_equal(both.v[block], one.v)
            assert same_up_to_slack(both.radius[block], one.radius)


@pytest.mark.parametrize("name", SIMULATED)
def test_a_product_in_every_order(name: str) -> None:
    worst = 0.0
    for seed in range(4):
        m = Machine(PRECISIONS[name], seed)
        factors = [m.draw(N, M, scale=s) for s in (30.0, 1.0, 1e-3, 1e-3)]
        balls = [large(exact(factors[0], m.p)), *(exact(f, m.p) for f in factors[1:])]
        nested = product(product(balls[0], balls[1]), product(balls[2], balls[3]))
        # What flushes to zero below the smallest normal number, beside what does not.
        flush = lambda x, m=m: np.where(np.abs(x) < m.p.storage.eta, 0.0, x)  # noqa: E731
        for order in permutations(range(4)):
            for keep in (lambda x: x, flush):
                got = factors[order[0]]
                for k in order[1:]:
                    got = keep(m.store(got * factors[k]))
                for ball in (product(*balls), nested):
                    worst = max(worst, ratio(ball, got))
    assert 0.02 < worst <= 1


def test_a_partial_product_past_the_largest_number_leaves_no_finite_radius() -> None:
    p = PRECISIONS["float16"]
    c, d, slope = (exact(np.array([v]), p) for v in (1e4, 64.0, 1e-6))
    with np.errstate(all="ignore"):
        assert not np.isfinite(product(product(large(c), slope), d).radius).any()
        assert np.isfinite(product(product(large(c), slope), slope).radius).all()
        # Padding stays exact: its factors are zero.
        assert product(product(large(c), exact(np.zeros(1), p)), d).radius == 0


@pytest.mark.parametrize("name", SIMULATED)
def test_both_slopes_of_a_blend_in_every_form(name: str) -> None:
    worst = 0.0
    for seed in range(6):
        m = Machine(PRECISIONS[name], seed)
        a, d, r = m.draw(N, M, scale=6.0), m.draw(N, M), m.store
        z = r(sigmoid(a))
        kept, new = blend_slopes(sigmoid(exact(a, m.p)))
        by_kept, by_new = product(kept, exact(d, m.p)), product(new, exact(d, m.p))
        for got in (r(d * z), r(d - r(d * r(1 - z)))):
            worst = max(worst, ratio(by_kept, got))
        for got in (r(d * r(1 - z)), r(d - r(d * z))):
            worst = max(worst, ratio(by_new, got))
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_a_sum_over_time_in_storage(name: str) -> None:
    worst, steps, rows = 0.0, 9, 2
    for seed in range(4):
        m = Machine(PRECISIONS[name], seed)
        d, v = m.draw(steps, rows, M), m.draw(steps, rows, K)
        ball = exact(d.reshape(-1, M), m.p).T @ exact(v.reshape(-1, K), m.p)
        ball = also_summed(ball, steps - 1)
        total = np.zeros((M, K))
        for t in m.rng.permutation(steps):
            total = m.store(total + m.store(m.matmul(d[t].T, v[t], "serial", False)))
        worst = max(worst, ratio(ball, total))
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_log_softmax_backward_with_and_without_its_maximum(name: str) -> None:
    worst = 0.0
    for seed in range(6):
        m = Machine(PRECISIONS[name], seed)
        x, d, r = m.draw(N, K, scale=3.0), m.draw(N, K), m.store
        ball = log_softmax_backward(log_softmax(exact(x, m.p)), exact(d, m.p))
        y = r(log_softmax(x))
        total = r(m.total(list(d.T), "serial"))[:, None]
        fused = r(d - r(r(np.exp(y)) * total))
        e = r(np.exp(r(x - x.max(-1, keepdims=True))))
        t = r(m.total(list(e.T), "serial"))[:, None]
        apart = r(d + r(e * r(-total / t)))
        gained = apart.copy()
        top = np.arange(N), x.argmax(-1)
        gained[top] = r(gained[top] - r(m.total(list(apart.T), "pairwise")))
        worst = max(worst, *(ratio(ball, got) for got in (fused, apart, gained)))
    assert 0.02 < worst <= 1


def test_relu_slope_of_a_ball() -> None:
    p = PRECISIONS["float32"]
    a = exact(np.array([-1.0, -1e-9, 0.0, 1e-9, 1.0]), p)
    assert relu_slope(a).v.tolist() == [0, 0, 0, 1, 1]
    assert not relu_slope(a).radius.any()
    moved = relu_slope((a + 3.0) - 3.0)
    assert moved.radius.tolist() == [0, 1, 1, 1, 0]
    assert relu_slope(Dual(a, a)).d is None


@pytest.mark.parametrize("name", SIMULATED)
def test_a_tangent_of_a_product_distributed_over_its_factors(name: str) -> None:
    """(Ȧ B + A Ḃ)∘c∘… as Ȧ B c … + A Ḃ c …, which cancel, with the extra factors of SPREAD."""
    worst = 0.0
    for seed in range(4):
        m = Machine(PRECISIONS[name], seed)
        a, b, r = m.draw(N, M), m.draw(N, M), m.store
        da = m.draw(N, M)
        db = r(-da * b / a)  # so that the two terms nearly cancel
        extra = [r(0.5 + 0.5 * np.abs(np.tanh(m.draw(N, M)))) for _ in range(SPREAD - 1)]
        first = product(Dual(exact(a, m.p), exact(da, m.p)), Dual(exact(b, m.p), exact(db, m.p)))
        ball, left, right = first.d, r(da * b), r(a * db)
        for c in extra:
            ball = product(ball, exact(c, m.p))
            left, right = r(left * c), r(right * c)
        worst = max(worst, ratio(ball, r(left + right)))
    assert 0.02 < worst <= 1
