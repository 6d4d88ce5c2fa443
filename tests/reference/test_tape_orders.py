"""Adjoints in every order of factors and sums, simulated in low precision, stay in their balls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gatewise.reference.activations import lstm_activations, sigmoid
from gatewise.reference.ball import exact
from gatewise.reference.cells import gru_state, lstm_state
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.tape import gradients
from tests.reference.test_ball import SIMULATED, K, M, Machine, N, ratio
from tests.reference.test_ball_cells import same_up_to_slack


def step(a: Mapping[str, Any]) -> list[Any]:
    """Two results that use v = e∘f∘g, or v = tanh(e)∘f∘g; de = (d₁∘o∘p + d₂∘q)∘f∘g∘slope."""
    v = (np.tanh(a["e"]) if "curved" in a else a["e"]) * a["f"] * a["g"]
    return [v * a["o"] * a["p"], v * a["q"]]


class Flushing(Machine):
    """A machine that may flush subnormal numbers to zero."""

    flushes = False

    def kept(self, x: Array) -> Array:
        """x, stored."""
        y = self.store(x)
        return np.where(np.abs(y) < self.p.storage.eta, 0.0, y) if self.flushes else y

    def product(self, factors: list[Array]) -> Array:
        """The product of the factors in a random order, stored after each multiplication."""
        order = self.rng.permutation(len(factors))
        result = factors[order[0]]
        for k in order[1:]:
            result = self.kept(result * factors[k])
        return result

    def adjoint(self, a: Mapping[str, Array], d: list[Array], distributed: bool) -> Array:
        """de, with all later factors applied after the sum, or to both of its terms."""
        t = self.kept(np.tanh(a["e"]))
        slopes = [[self.kept(1 - self.kept(t * t))], [self.kept(1 - t), self.kept(1 + t)]]
        own = [a["f"], a["g"], *(slopes[self.rng.randint(2)] if "curved" in a else [])]
        left, right = [d[0], a["o"], a["p"]], [d[1], a["q"]]
        if distributed:
            return self.kept(self.product(left + own) + self.product(right + own))
        return self.product([self.kept(self.product(left) + self.product(right)), *own])

    def arguments(self, small: float, big: float) -> tuple[dict[str, Array], list[Array]]:
        """Arguments and upstream gradients whose two contributions nearly cancel."""
        a = {n: self.draw(N, M) for n in "efgq"}
        a |= {"o": self.draw(N, M, scale=small), "p": self.draw(N, M, scale=big)}
        first = self.draw(N, M)
        second = self.store(-first * a["o"] * a["p"] / a["q"])
        return a, [first, np.where(np.abs(second) < 100, second, 0.0)]


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", SIMULATED)
def test_every_order_of_factors_before_and_after_a_sum(name: str, curved: bool) -> None:
    worst, compared = 0.0, 0
    for seed in range(12):
        m = Flushing(PRECISIONS[name], seed)
        a, d = m.arguments(*((1.0, 1.0), (1e-4, 1e3), (1e-3, 30.0), (3.0, 3.0))[seed % 4])
        a |= {"curved": np.ones(1)} if curved else {}
        outside = [exact(u, m.p) for u in d]
        ball = gradients(step, {n: exact(v, m.p) for n, v in a.items()}, outside)[1]["e"]
        for turn in range(8):
            m.flushes = turn % 4 > 1
            worst = max(worst, ratio(ball, m.adjoint(a, d, bool(turn % 2))))
            compared += ball.size
    print(f"{name}: {compared} comparisons, error/radius {worst:.3f}")
    assert 0.05 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_a_factor_before_and_after_the_sum_over_the_batch(name: str) -> None:
    """x∘(e∘f∘g) with e, f, g (M,): de = (Σ_b d∘x)∘f∘g, where the sum nearly cancels."""
    worst = 0.0
    for seed in range(60):
        m = Flushing(PRECISIONS[name], seed)
        small, big = ((1.0, 1.0), (1e-3, 1e2), (1e-4, 1e3))[seed % 3]
        x, d = m.draw(1, M, scale=big), m.draw(1, M)
        a = {
            "x": m.store(np.concatenate([x, -3 * x])),
            **{n: m.draw(M, scale=small) for n in "efg"},
        }
        d = m.store(np.concatenate([d, d / 3]))
        named = {n: exact(v, m.p) for n, v in a.items()}
        ball = gradients(lambda t: [t["x"] * (t["e"] * t["f"] * t["g"])], named, [exact(d, m.p)])[1]
        for turn in range(8):
            m.flushes = turn % 4 > 1
            own = [a["f"], a["g"]]
            if turn % 2:
                wide = [np.broadcast_to(f, d.shape) for f in own]
                got = m.store(m.total(list(m.product([d, a["x"], *wide])), "serial"))
            else:
                summed = m.store(m.total(list(m.product([d, a["x"]])), "pairwise"))
                got = m.product([summed, *own])
            worst = max(worst, ratio(ball["e"], got))
    print(f"{name}: error/radius {worst:.3f}")
    assert 0.01 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_a_weight_of_several_steps_summed_at_once_or_step_by_step(name: str) -> None:
    worst, steps = 0.0, 6
    for seed in range(6):
        m = Machine(PRECISIONS[name], seed)
        x, w, b = m.draw(steps, 3, K), m.draw(K, M), m.draw(M)
        d = m.draw(steps, 3, M)
        together = seed % 2

        def formula(t: Mapping[str, Any], together: int = together) -> list[Any]:
            if together:
                return [t["x"] @ t["w"] + t["b"]]
            return [np.stack([t["x"][k] @ t["w"] + t["b"] for k in range(6)])]

        named = {"x": exact(x, m.p), "w": exact(w, m.p), "b": exact(b, m.p)}
        balls = gradients(formula, named, [exact(d, m.p)])[1]
        flat_x, flat_d = x.reshape(-1, K), d.reshape(-1, M)
        ones = np.ones((len(flat_x), 1))
        for order in ("serial", "pairwise"):
            whole = m.store(m.matmul(flat_x.T, flat_d, order, seed % 3 == 0))
            bias = m.store(m.matmul(ones.T, flat_d, order, True))[0]
            parts = [m.store(m.matmul(x[k].T, d[k], order, True)) for k in range(steps)]
            biases = [m.store(m.matmul(ones[:3].T, d[k], order, True))[0] for k in range(steps)]
            for k in range(1, steps):
                parts[0] = m.store(parts[0] + parts[k])
                biases[0] = m.store(biases[0] + biases[k])
            for got in (whole, parts[0]):
                worst = max(worst, ratio(balls["w"], got))
            for got in (bias, biases[0]):
                worst = max(worst, ratio(balls["b"], got))
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("name", SIMULATED)
def test_a_product_of_several_gates_at_once_or_one_by_one(name: str, columns: bool) -> None:
    """dx = Σ_gates d W, in x Wᵀ with rows x, and in W x with columns x."""
    worst, gates, size = 0.0, 6, 4
    for seed in range(8):
        m = Machine(PRECISIONS[name], seed)
        x, w, factor = m.draw(N, K), m.draw(gates * size, K), m.draw(N, size)
        d = m.draw(N, gates * size)

        def formula(t: Mapping[str, Any], columns: bool = columns) -> list[Any]:
            if columns:
                y = t["w"] @ t["x"].T
                blocks = [y[k * 4 : (k + 1) * 4] * t["f"].T for k in range(6)]
                return [np.concatenate(blocks, axis=0).T]
            y = t["x"] @ t["w"].T
            return [np.concatenate([y[:, k * 4 : (k + 1) * 4] * t["f"] for k in range(6)], axis=-1)]

        named = {"x": exact(x, m.p), "w": exact(w, m.p), "f": exact(factor, m.p)}
        ball = gradients(formula, named, [exact(d, m.p)])[1]["x"]
        a = m.store(d * np.tile(factor, gates))
        parts = [a[:, k * size : (k + 1) * size] for k in range(gates)]
        rows = [w[k * size : (k + 1) * size] for k in range(gates)]
        total = None
        for part, row in zip(parts, rows, strict=True):
            one = m.store(m.matmul(part, row, "serial", False))
            total = one if total is None else m.store(total + one)
        whole = m.store(m.matmul(a, w, "pairwise", False))
        worst = max(worst, ratio(ball, total), ratio(ball, whole))
    print(f"{name}: error/radius {worst:.3f}")
    assert 0.02 < worst <= 1


# ---------------------------------------------------------------------- blocks of the cells


def _lstm(state: Any, a: Mapping[str, Any]) -> list[Any]:
    c, _, m = state(lstm_activations(a["gates"]), a["c"])
    return [c, m]


def _gru(state: Any, a: Mapping[str, Any]) -> list[Any]:
    return [state(a["share"], a["a_h"], a["h"], True).h]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_blocks_of_cells_have_the_radii_of_their_single_operations(name: str) -> None:
    m, H = Machine(PRECISIONS[name], 0), 5
    cases = (
        (_lstm, lstm_state, {"gates": (N, 4 * H), "c": (N, H)}),
        (_gru, gru_state, {"share": (N, 3 * H), "a_h": (N, 3 * H), "h": (N, H)}),
    )
    for formula, state, shapes in cases:
        a = {n: exact(m.draw(*s), m.p) for n, s in shapes.items()}
        d = [exact(m.draw(N, H), m.p) for _ in range(2 if formula is _lstm else 1)]
        block = gradients(lambda t, f=formula, s=state: f(s, t), a, d)
        single = gradients(lambda t, f=formula, s=state: f(s.dispatch(object), t), a, d)
        for of, ball in block[1].items():
            assert np.array_equal(ball.v, single[1][of].v)
            assert same_up_to_slack(ball.radius, single[1][of].radius)


def test_a_gate_of_slope_zero_keeps_an_overflow_unbounded() -> None:
    """(d∘x)∘σ′ may be ∞·0 where d∘x is past the largest number."""
    p = PRECISIONS["float32"]
    for size, bounded in ((1e10, True), (1e30, False)):
        a = {"x": exact(np.array([size]), p), "a": exact(np.array([-200.0]), p)}
        d = [exact(np.array([1e10]), p)]
        radius = gradients(lambda t: [t["x"] * sigmoid(t["a"])], a, d)[1]["a"].radius
        assert np.isfinite(radius).all() == bounded
