"""The unroll: lengths, layouts, masks, and the arithmetics that flow through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.reference.ball import exact
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from gatewise.reference.steps import cell
from gatewise.reference.unroll import Unrolled, layer, reversal

T, B, I, H = 5, 3, 2, 4  # noqa: E741
KINDS = ("RNN", "LSTM", "GRU")


def draw(o: Options, seed: int = 0) -> tuple[dict[str, Array], Array, list[Array]]:
    rng = np.random.RandomState(seed)
    w = {n: rng.standard_normal(s) for n, s in weight_shapes(o).items()}
    rows = o.num_layers * o.directions
    state = [rng.standard_normal((rows, B, o.state_size))]
    state += [rng.standard_normal((rows, B, H))] * (o.kind == "LSTM")
    return w, rng.standard_normal((T, B, I)), state


def options(kind: str) -> Options:
    return Options(kind, I, H, num_layers=2, bidirectional=True, proj_size=2 * (kind == "LSTM"))


def bits(result: Unrolled) -> list[Array]:
    return list(result.named().values())


def near(a: Unrolled, b: Unrolled, balls: Unrolled) -> bool:
    """Whether two computations of one thing agree within its ball (BLAS may reorder sums)."""
    return all(
        bool((np.abs(x - y) <= ball.radius).all())
        for x, y, ball in zip(bits(a), bits(b), bits(balls), strict=True)
    )


def balls_of(o: Options, w: dict[str, Array], x: Array, state: list[Array], **more: object) -> Any:
    p = PRECISIONS["float64"]
    return layer(o, w, exact(x, p), [exact(s, p) for s in state], **more)


def test_reversal_leaves_the_padding() -> None:
    index = reversal(4, np.array([4, 2, 1]))
    assert index.T.tolist() == [[3, 2, 1, 0], [1, 0, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("kind", KINDS)
def test_one_layer_is_the_cell_step_by_step(kind: str) -> None:
    o = Options(kind, I, H)
    w, x, state = draw(o)
    result = layer(o, w, x, state)
    own = {n.removesuffix("_l0"): v for n, v in w.items()}
    s = tuple(part[0] for part in state)
    for t in range(T):
        s = tuple(cell(Options(kind, I, H, cell=True), own, x[t], s).values())
        ball = balls_of(o, w, x, state).output[t]
        assert (np.abs(result.output[t] - s[0]) <= ball.radius).all()


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_each_sequence_alone(kind: str) -> None:
    o = options(kind)
    w, x, state = draw(o)
    lengths = (5, 2, 3)
    whole = layer(o, w, x, state, lengths)
    for b, n in enumerate(lengths):
        alone = (o, w, x[:n, b : b + 1], [s[:, b : b + 1] for s in state])
        part = Unrolled(
            whole.output[:n, b : b + 1],
            {name: s[:, b : b + 1] for name, s in whole.states.items()},
        )
        assert near(part, layer(*alone), balls_of(*alone))
        assert not whole.output[n:, b].any()


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first_and_unbatched_are_transposes(kind: str) -> None:
    o = options(kind)
    w, x, state = draw(o)
    whole = layer(o, w, x, state)
    first = layer(o, w, x.swapaxes(0, 1), state, batch_first=True)
    assert np.array_equal(first.output, whole.output.swapaxes(0, 1))
    assert np.array_equal(first.h_n, whole.h_n)
    single = layer(o, w, x[:, 0], [s[:, 0] for s in state])
    wide = layer(o, w, x[:, :1], [s[:, :1] for s in state])
    assert np.array_equal(single.output, wide.output[:, 0])
    assert np.array_equal(single.h_n, wide.h_n[:, 0])


def test_masks_act_between_layers_only() -> None:
    o = options("GRU")
    w, x, state = draw(o)
    ones, zeros = np.ones((T, B, 2 * H)), np.zeros((T, B, 2 * H))
    assert np.array_equal(layer(o, w, x, state, masks=[ones]).output, layer(o, w, x, state).output)
    cut = layer(o, w, x, state, masks=[zeros])
    assert np.array_equal(cut.output, layer(o, w, x * 0 + 7, state, masks=[zeros]).output)
    assert not np.array_equal(cut.output, layer(o, w, x, state).output)


@pytest.mark.parametrize("kind", KINDS)
def test_complex_arrays_give_the_derivative_by_a_complex_step(kind: str) -> None:
    o = options(kind)
    w, x, state = draw(o)
    direction = np.random.RandomState(9).standard_normal(x.shape)
    step = 1e-30
    tilted = layer(o, w, x + 1j * step * direction, state)
    plain = layer(o, w, x, state)
    assert near(
        Unrolled(tilted.output.real, {n: s.real for n, s in tilted.states.items()}),
        plain,
        balls_of(o, w, x, state),
    )
    slope = tilted.output.imag / step
    # Central differences err by h² times a third derivative; halving h must quarter the gap.
    gaps = []
    for h in (1e-2, 5e-3):
        ahead, behind = (layer(o, w, x + s * h * direction, state).output for s in (1, -1))
        gaps.append(np.abs((ahead - behind) / (2 * h) - slope).max())
    assert 3 < gaps[0] / gaps[1] < 5


def test_no_time_is_an_error() -> None:
    o = Options("GRU", I, H)
    w, x, state = draw(o)
    with pytest.raises(ValueError, match="the input has time 0; expected at least one step"):
        layer(o, w, x[:0], state)
