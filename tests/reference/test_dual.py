"""Tangents against the complex step, second derivatives against that of BPTT, and torch's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.reference.activations import sigmoid
from gatewise.reference.backward import cell_backward
from gatewise.reference.ball import exact
from gatewise.reference.dual import Dual
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from gatewise.reference.steps import cell
from tests.reference.problems import PROBLEMS, B, H, I, Problem, T, of_layer
from tests.reference.test_backward import STEP, complex_step, near, torch_layer

P = PRECISIONS["float64"]


def direction(problem: Problem, seed: int, names: Any = None) -> dict[str, Array]:
    """A tangent of some arguments, by default of all."""
    rng = np.random.RandomState(seed + 20_000)
    return {n: rng.standard_normal(problem.shapes[n]) for n in names or problem.shapes}


def duals(a: Mapping[str, Array], d: Mapping[str, Array], as_balls: bool) -> dict[str, Dual]:
    """Arguments as Duals of arrays or of Balls."""
    wrap: Callable[[Any], Any] = (lambda v: exact(v, P)) if as_balls else (lambda v: v)
    return {n: Dual(wrap(v), wrap(d[n]) if n in d else None) for n, v in a.items()}


def gradient_step(problem: Problem, a: Any, d: Any, upstream: Any) -> dict[str, Array]:
    """The derivative of every gradient in the direction d, by the complex step of BPTT."""
    tilted = {n: a[n] + 1j * STEP * d[n] if n in d else a[n] for n in a}
    return {n: np.imag(g) / STEP for n, g in problem.backward(tilted, upstream).items()}


def compared(name: str, got: Mapping[str, Any], want: Mapping[str, Any]) -> float:
    """The largest |got − want| / radius of two float64 computations, arrays and Balls."""
    worst = 0.0
    for of, ball in want.items():
        # Either is off by at most the radius, the complex step by the rounding of its own.
        error, bound = np.abs(got[of] - ball.v), 2.0 * ball.radius
        assert (error <= bound).all(), (name, of)
        ratios = error[bound > 0] / bound[bound > 0]
        worst = max(worst, float(ratios.max(initial=0.0)))
    return worst


@pytest.mark.parametrize("name", PROBLEMS)
def test_tangents_are_those_of_the_complex_step(name: str) -> None:
    problem = PROBLEMS[name]
    a, d = problem.draw(0), direction(problem, 0)
    want = {n: r.tangent for n, r in problem.forward(duals(a, d, as_balls=True)).items()}
    plain = {n: r.tangent for n, r in problem.forward(duals(a, d, as_balls=False)).items()}
    assert all(near(plain[n], ball) for n, ball in want.items())
    assert compared(name, complex_step(problem, a, d), want) > 0


@pytest.mark.parametrize("name", PROBLEMS)
def test_hessian_vector_products_are_those_of_the_complex_step_of_bptt(name: str) -> None:
    problem = PROBLEMS[name]
    a, upstream = problem.draw(1), problem.upstream(1)
    rng = np.random.RandomState(2)
    chosen = [n for n in a if rng.rand() < 0.4] or ["h_0"]
    for names in (None, chosen):
        d = direction(problem, 1, names)
        outside = {n: Dual(exact(u, P)) for n, u in upstream.items()}
        gradients = problem.backward(duals(a, d, as_balls=True), outside)
        want = {n: g.tangent for n, g in gradients.items()}
        worst = compared(name, gradient_step(problem, a, d, upstream), want)
        plain = problem.backward(duals(a, d, as_balls=False), upstream)
        assert all(near(plain[n].tangent, ball) for n, ball in want.items())
        print(f"{name}: HVP against the complex step of BPTT, error/bound {worst:.3f}")
        assert worst > 0


@pytest.mark.parametrize("name", ["LSTM-projected", "GRU-stacked-ragged", "SharedLSTMCell"])
def test_the_hessian_is_symmetric(name: str) -> None:
    problem = PROBLEMS[name]
    a, upstream = problem.draw(4), problem.upstream(4)
    outside = {n: Dual(exact(u, P)) for n, u in upstream.items()}
    u, v = direction(problem, 5), direction(problem, 6)
    sides, bound = [], 0.0
    for d, other in ((u, v), (v, u)):
        gradients = problem.backward(duals(a, d, as_balls=True), outside)
        tangents = {n: g.tangent for n, g in gradients.items()}
        sides.append(sum(np.sum(other[n] * t.v) for n, t in tangents.items()))
        bound += sum(np.sum(np.abs(other[n]) * t.radius) for n, t in tangents.items())
    assert abs(sides[0] - sides[1]) <= bound
    assert abs(sides[0]) > bound


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "LSTMP", "GRU"])
def test_double_backward_and_forward_mode_of_torch_stay_in_the_ball(
    kind: str, precision: str
) -> None:
    p, dtype = PRECISIONS[precision], getattr(torch, precision)
    o = Options(kind.removesuffix("P"), I, H, proj_size=2 * kind.endswith("P"))
    lengths, worst = (2, 4, 3), 0.0
    problem = of_layer(o, lengths)
    for seed in range(6):
        a = {n: p.storage.round(v) for n, v in problem.draw(seed).items()}
        d = {n: p.storage.round(v) for n, v in direction(problem, seed).items()}
        upstream = {n: p.storage.round(v) for n, v in problem.upstream(seed).items()}
        arguments = {n: torch.tensor(v, dtype=dtype) for n, v in a.items()}
        tangent = {n: torch.tensor(v, dtype=dtype) for n, v in d.items()}

        def loss(a: Any, upstream: Any = upstream) -> Any:
            results = torch_layer(o, a, lengths)
            return sum(
                (torch.tensor(u, dtype=dtype) * results[n]).sum() for n, u in upstream.items()
            )

        named = {n: Dual(exact(v, p), exact(d[n], p)) for n, v in a.items()}
        outside = {n: Dual(exact(u, p)) for n, u in upstream.items()}
        hvp = {n: g.tangent for n, g in problem.backward(named, outside).items()}
        jvp = {n: r.tangent for n, r in problem.forward(named).items()}
        leaves = {n: v.clone().requires_grad_() for n, v in arguments.items()}
        first = torch.autograd.grad(loss(leaves), list(leaves.values()), create_graph=True)
        inner = sum((g * tangent[n]).sum() for n, g in zip(leaves, first, strict=True))
        second = torch.autograd.grad(inner, list(leaves.values()), allow_unused=True)
        over = {n: g for n, g in zip(leaves, second, strict=True) if g is not None}
        forward = lambda a: torch_layer(o, a, lengths)  # noqa: E731
        _, pushed = torch.func.jvp(forward, (arguments,), (tangent,))
        _, along = torch.func.jvp(torch.func.grad(loss), (arguments,), (tangent,))
        for got, want in ((over, hvp), (along, hvp), (pushed, jvp)):
            for name, value in got.items():
                ball = want[name]
                error = np.abs(value.double().numpy() - ball.v)
                assert (error <= ball.radius).all(), name
                inside = ball.radius > 0
                worst = max(worst, float((error[inside] / ball.radius[inside]).max()))
    assert 0.001 < worst <= 1


def test_relu_has_no_second_derivative() -> None:
    o = Options("RNN", I, H, nonlinearity="relu", cell=True)
    rng = np.random.RandomState(0)
    w = {n: rng.standard_normal(s) for n, s in weight_shapes(o).items()}
    x = Dual(rng.standard_normal((B, I)), rng.standard_normal((B, I)))
    h = cell(o, w, x, (rng.standard_normal((B, H)),))["h"]
    on = h.v > 0
    assert np.array_equal(h.d != 0, on)
    problem = PROBLEMS["RNN-relu"]
    a, d = problem.draw(0), {"input": np.ones(problem.shapes["input"])}
    gradients = problem.backward(duals(a, d, as_balls=False), problem.upstream(0))
    assert not gradients["bias_ih_l0"].tangent.any()


@pytest.mark.parametrize(
    "operation",
    [np.exp2, np.cbrt, np.cumprod, np.add.reduce, np.std, lambda x: x**3],
)
def test_an_operation_without_a_rule_raises(operation: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        operation(Dual(np.ones(3), np.ones(3)))


def test_a_tangent_of_zero_is_never_written_out() -> None:
    x = Dual(np.ones((2, 3)))
    for result in (x + 1.0, 2.0 * x, x @ np.ones((3, 1)), np.tanh(x), sigmoid(x), 1.0 - x, x[0].T):
        assert result.d is None
    widened = Dual(np.ones(3), np.ones(3)) + np.zeros((T, 3))
    assert widened.d.shape == widened.v.shape == (T, 3)
    joined = np.concatenate([Dual(np.ones(2), np.ones(2)), np.ones(1)])
    assert joined.d.tolist() == [1.0, 1.0, 0.0]


def test_an_overflow_before_a_slope_of_zero_leaves_no_bound() -> None:
    """(ȧ∘dh∘tanh″)∘tanh′ is ∞·0 in float32 where tanh′∘ȧ is 0, with ȧ near the largest."""
    o, p = Options("RNN", 1, 1, bias=False, cell=True), PRECISIONS["float32"]
    w = {"weight_ih": np.ones((1, 1)), "weight_hh": np.ones((1, 1))}
    for size, bounded in ((1e30, True), (2e38, False)):
        ball = Dual(exact(np.full((1, 1), size), p))
        h = Dual(exact(np.ones((1, 1)), p))
        weights = {n: Dual(exact(v, p), exact(v, p)) for n, v in w.items()}
        upstream = {"h": Dual(exact(np.ones((1, 1)), p))}
        gradients = cell_backward(o, weights, ball, (h,), upstream)
        assert np.isfinite(gradients["input"].tangent.radius).all() == bounded
