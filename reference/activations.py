"""The activation functions, for real and complex arrays; Ball and Dual register their own."""

from __future__ import annotations

from collections.abc import Sequence
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
def lstm_activations(a: Any) -> Any:
    """σ of the blocks i, f, o and tanh of the block g of a (..., 4H), in one array."""
    size = a.shape[-1] // 4
    s = sigmoid(a)
    s[..., 2 * size : 3 * size] = np.tanh(a[..., 2 * size : 3 * size])
    return s


@singledispatch
def constant(like: Any, value: Any) -> Any:
    """`value` in the arithmetic of `like`, as a constant of it; None stays None."""
    return value


@singledispatch
def settled(x: Any) -> Any:
    """Return x; of a Ball that is a sum, the one term that it is once rounded and stored."""
    return x


def stack(parts: Sequence[Any]) -> Any:
    """Parts of one shape (B, ·) as (T, B, ·), each rounded and stored as it is."""
    for part in parts:
        if type(part) is not np.ndarray:
            return stack_like(part, parts)
    return np.array(parts)  # in a fraction of np.stack's time


def join(parts: Sequence[Any]) -> Any:
    """Parts side by side along the last axis, each rounded and stored as it is."""
    for part in parts:
        if type(part) is not np.ndarray:
            return join_like(part, parts)
    return np.concatenate(parts, axis=-1)


@singledispatch
def stack_like(like: Any, parts: Sequence[Any]) -> Any:
    """`stack` in the arithmetic of `like`."""
    return np.stack(parts)


@singledispatch
def join_like(like: Any, parts: Sequence[Any]) -> Any:
    """`join` in the arithmetic of `like`."""
    return np.concatenate(parts, axis=-1)


@singledispatch
def rounded_apart(x: Any) -> Any:
    """Return the sum x; a Ball is charged one rounding more for each term.

    For the form that multiplies each term by a factor, and then adds them, where this one
    multiplies their sum.
    """
    return x


@singledispatch
def blend(z: Any, kept: Any, new: Any) -> Any:
    """(1−z)∘new + z∘kept, charged for new + z∘(kept − new) and kept − (1−z)∘(kept − new) as well.

    The second form rounds new and z∘new where the first does not: with z = 1 and a small `kept`
    it loses `kept` beside `new`.  torch's GRU is written so.  The third is its mirror image.
    """
    return (1.0 - z) * new + z * kept


@singledispatch
def blend_slopes(z: Any) -> tuple[Any, Any]:
    """z and 1−z, the derivatives of a blend by `kept` and by `new`, for all its forms.

    What a form multiplies by an adjoint d is d∘(1−z) or d − d∘z, and d∘z or d − d∘(1−z).
    """
    return z, 1.0 - z
