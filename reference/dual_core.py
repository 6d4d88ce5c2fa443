"""The class `Dual`: its fields, its arithmetic and its functions of arrays (theory: `dual`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arithmetic import SHAPE_FUNCTIONS, Valued
from .recurrence import plus
from .slopes import large, product


def without_rule(name: str, method: str = "__call__", options: Any = ()) -> str:
    """The message of the `TypeError` for a function of NumPy that has no rule."""
    if method != "__call__":
        name += f".{method}"
    with_options = f" with {', '.join(options)}" if options else ""
    return f"np.{name}{with_options} has no rule for Duals: its derivative would be left out"


class Dual(Valued):
    """A value `v` and its tangent `d` of the same shape, or None for a tangent of zero.

    Supports the operations of `Ball`.  Anything else raises `TypeError`, so that no derivative is
    left out.
    """

    __slots__ = ("d", "v")

    def __init__(self, v: Any, d: Any = None) -> None:
        self.v, self.d = v, d

    @property
    def tangent(self) -> Any:
        """The tangent, as zeros where it is None."""
        return np.zeros_like(self.v) if self.d is None else self.d

    def __add__(self, other: Any) -> Dual:
        other = lift(other)
        v, d = self.v + other.v, plus(self.d, other.d)
        # Broadcasting with a constant may have enlarged the value.
        return Dual(v, d if d is None or d.shape == v.shape else np.broadcast_to(d, v.shape))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        return self + -lift(other)

    def __rsub__(self, other: Any) -> Dual:
        return -self + other

    def __neg__(self) -> Dual:
        return self.mapped(lambda part: -part)

    def __mul__(self, other: Any) -> Dual:
        return bilinear(lambda a, b: a * b, self, lift(other))

    __rmul__ = __mul__

    def __matmul__(self, other: Any) -> Dual:
        return bilinear(lambda a, b: a @ b, self, lift(other))

    def __rmatmul__(self, other: Any) -> Dual:
        return lift(other) @ self

    def __truediv__(self, other: Any) -> Dual:
        return UFUNCS[np.divide](self, lift(other))

    def __rtruediv__(self, other: Any) -> Dual:
        return UFUNCS[np.divide](lift(other), self)

    def __pow__(self, exponent: Any) -> Dual:
        return UFUNCS[np.power](self, lift(exponent))

    def __abs__(self) -> Dual:
        return UFUNCS[np.absolute](self)

    def __lt__(self, other: Any) -> Any:
        return self.v < lift(other).v

    def __le__(self, other: Any) -> Any:
        return self.v <= lift(other).v

    def __gt__(self, other: Any) -> Any:
        return self.v > lift(other).v

    def __ge__(self, other: Any) -> Any:
        return self.v >= lift(other).v

    def __eq__(self, other: Any) -> Any:
        return self.v == lift(other).v

    def __ne__(self, other: Any) -> Any:
        return self.v != lift(other).v

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or kwargs:
            raise TypeError(without_rule(ufunc.__name__, method, kwargs))
        return rule(*(lift(x) for x in inputs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in OF_ONE and isinstance(args[0], Dual):
            return args[0].mapped(lambda part: func(part, *args[1:], **kwargs))
        rule = FUNCTIONS.get(func)
        if rule is None:
            raise TypeError(without_rule(func.__name__))
        return rule(*args, **kwargs)

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


def lift(x: Any) -> Dual:
    """Return x as a Dual; anything else becomes a constant."""
    return x if isinstance(x, Dual) else Dual(x)


def bilinear(f: Callable[[Any, Any], Any], a: Dual, b: Dual) -> Dual:
    """f(a, b), with the tangent f(ȧ, b) + f(a, ḃ)."""
    first = None if a.d is None else f(a.d, b.v)
    return Dual(f(a.v, b.v), plus(first, None if b.d is None else f(a.v, b.d)))


def times(slope: Any, d: Any) -> Any:
    """slope∘d.  The product keeps the size of d as its `reach`, even if the slope is small.

    Reverse mode over reverse mode may multiply d by all later factors first, and by the slope
    last.  Where the first product is past the largest number, a slope of 0 gives 0·∞ = NaN.
    """
    return None if d is None else product(large(d), slope)


UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: Dual.__add__,
    np.subtract: Dual.__sub__,
    np.multiply: Dual.__mul__,
    np.matmul: Dual.__matmul__,
    np.negative: Dual.__neg__,
}


def together(items: Sequence[Any], join: Callable[[list[Any]], Any]) -> Dual:
    """Combine several Duals by `join`.  If one has a tangent, a tangent of None becomes zeros."""
    duals = [lift(x) for x in items]
    v = join([x.v for x in duals])
    if all(x.d is None for x in duals):
        return Dual(v)
    return Dual(v, join([x.tangent for x in duals]))


def _where(mask: Any, x: Any, y: Any) -> Dual:
    return together([x, y], lambda parts: np.where(mask, *parts))


def _split(x: Dual, sections: Any, axis: int = 0) -> list[Dual]:
    parts = np.split(x.v, sections, axis=axis)
    tangents = [None] * len(parts) if x.d is None else np.split(x.d, sections, axis=axis)
    return [Dual(v, d) for v, d in zip(parts, tangents, strict=True)]


#: Linear functions of one array.
OF_ONE = {
    np.cumsum,
    np.mean,
    np.sum,
    *SHAPE_FUNCTIONS,
}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: lambda xs, axis=0: together(xs, lambda ps: np.concatenate(ps, axis=axis)),
    np.split: _split,
    np.stack: lambda xs, axis=0: together(xs, lambda ps: np.stack(ps, axis=axis)),
    np.where: _where,
    np.zeros_like: lambda x: Dual(np.zeros_like(x.v)),
}
