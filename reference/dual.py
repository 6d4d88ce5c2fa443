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

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
from .log_softmax import log_softmax, log_softmax_backward, softmax, through_log_softmax
from .recurrence import plus
from .slopes import also_summed, large, lstm_slopes, product, relu_slope, sigmoid_slope, tanh_slope

#: How many factors an implementation may apply before a sum of tangents, where this code applies
#: them after it.  The longest product is da_r of a GRU, dh·(1−z)·tanh′(n)·q·σ′(r): five
#: factors, less the term itself.
SPREAD = 4


class Dual:
    """A value `v` and its tangent `d` of the same shape, or None for a tangent of zero.

    Supports the operations of `Ball`.  Anything else raises `TypeError`, so that no derivative is
    left out.
    """

    __slots__ = ("d", "v")

    def __init__(self, v: Any, d: Any = None) -> None:
        self.v, self.d = v, d

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.v.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.v.ndim

    @property
    def tangent(self) -> Any:
        """The tangent, as zeros where it is None."""
        return np.zeros_like(self.v) if self.d is None else self.d

    def __len__(self) -> int:
        return len(self.v)

    def __add__(self, other: Any) -> Dual:
        other = _lift(other)
        v, d = self.v + other.v, plus(self.d, other.d)
        # Broadcasting with a constant may have enlarged the value.
        return Dual(v, d if d is None or d.shape == v.shape else np.broadcast_to(d, v.shape))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        return self + -_lift(other)

    def __rsub__(self, other: Any) -> Dual:
        return -self + other

    def __neg__(self) -> Dual:
        return self.mapped(lambda part: -part)

    def __mul__(self, other: Any) -> Dual:
        return _bilinear(lambda a, b: a * b, self, _lift(other))

    __rmul__ = __mul__

    def __matmul__(self, other: Any) -> Dual:
        return _bilinear(lambda a, b: a @ b, self, _lift(other))

    def __rmatmul__(self, other: Any) -> Dual:
        return _lift(other) @ self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = _UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or kwargs:
            return NotImplemented
        return rule(*(_lift(x) for x in inputs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in _OF_ONE:
            return args[0].mapped(lambda part: func(part, *args[1:], **kwargs))
        rule = _FUNCTIONS.get(func)
        return NotImplemented if rule is None else rule(*args, **kwargs)

    def mapped(self, part: Callable[[Any], Any]) -> Dual:
        """Apply a linear function `part` of one argument to the value and to the tangent."""
        return Dual(part(self.v), None if self.d is None else part(self.d))

    def __getitem__(self, index: Any) -> Dual:
        return self.mapped(lambda part: part[index])

    def reshape(self, *shape: int) -> Dual:
        """The same elements in another shape."""
        return self.mapped(lambda part: part.reshape(*shape))

    @property
    def T(self) -> Dual:
        """The transpose."""
        return self.mapped(lambda part: part.T)

    def __repr__(self) -> str:
        return f"Dual({self.v!r} + ε {self.d!r})"


def _lift(x: Any) -> Dual:
    return x if isinstance(x, Dual) else Dual(x)


def _bilinear(f: Callable[[Any, Any], Any], a: Dual, b: Dual) -> Dual:
    first = None if a.d is None else f(a.d, b.v)
    return Dual(f(a.v, b.v), plus(first, None if b.d is None else f(a.v, b.d)))


def _times(slope: Any, d: Any) -> Any:
    """slope∘d.  The product keeps the size of d as its `reach`, even if the slope is small.

    Reverse mode over reverse mode may multiply d by all later factors first, and by the slope
    last.  Where the first product is past the largest number, a slope of 0 gives 0·∞ = NaN.
    """
    return None if d is None else product(large(d), slope)


def _tanh(x: Dual) -> Dual:
    t = np.tanh(x.v)
    return Dual(t, _times(tanh_slope(t), x.d))


def _maximum(x: Dual, other: Dual) -> Dual:
    """max(x, 0).  Raises `TypeError` for any other constant: the slope is that of relu."""
    if other.d is not None or np.any(other.v != 0):
        raise TypeError("np.maximum of a Dual and anything but 0 is not supported")
    return Dual(np.maximum(x.v, other.v), _times(relu_slope(x.v), x.d))


_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: Dual.__add__,
    np.subtract: Dual.__sub__,
    np.multiply: Dual.__mul__,
    np.matmul: Dual.__matmul__,
    np.negative: Dual.__neg__,
    np.tanh: _tanh,
    np.maximum: _maximum,
}


# ---------------------------------------------------------------------- functions of arrays


def _together(items: Sequence[Any], join: Callable[[list[Any]], Any]) -> Dual:
    """Combine several Duals by `join`.  If one has a tangent, a tangent of None becomes zeros."""
    duals = [_lift(x) for x in items]
    v = join([x.v for x in duals])
    if all(x.d is None for x in duals):
        return Dual(v)
    return Dual(v, join([x.tangent for x in duals]))


def _where(mask: Any, x: Any, y: Any) -> Dual:
    return _together([x, y], lambda parts: np.where(mask, *parts))


_OF_ONE = {
    np.sum,
    np.reshape,
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.flip,
    np.expand_dims,
    np.squeeze,
    np.broadcast_to,
}
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: lambda xs, axis=0: _together(xs, lambda ps: np.concatenate(ps, axis=axis)),
    np.stack: lambda xs, axis=0: _together(xs, lambda ps: np.stack(ps, axis=axis)),
    np.where: _where,
    np.zeros_like: lambda x: Dual(np.zeros_like(x.v)),
}


