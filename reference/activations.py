"""The activation functions, for real and complex arrays; Ball and Dual register their own."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np


@singledispatch
def sigmoid(x: Any) -> Any:
    """σ(x) = 1/(1+e⁻ˣ), elementwise and to full relative accuracy in both tails.

    For Re x < 0 it is e^x/(1+e^x): ½(1+tanh(x/2)) would lose all relative accuracy there.
    """
    positive = np.real(x) >= 0
    e = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1.0, e) / (1.0 + e)


def relu(x: Any) -> Any:
    """max(x, 0), elementwise."""
    return np.maximum(x, 0.0)


@singledispatch
def also_rounded(x: Any, *terms: Any) -> Any:
    """Return x; a Ball is charged as if `terms` too had been summed on the way to x.

    A correct implementation may write a formula in another form, which rounds other terms.
    """
    return x


def blend(z: Any, kept: Any, new: Any) -> Any:
    """(1−z)∘new + z∘kept, charged for the form new + z∘(kept − new) as well.

    The second form rounds new and z∘new where the first does not: with z = 1 and a small `kept`
    it loses `kept` beside `new`.  torch's GRU is written so.
    """
    zh = z * kept
    return also_rounded((1.0 - z) * new + zh, new, z * new, zh)
