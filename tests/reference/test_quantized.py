"""The Balls of quantized factors and weights contain what torch's quantized operators compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.ao.quantization import default_weight_observer

import gatewise as gw
from gatewise.reference.ball import Ball, exact
from gatewise.reference.classes import CLASSES
from gatewise.reference.formats import FLOAT32, PRECISIONS
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.quantized import LEAST_STEP, float16_weight, int8_factor, int8_weight
from gatewise.reference.unroll import layer

P = PRECISIONS["float32"]
SCALES = (1.0, 1e-3, LEAST_STEP, 1e-7, 1e-30, 1e4)


def drawn(rng: np.random.RandomState, shape: tuple[int, ...], scale: float, kind: int) -> Any:
    """Float32 values: of both signs, of one sign, with zeros, or all of one size."""
    values = scale * rng.uniform(-1, 1, shape)
    made = (values, np.abs(values), values * rng.randint(0, 2, shape), scale * np.sign(values))
    return FLOAT32.round(made[kind])


def quantized(w: Any) -> torch.Tensor:
    """The weight as `from_float` quantizes it."""
    observer, tensor = default_weight_observer(), torch.tensor(w, dtype=torch.float32)
    observer(tensor)
    step, zero = observer.calculate_qparams()
    return torch.quantize_per_tensor(tensor, float(step), int(zero), torch.qint8)


def inside(got: torch.Tensor, ball: Ball) -> bool:
    return bool((np.abs(got.double().numpy() - ball.v) <= ball.radius).all())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", range(4))
def test_a_weight_of_int8_is_in_its_ball(scale: float, kind: int) -> None:
    rng = np.random.RandomState(kind)
    for _ in range(50):
        w = drawn(rng, (rng.randint(1, 9), rng.randint(1, 9)), scale, kind)
        ball = int8_weight(exact(w, P))
        assert inside(quantized(w).dequantize(), ball)
        assert np.array_equal(ball.v, int8_weight(w))


def test_a_weight_at_a_midpoint_may_be_either_integer() -> None:
    ball = int8_weight(exact(np.array([127.5, 0.5, 1.0]), P))
    assert ball.v.tolist() == [127.0, 0.0, 1.0]
    assert (ball.radius > 0.9).tolist() == [True, True, False]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("reduced", [True, False])
def test_a_product_of_int8_is_in_its_ball(scale: float, kind: int, reduced: bool) -> None:
    rng = np.random.RandomState(10 + kind)
    for _ in range(50):
        inner = rng.randint(1, 9)
        x = drawn(rng, (rng.randint(1, 5), inner), scale, kind)
        w = drawn(rng, (rng.randint(1, 9), inner), 1.0, rng.randint(4))
        b = drawn(rng, (len(w),), 1.0, 0)
        packed = torch.ops.quantized.linear_prepack(quantized(w), torch.tensor(b).float())
        given = torch.tensor(x, dtype=torch.float32)
        got = torch.ops.quantized.linear_dynamic(given, packed, reduced)
        want = int8_factor(exact(x, P)) @ int8_weight(exact(w, P)).T + b
        assert inside(got, want)


def test_the_own_error_of_a_factor_is_half_a_step_and_none_of_a_zero() -> None:
    ball = int8_factor(exact(np.array([[0.0, 1.27, -1.27, 1e-6]]), P))
    assert ball.radius[0, 0] == 0.0
    assert 0.01 <= ball.radius[0, 1] <= 0.0101  # the range is 2.54 over 127 steps
    assert 1e-6 <= ball.radius[0, 3] <= 1.01e-6
    assert np.isinf(int8_factor(exact(np.array([[np.nan, 1.0]]), P)).radius).all()
    assert int8_factor(exact(np.zeros((0, 3)), P)).shape == (0, 3)


def test_a_weight_of_float16_is_that_of_torch() -> None:
    w = FLOAT32.round(np.array([1.0, 1 / 3, 1e-7, 1e5, -1e9, 6e-8]))
    plain = torch.tensor(w, dtype=torch.float32).clamp(-65504, 65504).half().double()
    ball = float16_weight(exact(w, P))
    assert ball.v.tolist() == plain.tolist()
    assert ball.exact


@pytest.mark.parametrize("rounded", [int8_weight, float16_weight])
def test_a_computed_weight_is_an_error(rounded: Any) -> None:
    w = exact(np.ones(2), P)
    with pytest.raises(TypeError, match="expected a weight of the step as it is"):
        rounded(w + w)


def test_a_kind_may_see_its_whole_input_before_the_steps() -> None:
    shapes: list[tuple[int, ...]] = []

    def halved(x: Any) -> Any:
        shapes.append(x.shape)
        return 0.5 * x

    @gw.kind(weights={"weight": "H I"}, input=halved)
    def InputSeen(np: Any, x: Any, h: Any, w: Any) -> Any:
        h = h + x @ w.weight.T
        return h, h

    options, ones = Options("InputSeen", 1, 1), {"weight_l0": np.ones((1, 1))}
    try:
        found = layer(options, ones, np.ones((4, 3, 1)), [np.zeros((1, 3, 1))])
    finally:
        tables: tuple[dict[str, Any], ...] = (KINDS, CLASSES)
        for table in tables:
            for name in [n for n in table if n.startswith("InputSeen")]:
                del table[name]
    assert shapes == [(4, 3, 1)]
    assert found.output[:, 0, 0].tolist() == [0.5, 1.0, 1.5, 2.0]
