"""Formats: rounding and constants against NumPy's and torch's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gatewise.reference.formats import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    PRECISIONS,
    TFLOAT32,
    Array,
    Format,
    gamma,
)

NUMPY = {FLOAT64: np.float64, FLOAT32: np.float32, FLOAT16: np.float16}
TORCH = {FLOAT64: torch.float64, FLOAT32: torch.float32, FLOAT16: torch.float16}
TORCH[BFLOAT16] = torch.bfloat16


def cast(x: Array, fmt: Format) -> Array:
    """Rounded by NumPy where it has the format, else by torch; back in float64.

    torch rounds float64 to a 16-bit format through float32, which is not the nearest.
    """
    if fmt in NUMPY:
        with np.errstate(over="ignore"):
            return x.astype(NUMPY[fmt]).astype(np.float64)
    return torch.from_numpy(x).to(TORCH[fmt]).double().numpy()


def hard_values(fmt: Format) -> Array:
    """Values of the format, midpoints of neighbours, and the next float64 on either side."""
    rng = np.random.RandomState(0)
    exponents = rng.uniform(fmt.min_exponent - fmt.significand - 2, fmt.max_exponent + 2, 20_000)
    x = cast(rng.choice((-1.0, 1.0), 20_000) * 2.0**exponents, fmt)
    x = np.concatenate([x, [0.0, -0.0, fmt.largest, fmt.eta, fmt.tiniest]])
    with np.errstate(over="ignore"):
        last = np.maximum(np.frexp(x)[1] - 1, fmt.min_exponent) - (fmt.significand - 1)
        middle = x + np.ldexp(0.5, last)
    around = [x, middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)]
    return np.concatenate([*around, [np.inf, -np.inf, np.nan]])


@pytest.mark.parametrize("fmt", [FLOAT32, FLOAT16], ids=lambda f: f.name)
def test_rounding_is_numpys_ties_subnormals_and_overflow_included(fmt: Format) -> None:
    x = hard_values(fmt)
    by_exponent = replace(fmt, name="a format that NumPy does not know").round(x)
    assert np.array_equal(by_exponent, cast(x, fmt), equal_nan=True)
    assert np.array_equal(fmt.round(x), by_exponent, equal_nan=True)
    assert np.array_equal(np.signbit(fmt.round(x)), np.signbit(by_exponent))


def test_rounding_to_bfloat16_is_torchs_from_float32() -> None:
    x = cast(hard_values(BFLOAT16), FLOAT32)
    assert np.array_equal(BFLOAT16.round(x), cast(x, BFLOAT16), equal_nan=True)


def test_every_float16_is_its_own_rounding() -> None:
    x = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
    assert np.array_equal(FLOAT16.round(x), x, equal_nan=True)


@pytest.mark.parametrize("fmt", [*TORCH, TFLOAT32], ids=lambda f: f.name)
def test_rounding_twice_is_rounding_once_and_errs_by_at_most_u(fmt: Format) -> None:
    x = np.random.RandomState(1).standard_normal(10_000)
    once = fmt.round(x)
    assert np.array_equal(fmt.round(once), once)
    assert (np.abs(once - x) <= fmt.u * np.abs(x)).all()
    assert fmt is FLOAT64 or (np.abs(once - x).max() > fmt.u / 4)


@pytest.mark.parametrize("fmt", TORCH, ids=lambda f: f.name)
def test_constants_are_torchs(fmt: Format) -> None:
    info = torch.finfo(TORCH[fmt])
    assert (2 * fmt.u, fmt.largest, fmt.eta) == (info.eps, info.max, info.tiny)
    width = {8: torch.int64, 4: torch.int32, 2: torch.int16}[TORCH[fmt].itemsize]
    assert fmt.tiniest == torch.tensor(1, dtype=width).view(TORCH[fmt]).double().item()


def test_gamma() -> None:
    assert gamma(0, 2.0**-53) == 0
    assert gamma(2, 0.25) == 1
    assert gamma(4, 0.25) == gamma(5, 0.25) == float("inf")


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_precision_charges_the_references_own_rounding(name: str) -> None:
    p = PRECISIONS[name]
    assert p.u == p.storage.u + 2.0**-53
    assert p.u_accumulation == p.accumulation.u + 2.0**-53
    assert (p.u_products > 0) == (name == "tf32")
    assert p.stores == (p.storage is not p.accumulation)
