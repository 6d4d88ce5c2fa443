"""The reference against 50-digit arithmetic, from equations written a second time with scalars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from gatewise.reference.activations import sigmoid
from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from gatewise.reference.steps import cell
from gatewise.reference.unroll import layer

P = PRECISIONS["float64"]
SEEDS = range(8)
I, H, B = 3, 4, 2  # noqa: E741


@pytest.fixture(autouse=True)
def fifty_digits() -> Any:
    with mpmath.workdps(50):
        yield


Row = list[Any]


def row(values: Array) -> Row:
    return [mpf(float(v)) for v in values]


def product(w: Array, x: Row, b: Array | None = None) -> Row:
    """W x + b, one scalar at a time."""
    sums = [sum((mpf(w[k, j]) * x[j] for j in range(len(x))), mpf(0)) for k in range(len(w))]
    return sums if b is None else [s + mpf(c) for s, c in zip(sums, b, strict=True)]


def logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def rnn(w: dict[str, Array], x: Row, h: Row, relu: bool = False) -> Row:
    a = product(w["weight_ih"], x, w["bias_ih"])
    b = product(w["weight_hh"], h, w["bias_hh"])
    sums = [p + q for p, q in zip(a, b, strict=True)]
    return [max(s, mpf(0)) if relu else mpmath.tanh(s) for s in sums]


def lstm(w: dict[str, Array], x: Row, h: Row, c: Row) -> tuple[Row, Row]:
    a = product(w["weight_ih"], x, w["bias_ih"])
    b = product(w["weight_hh"], h, w["bias_hh"])
    s, n = [p + q for p, q in zip(a, b, strict=True)], len(c)
    i, f = [logistic(v) for v in s[:n]], [logistic(v) for v in s[n : 2 * n]]
    g, o = [mpmath.tanh(v) for v in s[2 * n : 3 * n]], [logistic(v) for v in s[3 * n :]]
    c2 = [f[k] * c[k] + i[k] * g[k] for k in range(n)]
    h2 = [o[k] * mpmath.tanh(c2[k]) for k in range(n)]
    return (product(w["weight_hr"], h2) if "weight_hr" in w else h2), c2


def gru(w: dict[str, Array], x: Row, h: Row, reset_after: bool, update_keeps: bool) -> Row:
    n = len(h)
    a = product(w["weight_ih"], x, w["bias_ih"])
    b = product(w["weight_hh"], h, w["bias_hh"])
    r = [logistic(a[k] + b[k]) for k in range(n)]
    z = [logistic(a[n + k] + b[n + k]) for k in range(n)]
    if reset_after:
        m = [r[k] * b[2 * n + k] for k in range(n)]
    else:
        m = product(w["weight_hh"][2 * n :], [r[k] * h[k] for k in range(n)], w["bias_hh"][2 * n :])
    new = [mpmath.tanh(a[2 * n + k] + m[k]) for k in range(n)]
    kept = z if update_keeps else [1 - v for v in z]
    return [(1 - kept[k]) * new[k] + kept[k] * h[k] for k in range(n)]


def worst_ratio(got: Ball, want: Sequence[Row]) -> float:
    """The largest |v − exact| / radius; float64's own error alone, so well below 1."""
    exact_ = np.array(
        [
            [float(v - mpf(float(a))) for v, a in zip(r, s, strict=True)]
            for r, s in zip(want, got.v, strict=True)
        ]
    )
    assert np.isfinite(got.radius).all()
    assert (got.radius > 0).all()
    return float((np.abs(exact_) / got.radius).max())


def weights(options: Options, seed: int) -> dict[str, Array]:
    rng = np.random.RandomState(seed)
    return {n: rng.standard_normal(s) for n, s in weight_shapes(options).items()}


