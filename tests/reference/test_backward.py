"""Backpropagation through time against the complex step, 50 digits, and torch's own autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

from gatewise.reference.backward import cell_backward, layer_backward
from gatewise.reference.ball import Ball, exact
from gatewise.reference.dual import Dual
from gatewise.reference.formats import PRECISIONS, Array, gamma
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from tests.reference import test_mpmath as scalars
from tests.reference.problems import PROBLEMS, B, H, I, Problem, T

P = PRECISIONS["float64"]

#: The complex step's own error is of the order of its square, far below float64's.
STEP = 1e-30


def balls(named: Mapping[str, Array]) -> dict[str, Ball]:
    return {name: exact(a, P) for name, a in named.items()}


def total(a: Mapping[str, Array], b: Mapping[str, Any]) -> float:
    return float(sum(np.sum(a[name] * b[name]) for name in a))


def complex_step(problem: Problem, a: Mapping[str, Array], d: Mapping[str, Array]) -> Any:
    """The derivative of every result in the direction d: Im f(a + ih d) / h (Squire & Trapp)."""
    tilted = {n: a[n] + 1j * STEP * d[n] if n in d else a[n] for n in a}
    return {name: np.imag(r) / STEP for name, r in problem.forward(tilted).items()}


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_are_those_of_the_complex_step(name: str) -> None:
    problem, rng, worst, relative = PROBLEMS[name], np.random.RandomState(0), 0.0, 0.0
    a, upstream = problem.draw(0), problem.upstream(0)
    gradients = problem.backward(a, upstream)
    bounds = problem.backward(balls(a), balls(upstream))
    assert list(gradients) == list(bounds)
    assert set(gradients) == set(problem.shapes)
    for of, gradient in gradients.items():
        assert gradient.shape == problem.shapes[of]
        assert near(gradient, bounds[of]), of
        d = rng.standard_normal(gradient.shape)
        got = total({of: d}, {of: gradient})
        want = total(upstream, complex_step(problem, a, {of: d}))
        # The complex step is a forward mode: it is off by what a tangent's ball allows.
        dual = {n: Dual(v, exact(d, P) if n == of else None) for n, v in balls(a).items()}
        tangents = {n: r.tangent for n, r in problem.forward(dual).items()}
        bound = total({of: np.abs(d)}, {of: bounds[of].radius})
        bound += total(absolute(upstream), {n: t.radius for n, t in tangents.items()})
        # Two sums of products, here in float64.
        bound += gamma(d.size, 2.0**-53) * np.sum(np.abs(d * gradient))
        sizes = {n: np.abs(t.v) for n, t in tangents.items()}
        count = sum(u.size for u in upstream.values())
        bound += gamma(count, 2.0**-53) * total(absolute(upstream), sizes)
        assert abs(got - want) <= bound, of
        worst = max(worst, abs(got - want) / bound)
        relative = max(relative, abs(got - want) / np.sum(np.abs(d * gradient)))
    print(f"{name}: complex step, largest relative error {relative:.1e}, error/bound {worst:.3f}")
    assert worst > 0


def absolute(named: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.abs(a) for name, a in named.items()}


def near(a: Array, ball: Ball) -> bool:
    """Whether an array is in a ball; BLAS may sum one product in another order than another."""
    return bool((np.abs(a - ball.v) <= ball.radius).all())


@pytest.mark.parametrize("name", PROBLEMS)
def test_upstream_gradients_apart_add_up(name: str) -> None:
    problem = PROBLEMS[name]
    a, upstream = problem.draw(3), problem.upstream(3)
    whole = problem.backward(balls(a), balls(upstream))
    parts = [problem.backward(balls(a), balls({n: d})) for n, d in upstream.items()]
    for of, ball in whole.items():
        apart = sum(part[of].v for part in parts)
        bound = sum(part[of].radius for part in parts) + ball.radius
        # float64 sums of three parts here, two roundings each
        bound = bound + 2.0**-51 * sum(np.abs(part[of].v) for part in parts)
        assert (np.abs(apart - ball.v) <= bound).all(), of
        zeros = {n: np.zeros_like(d) for n, d in upstream.items()}
        assert not problem.backward(a, zeros)[of].any()
        assert not problem.backward(balls(a), balls(zeros))[of].radius.any()


# ---------------------------------------------------------------------- 50 digits

SMALL = {
    "rnn_tanh": Options("RNN", 2, 2),
    "lstm": Options("LSTM", 2, 2),
    "lstm_projected": Options("LSTM", 2, 2, proj_size=1),
    "gru": Options("GRU", 2, 2),
    "gru_before": Options("GRU", 2, 2, reset_after=False, update_keeps=False),
}


def scalar_loss(o: Options, a: Mapping[str, Any], upstream: Mapping[str, Array]) -> Any:
    """Σ upstream∘results of two steps, from the scalar equations of `test_mpmath`."""
    w = {n.removesuffix("_l0"): v for n, v in a.items() if n.startswith(("weight", "bias"))}
    state = [list(a[n][0]) for n in ("h_0", "c_0") if n in a]
    loss = mpf(0)
    for t in range(2):
        x = list(a["input"][t])
        if o.kind == "LSTM":
            state = list(scalars.lstm(w, x, *state))
        elif o.kind == "GRU":
            state = [scalars.gru(w, x, state[0], o.reset_after, o.update_keeps)]
        else:
            state = [scalars.rnn(w, x, state[0])]
        loss += sum(mpf(float(u)) * h for u, h in zip(upstream["output"][t], state[0], strict=True))
    for name, part in zip(("h_n", "c_n"), state, strict=False):
        loss += sum(mpf(float(u)) * s for u, s in zip(upstream[name][0], part, strict=True))
    return loss


@pytest.mark.parametrize("name", SMALL)
def test_every_entry_is_that_of_fifty_digits(name: str) -> None:
    o, rng = SMALL[name], np.random.RandomState(1)
    shapes: dict[str, tuple[int, ...]] = {"input": (2, 2), "h_0": (1, o.state_size)}
    shapes |= {"c_0": (1, 2)} if o.kind == "LSTM" else {}
    a = {n: rng.standard_normal(s) for n, s in (shapes | weight_shapes(o)).items()}
    results = {"output": (2, o.state_size), "h_n": (1, o.state_size)}
    results |= {"c_n": (1, 2)} if o.kind == "LSTM" else {}
    upstream = {n: rng.standard_normal(s) for n, s in results.items()}
    named = balls(a)
    state = [named[n] for n in ("h_0", "c_0") if n in named]
    gradients = layer_backward(o, named, named["input"], state, balls(upstream))
    ratios = []
    with mpmath.workdps(50):
        wide = {n: np.vectorize(lambda v: mpf(float(v)), otypes=[object])(v) for n, v in a.items()}
        h = mpf(10) ** -20
        for of in shapes | weight_shapes(o):
            for index in np.ndindex(a[of].shape):
                sides = []
                for sign in (1, -1):
                    moved = wide[of].copy()
                    moved[index] += sign * h
                    sides.append(scalar_loss(o, wide | {of: moved}, upstream))
                # Central differences err by h² times a third derivative, and 50 digits by 10⁻³⁰.
                want = (sides[0] - sides[1]) / (2 * h)
                error = abs(mpf(float(gradients[of].v[index])) - want)
                ratios.append(float(error / mpf(float(gradients[of].radius[index]))))
    assert len(ratios) == sum(v.size for v in a.values())
    assert 0 < max(ratios) <= 0.5  # the ball holds a subject's error beside the reference's


# ---------------------------------------------------------------------- torch's own autograd

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def torch_layer(o: Options, a: Mapping[str, Any], lengths: tuple[int, ...]) -> dict[str, Any]:
    """One layer in one direction, one sequence at a time, each gate apart."""
    w = {n.removesuffix("_l0"): v for n, v in a.items()}
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[o.kind]

    def terms(side: str, v: Any) -> list[Any]:
        blocks = zip(w[f"weight_{side}"].chunk(gates), w[f"bias_{side}"].chunk(gates), strict=True)
        return [torch.mv(m, v) + b for m, b in blocks]

    rows, finals = [], []
    for b, length in enumerate(lengths):
        h, c = w["h_0"][0, b], w["c_0"][0, b] if "c_0" in w else None
        outputs = []
        for t in range(T):
            if t >= length:
                outputs.append(torch.zeros_like(h))
                continue
            x_terms, h_terms = terms("ih", w["input"][t, b]), terms("hh", h)
            if o.kind == "LSTM":
                i, f, g, q = (u + v for u, v in zip(x_terms, h_terms, strict=True))
                c = c / (1 + torch.exp(-f)) + torch.tanh(g) / (1 + torch.exp(-i))
                h = torch.sigmoid(q) * torch.tanh(c)
                h = torch.mv(w["weight_hr"], h) if o.proj_size else h
            elif o.kind == "GRU":
                r, z = (torch.sigmoid(x_terms[k] + h_terms[k]) for k in range(2))
                n = torch.tanh(x_terms[2] + r * h_terms[2])
                h = n - z * n + z * h
            else:
                h = torch.tanh(x_terms[0] + h_terms[0])
            outputs.append(h)
        rows.append(torch.stack(outputs))
        finals.append((h, c))
    results = {"output": torch.stack(rows, 1), "h_n": torch.stack([h for h, _ in finals])[None]}
    return results | ({"c_n": torch.stack([c for _, c in finals])[None]} if "c_0" in w else {})


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "LSTMP", "GRU"])
def test_torch_autograd_of_an_independent_formula_stays_in_the_ball(
    kind: str, precision: str
) -> None:
    p, dtype, worst = PRECISIONS[precision], DTYPES[precision], 0.0
    o = Options(kind.removesuffix("P"), I, H, proj_size=2 * kind.endswith("P"))
    lengths = (2, 4, 3)
    for seed in range(12):
        rng = np.random.RandomState(seed)
        scale = (0.3, 1.0, 3.0)[seed % 3]
        shapes: dict[str, tuple[int, ...]] = {"input": (T, B, I), "h_0": (1, B, o.state_size)}
        shapes |= ({"c_0": (1, B, H)} if o.kind == "LSTM" else {}) | weight_shapes(o)
        a = {n: p.storage.round(scale * rng.standard_normal(s)) for n, s in shapes.items()}
        leaves = {n: torch.tensor(v, dtype=dtype, requires_grad=True) for n, v in a.items()}
        results = torch_layer(o, leaves, lengths)
        upstream = {
            n: p.storage.round(rng.standard_normal(tuple(r.shape))) for n, r in results.items()
        }
        outside = [torch.tensor(upstream[n], dtype=dtype) for n in results]
        got = torch.autograd.grad(list(results.values()), list(leaves.values()), outside)
        named = {n: exact(v, p) for n, v in a.items()}
        state = [named[n] for n in ("h_0", "c_0") if n in named]
        weights = {n: v for n, v in a.items() if n in weight_shapes(o)}
        d = {n: exact(v, p) for n, v in upstream.items()}
        want = layer_backward(o, weights, named["input"], state, d, lengths)
        for name, value in zip(leaves, got, strict=True):
            ball = want[name]
            error = np.abs(value.double().numpy() - ball.v)
            assert (error[ball.radius == 0] == 0).all()
            ratio = error[ball.radius > 0] / ball.radius[ball.radius > 0]
            worst = max(worst, float(ratio.max()))
            assert worst <= 1, name
    assert worst > 0.01


# ---------------------------------------------------------------------- exact facts


def test_nothing_flows_into_padding_whatever_it_holds() -> None:
    for kind in ("RNN", "LSTM", "GRU"):
        o = Options(kind, I, H, num_layers=2, bidirectional=True)
        rng = np.random.RandomState(0)
        w = {n: rng.standard_normal(s) for n, s in weight_shapes(o).items()}
        x, parts = rng.standard_normal((T, B, I)), 1 + (kind == "LSTM")
        state = [rng.standard_normal((4, B, H)) for _ in range(parts)]
        d = {"output": rng.standard_normal((T, B, 2 * H))}
        lengths = (1, 4, 2)
        padding = np.arange(T)[:, None] >= np.array(lengths)
        strange = np.where(padding[..., None], np.nan, x)
        plain = layer_backward(o, w, x, state, d, lengths)
        d["output"] = np.where(padding[..., None], np.inf, d["output"])
        other = layer_backward(o, w, strange, state, d, lengths)
        for name in plain:
            assert np.array_equal(plain[name], other[name]), name
        assert not plain["input"][padding].any()
        ball = layer_backward(o, w, exact(x, P), [exact(s, P) for s in state], balls(d), lengths)[
            "input"
        ]
        assert not ball.v[padding].any()
        assert not ball.radius[padding].any()
        assert ball.v[~padding].all()


def test_relu_has_slope_zero_at_zero_and_both_slopes_where_it_straddles() -> None:
    o = Options("RNN", 1, 3, bias=False, nonlinearity="relu", cell=True)
    p = PRECISIONS["float32"]
    w = {"weight_ih": np.array([[0.0], [1.0], [3.0]]), "weight_hh": np.zeros((3, 3))}
    d = {"h": exact(np.ones((1, 3)), p)}
    zero = exact(np.zeros((1, 3)), p)
    at_zero = cell_backward(o, w, exact(np.array([[1.0]]), p), (zero,), d)["weight_ih"]
    assert at_zero.v.tolist() == [[0.0], [1.0], [1.0]]
    assert at_zero.radius[0] == 0
    assert (at_zero.radius[1:] < 1e-6).all()
    # 3·(1/3) − 1 is 0 but for the rounding of its terms: its slope may be either.
    w["weight_hh"][2, 0] = -1.0
    h = exact(np.array([[1.0, 0.0, 0.0]]), p)
    third = exact(p.storage.round([[1 / 3]]), p)
    straddling = cell_backward(o, w, third, (h,), d)
    ball = straddling["weight_ih"]
    assert ball.radius[2] >= third.v[0, 0]
    assert ball.radius[1] < 1e-6


def test_no_time_is_an_error() -> None:
    o = Options("GRU", I, H)
    w = {n: np.ones(s) for n, s in weight_shapes(o).items()}
    with pytest.raises(ValueError, match="the input has time 0; expected at least one step"):
        layer_backward(o, w, np.ones((0, B, I)), [np.ones((1, B, H))], {})


def test_no_upstream_is_a_gradient_of_zeros() -> None:
    for name, problem in PROBLEMS.items():
        gradients = problem.backward(balls(problem.draw(0)), {})
        assert set(gradients) == set(problem.shapes), name
        for of, ball in gradients.items():
            assert not ball.v.any(), of
            assert not ball.radius.any(), of
