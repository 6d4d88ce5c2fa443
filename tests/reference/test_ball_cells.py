"""Rules of Balls for whole blocks give what Ball's own operations give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.reference.activations import lstm_activations, sigmoid
from gatewise.reference.ball import Ball, exact
from gatewise.reference.cells import gru_state, lstm_state
from gatewise.reference.cells_backward import gru_factors, gru_local, lstm_factors
from gatewise.reference.formats import PRECISIONS, SLACK, Array
from gatewise.reference.recurrence import Loop, linear, lstm
from gatewise.reference.slopes import large

T, B, H = 4, 3, 5
SCALES = (1e-3, 1.0, 30.0)


class Draw:
    """Balls as a forward pass leaves them: some exact, some rounded, some sums."""

    def __init__(self, precision: str, seed: int, scale: float) -> None:
        self.p, self.scale = PRECISIONS[precision], scale
        self.rng = np.random.RandomState(seed)

    def exact(self, *shape: int) -> Ball:
        return exact(self.p.storage.round(self.scale * self.rng.standard_normal(shape)), self.p)

    def sum(self, *shape: int) -> Ball:
        return self.exact(*shape) @ self.exact(shape[-1], shape[-1]) + self.exact(shape[-1])

    def unit(self, *shape: int) -> Ball:
        """A computed value within [−1, 1]."""
        return np.tanh(self.sum(*shape))


def blocks(d: Draw) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    gates = lstm_activations(d.sum(T, B, 4 * H))
    wide = sigmoid(d.sum(T, B, 2 * H))
    yield lstm_state, (gates, d.sum(T, B, H))
    yield lstm_state, (gates, d.exact(T, B, H))
    yield lstm_factors, (gates, d.unit(T, B, H), d.sum(T, B, H).settled())
    for keeps in (True, False):
        yield gru_state, (d.sum(B, 3 * H), d.sum(B, 3 * H), d.unit(B, H), keeps)
        rest = (wide, d.unit(T, B, H), d.sum(T, B, H).settled(), d.exact(T, B, H), keeps)
        yield gru_local, rest
        yield gru_factors, rest


def recurrences(d: Draw) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    running = (np.arange(T)[:, None] < np.array([4, 2, 1]))[..., None]
    for upstream in (None, d.exact(T, B, H), d.sum(T, B, H).settled()):
        for rows in (None, running):
            loop = Loop(upstream, rows)
            for dh in (d.exact(B, H),) if upstream is None else (None, d.exact(B, H)):
                one, four = (loop.masked(d.unit(T, B, k * H)) for k in (1, 4))
                yield linear, (one, d.exact(H, H), 1, loop, dh)
                yield linear, (four, d.exact(3 * H, H), 3, loop, dh)
                yield linear, (large(four + four), d.exact(3 * H, H), 3, loop, dh)
                c, five = loop.masked(d.unit(T, B, H)), loop.masked(d.unit(T, B, 5 * H))
                for w_hr in (None, d.exact(H, H)):
                    for dc in (None, d.exact(B, H)):
                        for factors in (five, large(five + five)):
                            yield lstm, (factors, c, d.exact(4 * H, H), w_hr, loop, (dh, dc))


def flat(result: Any) -> list[Ball]:
    if isinstance(result, Ball):
        return [result]
    return [ball for part in result for ball in flat(part)]


def same_up_to_slack(a: Array, b: Array) -> bool:
    """Radii differ by the order of float64 operations alone, which is less than their slack."""
    finite = np.isfinite(a)
    both = np.array_equal(finite, np.isfinite(b))
    return both and bool(
        (a[finite] <= SLACK * b[finite]).all() and (b[finite] <= SLACK * a[finite]).all()
    )


@pytest.mark.parametrize("draws", [blocks, recurrences])
@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16", "tf32"])
def test_a_rule_is_the_single_operations(precision: str, draws: Callable[..., Any]) -> None:
    compared = 0
    for seed, scale in enumerate(SCALES):
        with np.errstate(all="ignore"):
            for block, arguments in draws(Draw(precision, seed, scale)):
                rule = flat(block(*arguments))
                single = flat(block.dispatch(object)(*arguments))
                for a, b in zip(rule, single, strict=True):
                    assert np.array_equal(a.v, b.v, equal_nan=True), block
                    assert same_up_to_slack(a.radius, b.radius), (block, a.radius / b.radius)
                    # An adjoint's reach is not carried on: nothing multiplies it elementwise.
                    assert draws is recurrences or (a.reach is None) == (b.reach is None)
                    compared += 1
    assert compared > 30