def inputs(seed: int, *shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.RandomState(1000 + seed)
    return [rng.standard_normal(s) * 10.0 ** rng.uniform(-2, 1) for s in shapes]


#: Name → options, and the scalar equations applied to one row of x and of the states.
STEPS: dict[str, tuple[Options, Callable[..., Any]]] = {
    "rnn_tanh": (Options("RNN", I, H, cell=True), rnn),
    "rnn_relu": (
        Options("RNN", I, H, cell=True, nonlinearity="relu"),
        lambda w, x, h: rnn(w, x, h, relu=True),
    ),
    "lstm": (Options("LSTM", I, H, cell=True), lstm),
    "lstm_projected": (Options("LSTM", I, H, cell=True, proj_size=2), lstm),
    **{
        f"gru_after_{after}_keeps_{keeps}": (
            Options("GRU", I, H, cell=True, reset_after=after, update_keeps=keeps),
            lambda w, x, h, after=after, keeps=keeps: gru(w, x, h, after, keeps),
        )
        for after in (True, False)
        for keeps in (True, False)
    },
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_lies_within_its_float64_ball(name: str) -> None:
    options, equations = STEPS[name]
    ratios = []
    for seed in SEEDS:
        w = weights(options, seed)
        shapes = [(B, I), (B, options.state_size)] + [(B, H)] * (options.kind == "LSTM")
        x, *state = inputs(seed, *shapes)
        balls = list(cell(options, w, exact(x, P), tuple(exact(s, P) for s in state)).values())
        want = [equations(w, row(x[k]), *(row(s[k]) for s in state)) for k in range(B)]
        if options.kind == "LSTM":
            ratios += [worst_ratio(balls[j], [pair[j] for pair in want]) for j in (0, 1)]
        else:
            ratios.append(worst_ratio(balls[0], want))
        values = list(cell(options, w, x, tuple(state)).values())
        assert all(np.array_equal(v, b.v) for v, b in zip(values, balls, strict=True))
    assert 0 < max(ratios) <= 0.5  # the ball holds a subject's error beside the reference's


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_two_layers_both_directions_and_lengths(kind: str) -> None:
    options = Options(kind, I, H, num_layers=2, bidirectional=True)
    w, time, lengths = weights(options, 5), 4, (4, 2)
    parts = 2 if kind == "LSTM" else 1
    x, *state = inputs(5, (time, B, I), *[(4, B, H)] * parts)
    got = layer(options, w, exact(x, P), [exact(s, P) for s in state], lengths)
    equations = {"RNN": rnn, "LSTM": lstm, "GRU": lambda *a: gru(*a, True, True)}[kind]
    for b, length in enumerate(lengths):
        below = [row(x[t, b]) for t in range(length)]
        for index in range(2):
            halves: list[list[Row]] = []
            for reverse, end in enumerate(("", "_reverse")):
                own = {n: w[f"{n}_l{index}{end}"] for n in _NAMES}
                s = tuple(row(part[2 * index + reverse, b]) for part in state)
                outputs: list[Row] = []
                for v in below[:: -1 if reverse else 1]:
                    new = equations(own, v, *s)
                    s = new if kind == "LSTM" else (new,)
                    outputs.append(s[0])
                halves.append(outputs[:: -1 if reverse else 1])
                final = got.h_n[2 * index + reverse, b : b + 1]
                assert 0 < worst_ratio(final, [s[0]]) <= 0.5
            below = [p + q for p, q in zip(*halves, strict=True)]
        assert 0 < worst_ratio(got.output[:length, b], below) <= 0.5
        assert not got.output.v[length:, b].any()


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def test_sigmoid_keeps_its_relative_accuracy_in_both_tails() -> None:
    x = np.concatenate([-np.geomspace(1e-8, 700, 200), np.geomspace(1e-8, 700, 200)])
    want = [logistic(mpf(float(v))) for v in x]
    error = [abs((mpf(float(g)) - w) / w) for g, w in zip(sigmoid(x), want, strict=True)]
    # exp to 1 ulp (2u), its effect on 1+e at most once more, one sum and one quotient: 6u.
    assert 0 < max(error) <= 6 * P.storage.u
