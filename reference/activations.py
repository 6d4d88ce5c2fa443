"""Activation functions for real and complex arrays.  `Ball` and `Dual` register their own rules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np


@singledispatch
def sigmoid(x: Any) -> Any:
    """σ(x) = 1/(1+e⁻ˣ), elementwise, with full relative accuracy in both tails.

    For Re x < 0 this is computed as e^x/(1+e^x).  The form ½(1+tanh(x/2)) would lose all relative
    accuracy there.
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
    """Return `value` as a constant in the arithmetic of `like`; None stays None."""
    return value


@singledispatch
def settled(x: Any) -> Any:
    """Return x.  A Ball that is a sum becomes one term, charged for its rounding to storage."""
    return x


def stack(parts: Sequence[Any]) -> Any:
    """Stack T parts of shape (B, ·) into (T, B, ·).  Balls are settled first (see `settled`)."""
    for part in parts:
        if type(part) is not np.ndarray:
            return stack_like(part, parts)
    return np.array(parts)  # several times faster than np.stack


def join(parts: Sequence[Any]) -> Any:
    """Concatenate parts along the last axis.  Balls are settled first (see `settled`)."""
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
    """Return the sum x.  A Ball is charged one more rounding for each term.

    The reference multiplies a sum by a factor.  An implementation may instead multiply each term
    by the factor and then add the products.  The extra rounding covers this form.
    """
    return x


@singledispatch
def blend(z: Any, kept: Any, new: Any) -> Any:
    """(1−z)∘new + z∘kept.  A Ball is charged for the two other forms of this formula as well.

    The second form is new + z∘(kept − new), which torch's GRU uses.  It rounds new and z∘new; the
    first form does not.  With z = 1 and a small `kept`, it loses the digits of `kept` in
    kept − new.  The third form, kept − (1−z)∘(kept − new), is its mirror image.
    """
    return (1.0 - z) * new + z * kept


@singledispatch
def blend_slopes(z: Any) -> tuple[Any, Any]:
    """z and 1−z: the derivatives of `blend` by `kept` and by `new`, for all its forms.

    For an adjoint d an implementation computes d∘z or d − d∘(1−z) for `kept`, and d∘(1−z) or
    d − d∘z for `new`.
    """
    return z, 1.0 - z
