"""The class `Taped`: a value, the operation that gave it, and the adjoints that arrive at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import prod
from typing import Any, NoReturn

import numpy as np

from .arithmetic import Valued
from .slopes import large
from .tape_adjoints import START, Adjoint, Arrived, reduced

#: Rules for NumPy's functions on Taped values; `tape_rules` registers them.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}

_ORDER = count()


class Taped(Valued):
    """A value `v` (an array, a complex array, a Ball or a Dual) that knows how it was computed.

    Supports the operations of `Ball`.  Anything else raises `TypeError`, so that no derivative is
    left out.  A Taped value without `needs` is a constant.
    """

    __slots__ = (
        "_T",
        "ahead",
        "arrived",
        "atoms",
        "back",
        "needs",
        "order",
        "origin",
        "parents",
        "parts",
        "v",
    )

    def __init__(
        self,
        v: Any,
        back: Callable[[Adjoint], None] | None = None,
        parents: tuple[Taped, ...] = (),
        atoms: int | None = 0,
        needs: bool = False,
    ) -> None:
        self.v = v
        self.back = back
        self.parents = parents
        self.atoms = atoms  # elementwise factors that `back` applies; None if it ends a product
        self.needs = needs
        self.order = next(_ORDER)
        self.ahead = 0
        self.arrived: Arrived | None = None
        self.parts: tuple[Taped, ...] = ()  # the parents of which it uses a part: x[index]
        self.origin: Taped | None = None  # of a transpose: what was transposed
        self._T: Taped | None = None

    # ------------------------------------------------------------------ reading

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.v.shape)

    def __repr__(self) -> str:
        return f"Taped({self.v!r})"

    # ------------------------------------------------------------------ adjoints

    def receive(self, d: Any, a: Adjoint = START, factors: int = 0, split: int = 0) -> None:
        """Add one contribution d to the adjoint, made from the adjoint `a` by so many factors.

        The shape of d is that of the value, or d is summed over the axes that were broadcast.  An
        implementation whose formula uses the value more often may add d in 1 + `split` parts; the
        radius of d covers the parts.
        """
        if not self.needs:
            return
        shape: tuple[int, ...] = self.v.shape
        if split:
            self._arrived(a, factors).split += split
        if d.shape == shape:
            self._arrived(a, factors).whole.append(d)
            return
        arrived = self._arrived(a, factors)
        leading = d.ndim - len(shape)
        axes = tuple(k for k, n in enumerate(shape, leading) if n == 1 and d.shape[k] > 1)
        arrived.summed = max(arrived.summed, prod(d.shape) // max(prod(shape), 1))
        if axes:
            d = reduced(d, axes, self.ahead)
        if leading:
            arrived.steps += prod(d.shape[: leading - 1])
            arrived.spread.append(d.reshape(-1, *shape))
        else:
            arrived.whole.append(d)

    def receive_part(self, index: Any, a: Adjoint) -> None:
        """Add the contribution `a` to self[index]."""
        if self.needs:
            old, part = self.arrived, a.d.shape
            if old is not None and old.pieces and len(part) == self.ndim:  # not a step x[t]
                whole = (0, *self.shape)[-2:]
                split = tuple(n != m for n, m in zip((0, *part)[-2:], whole, strict=True))
                rows, columns = a.rows + split[0] * old.rows, a.columns + split[1] * old.columns
                a = a._replace(rows=rows, columns=columns)
            self._arrived(a, 0).pieces.append((index, a.d))

    def receive_outer(self, x: Any, a: Adjoint) -> None:
        """Add Σ x ⊗ d, for x (..., n, k) and d (..., n, m), to the adjoint of a matrix (k, m)."""
        if self.needs:
            arrived = self._arrived(START, 0)
            d, width = a.d, a.d.shape[-1]
            arrived.steps += prod(d.shape[:-2]) + a.rows - 1
            arrived.pairs.append((x.reshape(-1, x.shape[-1]), d.reshape(-1, width)))

    def _arrived(self, a: Adjoint, factors: int) -> Arrived:
        arrived = self.arrived
        if arrived is None:
            arrived = self.arrived = Arrived()
        arrived.terms = max(arrived.terms, a.terms)
        arrived.before = max(arrived.before, a.before)
        arrived.depth = max(arrived.depth, a.depth + factors)
        arrived.columns = max(arrived.columns, a.columns)
        arrived.rows = max(arrived.rows, a.rows)
        return arrived

    def adjoint(self) -> Any:
        """The sum of all contributions, or None if there is none; it is handed on to the parents.

        Called once, after all uses of this value.
        """
        arrived, self.arrived = self.arrived, None
        if arrived is None:
            return None
        d = arrived.sum(self.v.shape, self.ahead)
        if self.back is not None:
            if self.atoms:  # an adjoint above 1 multiplies what underflowed before it
                d = large(d)
            terms, before, depth = arrived.terms, arrived.before, arrived.depth
            chain = before + terms * (depth + self.ahead)
            sides = arrived.columns, arrived.rows
            self.back(Adjoint(d, terms, before, depth, chain, *sides))
        return d

    # ------------------------------------------------------------------ operations

    def __add__(self, other: Any) -> Any:
        return UFUNCS[np.add](self, other)

    def __radd__(self, other: Any) -> Any:
        return UFUNCS[np.add](other, self)

    def __sub__(self, other: Any) -> Any:
        return UFUNCS[np.subtract](self, other)

    def __rsub__(self, other: Any) -> Any:
        return UFUNCS[np.subtract](other, self)

    def __mul__(self, other: Any) -> Any:
        return UFUNCS[np.multiply](self, other)

    def __rmul__(self, other: Any) -> Any:
        return UFUNCS[np.multiply](other, self)

    def __matmul__(self, other: Any) -> Any:
        return UFUNCS[np.matmul](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return UFUNCS[np.matmul](other, self)

    def __truediv__(self, other: Any) -> Any:
        return np.true_divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return np.true_divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return np.power(self, other)

    def __neg__(self) -> Any:
        return UFUNCS[np.negative](self)

    def __getitem__(self, index: Any) -> Any:
        return FUNCTIONS["index"](self, index)

    def reshape(self, *shape: Any) -> Any:
        """The same elements in another shape."""
        return FUNCTIONS[np.reshape](self, shape[0] if len(shape) == 1 else shape)

    @property
    def T(self) -> Taped:
        """The transpose.  All uses of it share one value."""
        if self._T is None:
            self._T = FUNCTIONS[np.transpose](self)
            self._T.origin = self
        return self._T

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or kwargs:
            unsupported(f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}"))
        return rule(*inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        rule = FUNCTIONS.get(func)
        if rule is None:
            unsupported(f"np.{getattr(func, '__name__', func)}")
        return rule(*args, **kwargs)

    # ------------------------------------------------------------------ what a step must not do

    def __bool__(self) -> bool:
        raise TypeError(
            "an `if` depends on a value: reverse mode needs one formula; expected np.where with "
            "both results"
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a step changed its argument in place: reverse mode needs each value; use np.where or "
            "np.concatenate"
        )

    def __array__(self, *arguments: Any, **keywords: Any) -> Any:
        raise TypeError(
            "a step put a value into a NumPy array or beside another arithmetic: make constants "
            "by `constant(like, value)`"
        )

    def __lt__(self, other: Any) -> Any:
        return UFUNCS[np.less](self, other)

    def __le__(self, other: Any) -> Any:
        return UFUNCS[np.less_equal](self, other)

    def __gt__(self, other: Any) -> Any:
        return UFUNCS[np.greater](self, other)

    def __ge__(self, other: Any) -> Any:
        return UFUNCS[np.greater_equal](self, other)

    def __eq__(self, other: object) -> Any:
        return UFUNCS[np.equal](self, other)

    def __ne__(self, other: object) -> Any:
        return UFUNCS[np.not_equal](self, other)

    __hash__ = object.__hash__

    def __abs__(self) -> Any:
        return np.absolute(self)


def unsupported(name: str) -> NoReturn:
    """Raise TypeError: reverse mode has no rule for the operation of this name."""
    functions = [*UFUNCS, *(f for f in FUNCTIONS if callable(f))]
    offered = ", ".join(sorted({f.__name__ for f in functions}))
    raise TypeError(
        f"reverse mode has no rule for {name} with these arguments; offered are + - * @, "
        f"indexing, .T and {offered}"
    )


def as_taped(x: Any) -> Taped:
    """x itself, or a constant."""
    return x if isinstance(x, Taped) else Taped(x)


def value(x: Any) -> Any:
    """The value of a Taped; anything else as it is."""
    return x.v if isinstance(x, Taped) else x


def stopped(x: Any) -> Any:
    """A value through which no adjoint goes back; of a list, each."""
    if isinstance(x, list | tuple):
        return type(x)(stopped(part) for part in x)
    return Taped(x.v) if isinstance(x, Taped) else x


def record(
    v: Any,
    back: Callable[[Adjoint], None],
    parents: Sequence[Taped],
    atoms: int | None = 0,
    parts: Sequence[Taped] = (),
) -> Taped:
    """A value with its way back to `parents`, or a constant if no parent needs an adjoint.

    `parts` are further parents, of which it uses a part only (`receive_part`).
    """
    own = tuple(p for p in parents if p.needs)
    of = tuple(p for p in parts if p.needs)
    if not (own or of):
        return Taped(v)
    node = Taped(v, back, own, atoms, needs=True)
    node.parts = of
    return node