@stack_like.register
def _(like: Dual, parts: Any) -> Dual:
    return settled(_together(parts, lambda ps: np.stack([settled(p) for p in ps])))


@join_like.register
def _(like: Dual, parts: Any) -> Dual:
    return _together(parts, lambda ps: np.concatenate([settled(p) for p in ps], axis=-1))


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
    return Dual(s, _times(sigmoid_slope(s), x.d))


@lstm_activations.register
def _(x: Dual) -> Dual:
    s = lstm_activations(x.v)
    return Dual(s, _times(lstm_slopes(s), x.d))


@blend.register
def _(z: Dual, kept: Any, new: Any) -> Dual:
    """Tangent: (1−z)∘ṅ + z∘k̇ in all its forms, plus ż∘(k−n), which may also be ż∘k − ż∘n."""
    kept, new = _lift(kept), _lift(new)
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
    return Dual(sigmoid_slope(s.v), _times(_sigmoid_curve(s.v), s.d))


@tanh_slope.register
def _(t: Dual) -> Dual:
    return Dual(tanh_slope(t.v), _times(_tanh_curve(t.v), t.d))


@lstm_slopes.register
def _(s: Dual) -> Dual:
    size = s.shape[-1] // 4
    blocks = [s.v[..., k * size : (k + 1) * size] for k in range(4)]
    curves = [_tanh_curve(b) if k == 2 else _sigmoid_curve(b) for k, b in enumerate(blocks)]
    curve = np.concatenate([settled(c) for c in curves], axis=-1)
    return Dual(lstm_slopes(s.v), _times(curve, s.d))


@relu_slope.register
def _(a: Dual) -> Dual:
    """The slope is constant on both sides of 0, and at 0 as torch defines it: no tangent."""
    return Dual(relu_slope(a.v))


@product.register
def _(first: Dual, *others: Any, chain: int | None = None) -> Dual:
    """Tangent: Σ_k of the product with the k-th factor replaced by its tangent."""
    factors = [first, *(_lift(f) for f in others)]
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
    dy = _lift(upstream)
    d = None if dy.d is None else log_softmax_backward(y.v, dy.d)
    if y.d is not None:
        total = np.sum(dy.v, axis=-1, keepdims=True)
        d = plus(d, -product(large(y.d), softmax(y.v), total))
    return Dual(log_softmax_backward(y.v, dy.v), d)
