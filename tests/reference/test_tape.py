"""Reverse mode by the tape against BPTT by hand, against the complex step, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gatewise.reference.activations import sigmoid
from gatewise.reference.ball import exact
from gatewise.reference.dual import Dual
from gatewise.reference.formats import PRECISIONS
from gatewise.reference.tape import Taped, gradients
from gatewise.reference.tape_core import UFUNCS
from gatewise.reference.tape_rules import add_slopes
from tests.reference.problems import PROBLEMS, Named, Problem
from tests.reference.test_backward import STEP, balls
from tests.reference.test_dual import compared, direction, duals

#: Problems whose backward pass is written by hand.
BY_HAND = [n for n in PROBLEMS if not n.startswith(("Shared", "Independent", "Tagger"))]


def by_tape(problem: Problem, a: Named, upstream: Named) -> dict[str, Any]:
    """The gradients of a problem from its forward formula alone."""

    def function(arguments: Named) -> list[Any]:
        results = problem.forward(arguments)
        return [results[name] for name in upstream]

    return gradients(function, a, list(upstream.values()))[1]


@pytest.mark.parametrize("name", BY_HAND)
def test_gradients_are_those_of_bptt_by_hand(name: str) -> None:
    problem, compared_ = PROBLEMS[name], 0
    for seed in range(2):
        a, upstream = problem.draw(seed), problem.upstream(seed)
        hand = problem.backward(balls(a), balls(upstream))
        tape = by_tape(problem, balls(a), balls(upstream))
        plain = by_tape(problem, a, upstream)
        assert list(tape) == list(problem.shapes)
        for of, want in hand.items():
            assert tape[of].shape == want.shape
            bound = tape[of].radius + want.radius
            assert (np.abs(tape[of].v - want.v) <= bound).all(), of
            assert (np.abs(plain[of] - want.v) <= bound).all(), of
            # What is exactly zero by hand, such as the gradient of padding, is so on the tape.
            assert not tape[of].radius[want.radius == 0].any(), of
            compared_ += want.size
    assert compared_ == 2 * sum(int(np.prod(s)) for s in problem.shapes.values())


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_radii_are_near_those_by_hand(precision: str) -> None:
    p, ratios = PRECISIONS[precision], []
    for name in BY_HAND:
        problem = PROBLEMS[name]
        a, upstream = (
            {n: exact(p.storage.round(0.5 * v), p) for n, v in named.items()}
            for named in (problem.draw(0), problem.upstream(0))
        )
        hand, tape = problem.backward(a, upstream), by_tape(problem, a, upstream)
        for of, want in hand.items():
            bounded = (want.radius > 0) & np.isfinite(want.radius)
            ratios.append(tape[of].radius[bounded] / want.radius[bounded])
    every = np.concatenate(ratios)
    print(f"{precision}: radius of the tape / by hand, median {np.median(every):.2f}")
    assert np.median(every) <= 3


@pytest.mark.parametrize("name", PROBLEMS)
def test_second_derivatives_are_those_of_the_complex_step(name: str) -> None:
    problem = PROBLEMS[name]
    a, upstream = problem.draw(1), problem.upstream(1)
    d = direction(problem, 1)
    outside = {n: Dual(u) for n, u in balls(upstream).items()}
    got = by_tape(problem, duals(a, d, as_balls=True), outside)
    tilted = {n: a[n] + 1j * STEP * d[n] for n in a}
    step = {n: np.imag(g) / STEP for n, g in by_tape(problem, tilted, upstream).items()}
    assert compared(name, step, {n: g.tangent for n, g in got.items()}) > 0
    plain = by_tape(problem, duals(a, d, as_balls=False), upstream)
    assert compared(name, {n: g.tangent for n, g in plain.items()}, _tangents(got)) >= 0


def _tangents(named: Mapping[str, Any]) -> dict[str, Any]:
    return {n: g.tangent for n, g in named.items()}


# ---------------------------------------------------------------------- single operations

X, Y = (3, 4), (4,)

#: Every operation on x (3, 4) and y (4,), each result used in a product so that it matters.
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "broadcast add": lambda x, y: x + y,
    "broadcast subtract": lambda x, y: y - x * 2.0,
    "constant minus": lambda x, y: 1.0 - x * y,
    "a value twice": lambda x, y: x * x + x,
    "negative": lambda x, y: -(x * y),
    "matrix and vector": lambda x, y: x @ y,
    "vector and matrix": lambda x, y: y @ x.T,
    "weight on the left": lambda x, y: x @ (x.T * 0.5),
    "three dimensions": lambda x, y: np.stack([x, x * y]) @ (x.T * y[:3]),
    "tanh": lambda x, y: np.tanh(x) * y,
    "sigmoid": lambda x, y: sigmoid(x * y),
    "relu": lambda x, y: np.maximum(x * y, 0.0),
    "parts": lambda x, y: x[:, :2] * x[:, 1:3] + y[2:],
    "one part twice": lambda x, y: x[1] * x[1] * y[0],
    "rows, one twice": lambda x, y: x[np.array([2, 0, 2])] * y,
    "places, one twice": lambda x, y: x[np.array([0, 0, 2]), np.array([1, 1, 3])] * y[:3],
    "rows by a mask": lambda x, y: x[np.array([True, False, True])] * y,
    "reshape": lambda x, y: x.reshape(4, 3) * y.reshape(-1, 1),
    "transpose": lambda x, y: np.transpose(x[None] * y, (2, 0, 1)),
    "swapaxes": lambda x, y: np.swapaxes(x[None] * y, 0, 2),
    "moveaxis": lambda x, y: np.moveaxis(x[None] * y, 0, -1),
    "flip": lambda x, y: np.flip(x, axis=1) * y,
    "squeeze": lambda x, y: np.squeeze(np.expand_dims(x, 1) * y, axis=1),
    "sum": lambda x, y: np.sum(x * y, axis=1, keepdims=True) * x,
    "sum of all": lambda x, y: np.sum(x) * y,
    "where": lambda x, y: np.where(np.arange(4) % 2 == 0, x * y, y * 2.0),
    "split": lambda x, y: (lambda a, b: a * b)(*np.split(x, 2, axis=1)),
    "concatenate": lambda x, y: np.concatenate([x, x * y], axis=0) * y,
    "stack": lambda x, y: np.stack([x, x * y], axis=1) * y,
    "broadcast_to": lambda x, y: np.broadcast_to(y, (3, 4)) * x,
    "zeros_like": lambda x, y: np.zeros_like(x) + x * y,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_has_the_derivative_of_the_complex_step(name: str) -> None:
    operation, rng = OPERATIONS[name], np.random.RandomState(0)
    a = {"x": rng.standard_normal(X), "y": rng.standard_normal(Y)}
    d = rng.standard_normal(operation(a["x"], a["y"]).shape)
    function = lambda t: [operation(t["x"], t["y"])]  # noqa: E731
    values, plain = gradients(function, a, [d])
    p = PRECISIONS["float64"]
    bounds = gradients(function, balls(a), [exact(d, p)])[1]
    assert np.array_equal(values[0], operation(a["x"], a["y"]))
    for of, v in a.items():
        for index in np.ndindex(v.shape):
            tilted = {n: w.astype(complex) for n, w in a.items()}
            tilted[of][index] += 1j * STEP
            want = np.sum(d * np.imag(operation(tilted["x"], tilted["y"]))) / STEP
            ball = bounds[of][index]
            # The complex step sums the same products: it is off by a radius at most, as the ball.
            assert abs(plain[of][index] - ball.v) <= ball.radius
            assert abs(want - ball.v) <= 2 * ball.radius


# ---------------------------------------------------------------------- what it refuses

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an operation": (lambda x: np.arctan(x), r"no rule for np\.arctan .*tanh"),
    "a function": (lambda x: np.cumsum(x, axis=0), r"no rule for np\.cumsum .*concatenate"),
    "a reduction": (lambda x: np.add.reduce(x), r"no rule for np\.add\.reduce"),
    "in place": (lambda x: np.add(x, x, out=np.ones(X)), r"no rule for np\.add"),
    "power": (lambda x: x**3, r"x \*\* n has a rule for n = 2, 0\.5 and -1 only"),
    "an if": (lambda x: x if np.sum(x) else -x, r"an `if` depends on a value"),
    "reverse mode twice": (
        lambda x: gradients(lambda t: [t["x"] * 2.0], {"x": x}, [np.ones(X)])[1]["x"],
        r"over reverse mode is not offered",
    ),
    "item assignment": (lambda x: x.__setitem__(0, 1.0), r"changed its argument in place"),
    "an array": (lambda x: np.asarray(x, dtype=float), r"into a NumPy array"),
    "a mask": (lambda x: np.where(x, x, 0.0), r"no rule for np\.where"),
}


@pytest.mark.parametrize("choose", [lambda x: x > 0, lambda x: x == 0], ids=["more", "equal"])
def test_a_comparison_of_balls_is_no_truth(choose: Callable[[Any], Any]) -> None:
    v = exact(np.ones(X), PRECISIONS["float32"])
    with pytest.raises(TypeError, match="an `if` depends on a value"):
        gradients(lambda t: [t["x"] if choose(t["x"]) else -t["x"]], {"x": v}, [np.ones(X)])


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_raises_in_one_line(name: str) -> None:
    function, message = REFUSED[name]
    for v in (np.ones(X), exact(np.ones(X), PRECISIONS["float32"])):
        with pytest.raises(TypeError, match=message) as raised:
            gradients(lambda t, f=function: [f(t["x"])], {"x": v}, [np.ones(X)])
        assert "\n" not in str(raised.value)


def test_upstream_of_another_shape_is_refused() -> None:
    for wrong in ([np.ones(3)], [], [None, None]):
        with pytest.raises(ValueError, match="upstream needs"):
            gradients(lambda t: [t["x"] * 2.0], {"x": np.ones(X)}, wrong)


def test_an_input_without_use_and_no_upstream_give_zeros() -> None:
    a = balls({"x": np.ones(X), "y": np.ones(Y)})
    for d in (None, exact(np.zeros(X), PRECISIONS["float64"])):
        for ball in gradients(lambda t: [t["x"] * t["x"]], a, [d])[1].values():
            assert not ball.v.any()
            assert not ball.radius.any()


def test_a_function_is_added_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UFUNCS, np.square, UFUNCS[np.square])  # so that it is there again
    add_slopes({np.square: lambda x, y: 3.0 * x})
    found = gradients(lambda t: [np.square(t["x"])], {"x": np.arange(3.0)}, [np.ones(3)])[1]
    assert found["x"].tolist() == [0, 3, 6]


def test_a_taped_value_shows_what_it_holds() -> None:
    x = Taped(np.ones(X))
    assert (x.shape, x.ndim, x.size, len(x)) == (X, 2, 12, 3)
    assert repr(x).startswith("Taped(array(")
