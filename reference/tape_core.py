"""The class `Taped`: a value, the step that gave it, and the adjoints that arrive at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import prod
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .activations import settled
from .recurrence import plus
from .slopes import also_summed
from .tape_parts import apart, matrix, placed

#: Rules for NumPy's functions on Taped values; `tape_rules` registers them.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}

_ORDER = count()


class Adjoint(NamedTuple):
    """The derivative `d` of the loss by a value, and how it was computed.

    `depth` is the number of elementwise factors that d has got since the last matrix product or
    sum, and `before` is that of the terms of this sum.  `chain` is the number of factors of the
    longest product that d is a part of, from the terms of one sum to the next sum.  `blocks` is
    the number of gates side by side in the last axis, which an implementation may multiply by
    their weights one by one.
    """

    d: Any
    before: int
    depth: int
    chain: int
    blocks: int


#: How an adjoint begins: at a result, after a matrix product, after a sum over an axis.
START = Adjoint(None, 0, 0, 0, 1)


class Arrived:
    """The contributions to the adjoint of one value, from all of its uses."""

    __slots__ = ("before", "blocks", "depth", "pairs", "pieces", "rows", "steps", "whole")

    def __init__(self) -> None:
        self.whole: list[Any] = []
        self.pieces: list[tuple[Any, Any]] = []  # index, adjoint of the part
        self.rows: list[Any] = []  # (n, shape of the value): to be summed over n
        self.pairs: list[tuple[Any, Any]] = []  # a (n, k), d (n, m) for Σ a ⊗ d
        self.before, self.depth, self.blocks = 0, 0, 0
        self.steps = 0  # into how many sums over the batch `rows` or `pairs` may be split

    def sum(self, shape: tuple[int, ...], ahead: int) -> Any:
        """The adjoint, as one sum in any order.

        `ahead` factors follow; each may be applied to the terms in place of the sum.
        """
        terms = list(self.whole)
        if self.pairs:
            terms.append(self._over_steps(*map(matrix, zip(*self.pairs, strict=True))))
        if self.rows:
            summed = np.sum(matrix(self.rows), axis=0)
            terms.append(also_summed(summed, self.steps - 1))
        if self.pieces:
            terms += placed(shape, self.pieces, alone=not terms)
        if len(terms) == 1:
            return terms[0]
        self.before, self.depth, d = self.depth, 0, None
        for term in terms:
            d = plus(d, term)
        return apart(d, ahead)

    def _over_steps(self, a: Any, d: Any) -> Any:
        """Σ_t Σ_b a ⊗ d by one product over T·B rows.

        An implementation may add T products in storage.  A term passes at most as many roundings.
        """
        return also_summed(a.T @ d, self.steps - 1)


class Taped:
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
        "part",
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
        self.part = False  # whether this is a part of its parent: x[index]
        self.origin: Taped | None = None  # of a transpose: what was transposed
        self._T: Taped | None = None

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
        return prod(self.v.shape)

    def __len__(self) -> int:
        return len(self.v)

    def __repr__(self) -> str:
        return f"Taped({self.v!r})"

    # ------------------------------------------------------------------ adjoints

    def receive(self, d: Any, a: Adjoint = START, factors: int = 0) -> None:
        """Add one contribution d to the adjoint, made from the adjoint `a` by so many factors.

        The shape of d is that of the value, or d is summed over the axes that were broadcast.
        """
        if not self.needs:
            return
        shape: tuple[int, ...] = self.v.shape
        if d.shape == shape:
            self._arrived(a, factors).whole.append(d)
            return
        arrived = self._arrived(START, 0)
        leading = d.ndim - len(shape)
        axes = tuple(k for k, n in enumerate(shape, leading) if n == 1 and d.shape[k] > 1)
        if axes:
            d = np.sum(d, axis=axes, keepdims=True)
        if leading or not axes:
            arrived.steps += prod(d.shape[: max(leading - 1, 0)])
            arrived.rows.append(d.reshape(-1, *shape))
        else:
            arrived.whole.append(d)

    def receive_part(self, index: Any, a: Adjoint) -> None:
        """Add the contribution `a` to self[index]."""
        if self.needs:
            arrived = self._arrived(a._replace(blocks=0), 0)
            arrived.pieces.append((index, a.d))
            arrived.blocks += a.blocks

    def receive_outer(self, x: Any, d: Any) -> None:
        """Add Σ x ⊗ d, for x (..., n, k) and d (..., n, m), to the adjoint of a matrix (k, m)."""
        if self.needs:
            arrived = self._arrived(START, 0)
            arrived.steps += prod(d.shape[:-2])
            rows, width = x.reshape(-1, x.shape[-1]), d.shape[-1]
            arrived.pairs.append((rows, d.reshape(-1, width)))

    def _arrived(self, a: Adjoint, factors: int) -> Arrived:
        arrived = self.arrived
        if arrived is None:
            arrived = self.arrived = Arrived()
        arrived.before = max(arrived.before, a.before)
        arrived.depth = max(arrived.depth, a.depth + factors)
        arrived.blocks = max(arrived.blocks, a.blocks)
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
            before, depth = arrived.before, arrived.depth
            chain = before + depth + self.ahead
            self.back(Adjoint(d, before, depth, chain, max(1, arrived.blocks)))
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
        """The transpose: one value, however often it is asked for."""
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
            "a step used a value in an `if`: reverse mode needs one formula; use np.where with a "
            "constant mask"
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

    def _compared(self, other: Any) -> bool:
        raise TypeError("a step compared a value: reverse mode needs a mask that is constant")

    __lt__ = __le__ = __gt__ = __ge__ = _compared


def unsupported(name: str) -> NoReturn:
    """Raise TypeError: reverse mode has no rule for the operation of this name."""
    functions = [*UFUNCS, *(f for f in FUNCTIONS if callable(f))]
    offered = ", ".join(sorted({f.__name__ for f in functions}))
    raise TypeError(
        f"reverse mode has no rule for {name} with these arguments; offered are + - * @, "
        f"indexing, .T and {offered}"
    )


def value(x: Any) -> Any:
    """The value of a Taped; anything else as it is."""
    return x.v if isinstance(x, Taped) else x


def record(
    v: Any, back: Callable[[Adjoint], None], parents: Sequence[Any], atoms: int | None = 0
) -> Taped:
    """A value with its way back to `parents`, or a constant if no parent needs an adjoint."""
    own = tuple(p for p in parents if isinstance(p, Taped) and p.needs)
    return Taped(v, back, own, atoms, needs=True) if own else Taped(v)


def run_back(results: Sequence[Any], upstream: Sequence[Any], inputs: Sequence[Taped]) -> list[Any]:
    """The adjoints of `inputs`, settled, from those of the results; None where there is none."""
    nodes: dict[int, Taped] = {}
    uses: dict[int, int] = {}
    open_ = [r for r in results if isinstance(r, Taped) and r.needs]
    for r in open_:
        uses[r.order] = uses.get(r.order, 0) + 1
    while open_:
        node = open_.pop()
        if node.order not in nodes:
            nodes[node.order] = node
            open_ += node.parents
    order = sorted(nodes)
    cut: set[int] = set()
    for number in order:
        node = nodes[number]
        for parent in node.parents:
            # The parts of one value are put side by side, not added: they count as one use.
            if not (node.part and parent.order in cut):
                uses[parent.order] = uses.get(parent.order, 0) + 1
            if node.part:
                cut.add(parent.order)
    for number in order:
        node = nodes[number]
        if node.atoms is not None:
            ends = [0 if uses[p.order] > 1 else p.ahead for p in node.parents]
            node.ahead = node.atoms + max(ends, default=0)
    for r, d in zip(results, upstream, strict=True):
        if d is not None and isinstance(r, Taped):
            r.receive(d)
    found: dict[int, Any] = {}
    wanted = {x.order for x in inputs}
    for number in reversed(order):
        d = nodes[number].adjoint()
        if number in wanted and d is not None:
            found[number] = settled(d)
    return [found.get(x.order) for x in inputs]
