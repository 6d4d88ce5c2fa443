"""Midpoint–radius arithmetic: a value, and how far rounding may move a correct implementation.

A `Ball` holds v, the float64 value of a formula, and a radius such that whatever a correct
implementation in precision P holds at this place lies within that radius of v.  The rules are the
standard model fl(a op b) = (a op b)(1+δ) + ε with |δ| ≤ u, |ε| ≤ η (Higham, *Accuracy and
Stability of Numerical Algorithms*, 2nd ed., ch. 2–3), applied to the implementation and to the
reference itself: u stands for u_P + u_float64 throughout, so `|subject − v| ≤ radius` is sound
without any second look at v's own error.

Sums are order-free.  An implementation may add x W_ihᵀ, b_ih, h W_hhᵀ and b_hh in any order, in
one fused product or in four, in the accumulator or in storage.  A Ball that is a sum therefore
keeps, unrounded, the magnitude m = Σ(|term| + its radius), the number of products summed, the
number of additions and the roundings each term had on its way.  Only when a product or a function
consumes the sum is it charged γ_products(u_accumulation)·m + γ_(additions+roundings)(u)·m: every
term passes at most that many roundings in every order of summation (Higham, §4.2), and every
partial sum is at most m.

A radius that is not finite (∞ or NaN) says nothing: beyond the format's largest number a correct
implementation may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .activations import also_rounded, sigmoid
from .formats import Array, Precision, gamma

_U_REFERENCE = 2.0**-52  # one flop of a radius, rounded up

Part = Callable[[Array], Array]


class Ball:
    """A float64 array `v` of any shape with a radius of the same shape, in a `precision`.

    Supports `+ - * @`, negation, `np.tanh`, `np.maximum(x, 0)`, `sigmoid`, indexing, `.T`,
    `np.where`, `concatenate`, `stack`, `sum` and the shape functions, which is what the gate
    equations use.  Anything else raises `TypeError`, so no operation goes uncharged.
    """

    __slots__ = ("_radius", "additions", "m", "precision", "products", "r", "roundings", "v")

    def __init__(
        self,
        v: Array,
        precision: Precision,
        r: Array | None = None,
        m: Array | None = None,
        *,
        products: int = 0,
        additions: int = 0,
        roundings: int = 0,
    ) -> None:
        self.v = v
        self.precision = precision
        self.r = r  # propagated radius of the terms; None means exact
        self.m = m  # Σ(|term| + radius); None means |v| + r
        self.products = products
        self.additions = additions
        self.roundings = roundings
        self._radius: Array | None = None

    # ------------------------------------------------------------------ reading

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.v.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.v.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.v.size

    def __len__(self) -> int:
        return len(self.v)

    @property
    def exact(self) -> bool:
        """Whether nothing has been rounded yet."""
        return self.r is None and not (self.products or self.additions or self.roundings)

    @property
    def magnitude(self) -> Array:
        """Σ(|term| + radius) of the sum that this Ball is."""
        if self.m is not None:
            return self.m
        return np.abs(self.v) if self.r is None else np.abs(self.v) + self.r

    @property
    def radius(self) -> Array:
        """How far from `v` a correct implementation may be, once rounded to storage."""
        if self._radius is None:
            self._radius = self._charge()
        return self._radius

    def _charge(self) -> Array:
        if self.exact:
            return np.zeros_like(self.v)
        p = self.precision
        m = self.magnitude
        stored = self.additions + self.roundings
        rate = gamma(stored, p.u) + gamma(self.products, p.u_accumulation)
        floor = stored * p.storage.eta + self.products * p.accumulation.eta
        with np.errstate(all="ignore"):  # an infinite or NaN radius is an answer here
            radius = m * rate + floor
            if self.r is not None:
                radius = radius + self.r
            radius *= 1.0 + (self.products + 16) * _U_REFERENCE
            # A partial sum past the largest number may be infinite in a correct implementation.
            radius = np.where(m + radius > p.storage.largest, np.inf, radius)
        return radius

    def settled(self) -> Ball:
        """This value as one term that is rounded and stored."""
        return self if self.exact else Ball(self.v, self.precision, self.radius)

    # ------------------------------------------------------------------ arithmetic

    def _lift(self, other: Any) -> Ball:
        if isinstance(other, Ball):
            return other
        return Ball(np.asarray(other, dtype=np.float64), self.precision)

    def _sum(self, v: Array, other: Ball) -> Ball:
        if self.r is None:
            r = other.r
        elif other.r is None:
            r = self.r
        else:
            r = self.r + other.r
        if r is not None and r.shape != v.shape:
            r = np.broadcast_to(r, v.shape)
        return Ball(
            v,
            self.precision,
            r,
            self.magnitude + other.magnitude,
            products=self.products + other.products,
            additions=self.additions + other.additions + 1,
            roundings=max(self.roundings, other.roundings),
        )

    def __add__(self, other: Any) -> Ball:
        other = self._lift(other)
        return self._sum(self.v + other.v, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Ball:
        other = self._lift(other)
        return self._sum(self.v - other.v, other)

    def __rsub__(self, other: Any) -> Ball:
        other = self._lift(other)
        return other._sum(other.v - self.v, self)

    def __neg__(self) -> Ball:
        return self._like(-self.v, lambda part: part)

    def __mul__(self, other: Any) -> Ball:
        other = self._lift(other)
        r: Array | None = None
        if not self.exact:
            r = self.radius * np.abs(other.v)
        if not other.exact:
            cross = np.abs(self.v) * other.radius
            r = cross if r is None else r + cross + self.radius * other.radius
        return Ball(self.v * other.v, self.precision, r, roundings=1)

    __rmul__ = __mul__

    def __matmul__(self, other: Any) -> Ball:
        return _matmul(self, self._lift(other))

    def __rmatmul__(self, other: Any) -> Ball:
        return _matmul(self._lift(other), self)

    # ------------------------------------------------------------------ functions

    def tanh(self) -> Ball:
        """tanh: |tanh(s) − tanh(v)| ≤ sup tanh′ · radius ≤ 2, then the library's own error."""
        e = np.exp(-2.0 * np.maximum(np.abs(self.v) - self.radius, 0.0))
        return self._function(np.tanh(self.v), 4.0 * e / (1.0 + e) ** 2, 2.0)

    def sigmoid(self) -> Ball:
        """σ: |σ(s) − σ(v)| ≤ sup σ′ · radius ≤ 1, then the library's own error."""
        e = np.exp(-np.maximum(np.abs(self.v) - self.radius, 0.0))
        return self._function(sigmoid(self.v), e / (1.0 + e) ** 2, 1.0)

    def _function(self, f: Array, slope: Array, range_: float) -> Ball:
        p = self.precision
        radius = self.radius
        r = np.minimum(slope * radius, range_)
        r += 2.0 * p.ulps * p.u_accumulation * np.abs(f) + p.accumulation.eta
        r += p.floor * p.u_accumulation
        r += 0.0 * radius  # an unbounded argument may be NaN, which no range confines
        return Ball(f, p, r, roundings=p.stores)

    def maximum(self, other: Any) -> Ball:
        """max(x, constant): 1-Lipschitz, and it rounds nothing."""
        other = self._lift(other)
        if not other.exact:
            raise TypeError("np.maximum of two inexact Balls is not supported")
        radius = self.radius
        return Ball(np.maximum(self.v, other.v), self.precision, None if self.exact else radius)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = _UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or kwargs:
            return NotImplemented
        ball = next(x for x in inputs if isinstance(x, Ball))
        return rule(*(ball._lift(x) for x in inputs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        rule = _FUNCTIONS.get(func)
        return NotImplemented if rule is None else rule(*args, **kwargs)

    # ------------------------------------------------------------------ shape

    def _like(self, v: Array, part: Part) -> Ball:
        """The same sum with `part` applied to the radius and the magnitude."""
        return Ball(
            v,
            self.precision,
            None if self.r is None else part(self.r),
            None if self.m is None else part(self.m),
            products=self.products,
            additions=self.additions,
            roundings=self.roundings,
        )

    def _map(self, part: Part) -> Ball:
        return self._like(part(self.v), part)

    def __getitem__(self, index: Any) -> Ball:
        return self._map(lambda part: part[index])

    @property
    def T(self) -> Ball:
        """The transpose."""
        return self._map(lambda part: part.T)

    def __repr__(self) -> str:
        return f"Ball({self.v!r} ± {self.radius!r}, {self.precision.name})"


def exact(x: Any, precision: Precision) -> Ball:
    """A Ball of radius 0 around values that are exact in the precision's storage format."""
    return Ball(np.asarray(x, dtype=np.float64), precision)


def _matmul(a: Ball, b: Ball) -> Ball:
    """A @ B over an inner length n: γₙ holds for every order of summation (Higham, §3.1)."""
    p = a.precision
    abs_a, abs_b = np.abs(a.v), np.abs(b.v)
    r: Array | None = None
    if not a.exact:
        r = a.radius @ (abs_b if b.exact else abs_b + b.radius)
    if not b.exact:
        cross = abs_a @ b.radius
        r = cross if r is None else r + cross
    m = abs_a @ abs_b
    if r is not None:
        m += r
    if p.u_products:
        rounded = p.u_products * m
        r = rounded if r is None else r + rounded
    return Ball(a.v @ b.v, p, r, m, products=a.v.shape[-1], roundings=p.stores)


def _joined(
    balls: list[Ball], join: Callable[[list[Array]], Array], v: Array | None = None
) -> Ball:
    """Several sums side by side, each charged as the longest of them."""
    pending = any(b.m is not None for b in balls)
    inexact = any(b.r is not None for b in balls)
    return Ball(
        join([b.v for b in balls]) if v is None else v,
        balls[0].precision,
        join([np.zeros_like(b.v) if b.r is None else b.r for b in balls]) if inexact else None,
        join([b.magnitude for b in balls]) if pending else None,
        products=max(b.products for b in balls),
        additions=max(b.additions for b in balls),
        roundings=max(b.roundings for b in balls),
    )


def _lifted(items: Any) -> list[Ball]:
    ball = next(x for x in items if isinstance(x, Ball))
    return [ball._lift(x) for x in items]


def _concatenate(items: Any, axis: int = 0) -> Ball:
    return _joined(_lifted(items), lambda parts: np.concatenate(parts, axis=axis))


def _stack(items: Any, axis: int = 0) -> Ball:
    return _joined(_lifted(items), lambda parts: np.stack(parts, axis=axis))


def _where(mask: Any, x: Any, y: Any) -> Ball:
    return _joined(_lifted([x, y]), lambda parts: np.where(mask, parts[0], parts[1]))


def _sum(a: Ball, axis: Any = None) -> Ball:
    """Σ over axes, as a matrix product with ones."""
    v = np.sum(a.v, axis=axis)
    return Ball(
        v,
        a.precision,
        None if a.exact else np.asarray(np.sum(a.radius, axis=axis)),
        np.asarray(np.sum(a.magnitude, axis=axis)),
        products=a.v.size // max(np.size(v), 1),
        roundings=a.precision.stores,
    )


def _split(a: Ball, sections: Any, axis: int = 0) -> list[Ball]:
    index: list[Any] = [slice(None)] * a.ndim
    pieces = []
    for piece in np.split(np.arange(a.shape[axis]), sections):
        index[axis] = slice(piece[0], piece[-1] + 1) if piece.size else slice(0, 0)
        pieces.append(a[tuple(index)])
    return pieces


def _shape_rule(func: Callable[..., Array]) -> Callable[..., Ball]:
    return lambda a, *args, **kwargs: a._map(lambda part: func(part, *args, **kwargs))


_UFUNCS: dict[np.ufunc, Callable[..., Ball]] = {
    np.add: Ball.__add__,
    np.subtract: Ball.__sub__,
    np.multiply: Ball.__mul__,
    np.matmul: _matmul,
    np.negative: Ball.__neg__,
    np.tanh: Ball.tanh,
    np.maximum: Ball.maximum,
}

_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.where: _where,
    np.sum: _sum,
    np.split: _split,
    np.reshape: _shape_rule(np.reshape),
    np.transpose: _shape_rule(np.transpose),
    np.swapaxes: _shape_rule(np.swapaxes),
    np.moveaxis: _shape_rule(np.moveaxis),
    np.flip: _shape_rule(np.flip),
    np.expand_dims: _shape_rule(np.expand_dims),
    np.squeeze: _shape_rule(np.squeeze),
    np.broadcast_to: _shape_rule(np.broadcast_to),
}


@sigmoid.register(Ball)
def _sigmoid_ball(x: Ball) -> Ball:
    return x.sigmoid()


@also_rounded.register(Ball)
def _also_rounded_ball(x: Ball, *terms: Any) -> Ball:
    m = x.magnitude
    for term in terms:
        m = m + x._lift(term).magnitude
    return Ball(
        x.v,
        x.precision,
        x.r,
        m,
        products=x.products,
        additions=x.additions,
        roundings=x.roundings,
    )
