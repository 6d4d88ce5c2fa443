"""Dual numbers for forward-mode differentiation: a value and its tangent, each an array or a Ball.

f(x + εẋ) = f(x) + ε f′(x)ẋ, to first order in ε.  In the forward formulas, Duals give the
Jacobian–vector product.  In the backward formulas, they give the Hessian–vector product
(Pearlmutter 1994).

The radius of a tangent covers every correct implementation, by the argument that `backward` gives
for a gradient.  Forward mode has one tangent for each value of the forward pass.  Reverse mode
over reverse mode has the same tangents.  Its second pass gives the adjoint of each adjoint, which
is the tangent of the value.  It also adds, to the adjoint of each value, the contribution of every
use of this value in the first pass; this is the tangent of the value's adjoint.  So both modes
sum the same products.  They differ only in whether a factor is applied before or after a sum: a
sum of tangents (A + B)∘c may be A∘c + B∘c.  This is charged in `product`, which only the backward
formulas use: each term of a tangent gets `SPREAD` more roundings, one for each such factor.  The
second derivative of tanh may come from 1−t² or from (1−t)(1+t), and is charged for the latter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dual_functions
from .activations import (
    blend,
    blend_slopes,
    constant,
    join_like,
    lstm_activations,
    rounded_apart,
    settled,
    sigmoid,
    stack_like,
)
from .dual_core import Dual, lift, times, together
from .log_softmax import log_softmax, log_softmax_backward, softmax, through_log_softmax
from .recurrence import plus
from .slopes import also_summed, large, lstm_slopes, product, relu_slope, sigmoid_slope, tanh_slope

#: How many factors an implementation may apply before a sum of tangents, where this code applies
#: them after it.  The longest product is da_r of a GRU, dh·(1−z)·tanh′(n)·q·σ′(r): five
#: factors, less the term itself.
SPREAD = 4

__all__ = ["SPREAD", "Dual", "dual_functions"]


@stack_like.register
def _(like: Dual, parts: Any) -> Dual:
    return settled(together(parts, lambda ps: np.stack([settled(p) for p in ps])))


@join_like.register
def _(like: Dual, parts: Any) -> Dual:
    return together(parts, lambda ps: np.concatenate([settled(p) for p in ps], axis=-1))


@constant.register
def _(like: Dual, value: Any) -> Any:
    return value if value is None or isinstance(value, Dual) else Dual(constant(like.v, value))


@settled.register
def _(x: Dual) -> Dual:
    return x.mapped(settled)


@rounded_apart.register
def _(x: Dual) -> Dual:
    return x.mapped(rounded_apart)


@also_summed.register
def _(x: Dual, additions: int) -> Dual:
    """The tangent of a sum of products has twice as many terms as the sum."""
    d = None if x.d is None else also_summed(x.d, 2 * additions + 1)
    return Dual(also_summed(x.v, additions), d)


@large.register
def _(x: Dual) -> Dual:
    return x.mapped(large)


# ---------------------------------------------------------------------- activations and slopes


@sigmoid.register
def _(x: Dual) -> Dual:
    s = sigmoid(x.v)
    return Dual(s, times(sigmoid_slope(s), x.d))


@lstm_activations.register
def _(x: Dual) -> Dual:
    s = lstm_activations(x.v)
    return Dual(s, times(lstm_slopes(s), x.d))


@blend.register
def _(z: Dual, kept: Any, new: Any) -> Dual:
    """Tangent: (1−z)∘ṅ + z∘k̇ in all its forms, plus ż∘(k−n), which may also be ż∘k − ż∘n."""
    kept, new = lift(kept), lift(new)
    v, d = blend(z.v, kept.v, new.v), None
    if kept.d is not None or new.d is not None:
        d = blend(z.v, kept.tangent, new.tangent)
    if z.d is not None:
        d = plus(d, z.d * rounded_apart(kept.v - new.v))
    return Dual(v, d)


@blend_slopes.register
def _(z: Dual) -> tuple[Dual, Dual]:
    kept, new = blend_slopes(z.v)
    return Dual(kept, z.d), Dual(new, None if z.d is None else -z.d)


def _sigmoid_curve(s: Any) -> Any:
    """d σ′/d σ = 1−2s, or (1−s) − s."""
    return rounded_apart(1.0 - 2.0 * s)


def _tanh_curve(t: Any) -> Any:
    """d tanh′/d tanh = −2t, or (1−t) − (1+t)."""
    return rounded_apart((1.0 - t) - (1.0 + t))


@sigmoid_slope.register
def _(s: Dual) -> Dual:
    return Dual(sigmoid_slope(s.v), times(_sigmoid_curve(s.v), s.d))


@tanh_slope.register
def _(t: Dual) -> Dual:
    return Dual(tanh_slope(t.v), times(_tanh_curve(t.v), t.d))


@lstm_slopes.register
def _(s: Dual) -> Dual:
    size = s.shape[-1] // 4
    blocks = [s.v[..., k * size : (k + 1) * size] for k in range(4)]
    curves = [_tanh_curve(b) if k == 2 else _sigmoid_curve(b) for k, b in enumerate(blocks)]
    curve = np.concatenate([settled(c) for c in curves], axis=-1)
    return Dual(lstm_slopes(s.v), times(curve, s.d))


@relu_slope.register
def _(a: Dual) -> Dual:
    """The slope is constant on both sides of 0, and at 0 as torch defines it: no tangent."""
    return Dual(relu_slope(a.v))


@product.register
def _(first: Dual, *others: Any, chain: int | None = None) -> Dual:
    """Tangent: Σ_k of the product with the k-th factor replaced by its tangent."""
    factors = [first, *(lift(f) for f in others)]
    values = [f.v for f in factors]
    d = None
    for k, f in enumerate(factors):
        if f.d is not None:
            d = plus(d, product(large(f.d), *values[:k], *values[k + 1 :], chain=chain))
    spread = SPREAD if chain is None else chain
    for _ in range(spread if d is not None else 0):
        d = rounded_apart(d)
    return Dual(product(*values, chain=chain), d)


@log_softmax.register
def _(x: Dual) -> Dual:
    y = log_softmax(x.v)
    return Dual(y, None if x.d is None else through_log_softmax(y, x.d))


@log_softmax_backward.register
def _(y: Dual, upstream: Any) -> Dual:
    """dx = dy − p∘Σ dy, so its tangent is ḋy − p∘Σ ḋy − p∘ẏ∘Σ dy."""
    dy = lift(upstream)
    d = None if dy.d is None else log_softmax_backward(y.v, dy.d)
    if y.d is not None:
        total = np.sum(dy.v, axis=-1, keepdims=True)
        d = plus(d, -product(large(y.d), softmax(y.v), total))
    return Dual(log_softmax_backward(y.v, dy.v), d)
