"""Products on tensor cores: k of them and the accumulator, aligned to the largest and cut off.

The model is that of Fasi, Higham, Mikaitis and Pranesh 2021 (PeerJ Computer Science 7:e330),
without the additional bits that newer cores keep.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.reference.ball_core import exact
from gatewise.reference.ball_matmul import matmul
from gatewise.reference.formats import PRECISIONS, Precision

Array = npt.NDArray[np.float64]

#: Products at once: Volta, Ampere (float16, bfloat16), Hopper.
CORES = (4, 8, 16)


def cut(x: Array, last: Array | float) -> Array:
    """x without what is below a place."""
    return np.trunc(x / last) * last


def added(a: Array, b: Array, k: int, p: Precision) -> float:
    """Σ a b as a tensor core with k products at once adds it, rounded to storage."""
    bits = p.accumulation.significand - 1
    terms = p.products.round(a) * p.products.round(b)  # exact in float64
    total = 0.0
    for first in range(0, len(terms), k):
        block = np.append(terms[first : first + k], total)
        largest = float(np.abs(block).max())
        if largest == 0.0:
            continue
        summed = float(cut(block, 2.0 ** (np.floor(np.log2(largest)) - bits)).sum())
        last = 2.0 ** (np.floor(np.log2(abs(summed))) - bits) if summed else 1.0
        total = float(cut(np.asarray(summed), last))
    return float(p.storage.round(total))


def ratio(a: Array, b: Array, k: int, p: Precision) -> float:
    """Error over bound."""
    ball = matmul(exact(a[None], p), exact(b[:, None], p))
    error = abs(added(a, b, k, p) - float(a @ b))
    return error / float(ball.radius[0, 0])


@pytest.mark.parametrize("name", ["float16", "bfloat16", "tf32"])
@pytest.mark.parametrize("k", CORES)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_product_is_within_its_bound(name: str, k: int, data: st.DataObject) -> None:
    p = PRECISIONS[name]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(1, 300))
    spread = data.draw(st.integers(0, 12))
    sizes = 2.0 ** rng.integers(-spread, 1, (2, n))
    a, b = p.storage.round(rng.choice([-1.0, 1.0], (2, n)) * rng.uniform(0.5, 1.0, (2, n)) * sizes)
    assert ratio(a, b, k, p) <= 1.0


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("k", CORES)
def test_terms_that_are_cut_off_entirely_are_within_the_bound(name: str, k: int) -> None:
    """1 and many terms just below its last place, which are lost altogether."""
    p, n = PRECISIONS[name], 2**16
    below = (2.0 - 4.0 * p.storage.u) * 2.0**-12
    a, b = np.array([1.0, *[below] * (n - 1)]), np.array([1.0, *[2.0**-12] * (n - 1)])
    assert (p.storage.round(a) == a).all()
    # As many roundings to nearest, with one to storage, would lose less.
    error = abs(added(a, b, k, p) - float(a @ b)) / float(a @ b)
    assert error > 0.95 * n * 2.0 * p.accumulation.u * (1.0 - 2.0 * p.storage.u)
    if name == "float16":
        assert error > n * p.accumulation.u + 2.0 * p.storage.u
    assert ratio(a, b, k, p) <= 1.0
