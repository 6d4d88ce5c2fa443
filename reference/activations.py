"""Activation functions for real and complex arrays.  `Ball` and `Dual` register their own rules.

How far σ and tanh of a correct implementation may be from the exact values, in units of u, the
unit roundoff.  ε_e and ε_t are the relative errors of exp and tanh, 2·`exp_ulps` and 2·`ulps` (see
`formats.Precision`); D = |1−2σ| and t = |tanh|, so D = |tanh(x/2)|.  A rounding to [½, 1) is off
by u/2 at most, one to [1, 2) by u, and a difference a − b with ½ ≤ a/b ≤ 2 is exact.

σ by exp, 1/(1+e⁻ˣ) or eˣ/(1+eˣ): the error of exp gives ε_e σ(1−σ) = ε_e (1−D²)/4.  For σ ≥ ½ the
sum adds σ², since 1+e is in [1, 2), and the quotient ½.  For σ < ½ they add at most σ + ¼ from ¼
on and 2σ below, so ¾.  σ by 1 − σ(−x): the same at 1−σ, and a last rounding of ½ for σ > ½ only.
Together: ε_e (1−D²)/4 + 5/4 + D/4.  Its largest value is ε_e/4 + 5/4 + 1/(16 ε_e), at
D = 1/(2 ε_e).  This is `least_sigmoid`, 2.52 u.

σ by tanh, ½(1+tanh(x/2)), as XLA has it: ½ ε_t D from tanh, and ½ from the sum.  With 4 ulps this
is 4D + ½.  In the lower tail it has no relative accuracy: σ(−16) is 10⁻⁷ and may be off by 4 u.
A rational function of x for ½ tanh(x/2), as ONNX Runtime has it, has the same form.  Clamping its
argument at ±18 moves the value by at most σ(−18), ¼ u of float32.

tanh by σ, 2σ(2x) − 1 or 1 − 2σ(−2x), where σ is by exp: twice its error.  With σ = (1+t)/2 this
is ε_e (1−t²)/2 + 1 + (1+t)²/2, and the difference is exact for t ≤ ½ and inside this for t > ½.
Its largest value is ε_e/2 + 3/2 + 1/(2(ε_e−1)), at t = 1/(ε_e−1).  This is `least_tanh`, 4.14 u;
from t = ½ on the 8t of a tanh with 4 ulps is larger.  (e²ˣ−1)/(e²ˣ+1) has ε_e (1−t²)/2 from exp
and three roundings of t, which is less.  tanh by expm1, m/(m+2) with m = expm1(2x) within one ulp:
2t(1+t) from m and two roundings of t, at most 6t.

So σ is within max(2.52, 4D + ½) u, and tanh within max(4.14, 8t) u.  Near ½, where no gate is
saturated, this is less than the 8σ that σ would have with 4 ulps.  In the lower tail of σ, and for
a tanh near 0, it is more.  What is lost there is a claim of its own, at the level `contract`:
`small_gates_keep_relative_accuracy`.  (eˣ−e⁻ˣ)/(eˣ+e⁻ˣ) is not covered: it overflows.
"""

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
