"""Reverse-mode rules: for each operation, the adjoint of its result gives those of its operands.

Elementwise functions of one argument are rows of `SLOPES`.  Every other operation is a function
that computes the value and records the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .activations import (
    blend,
    blend_slopes,
    constant,
    lstm_activations,
    rounded_apart,
    settled,
    sigmoid,
)
from .functions import log_sigmoid, silu, softplus
from .log_softmax import log_softmax, log_softmax_backward
from .slopes import also_summed, large, lstm_slopes, product, relu_slope, sigmoid_slope, tanh_slope
from .tape_adjoints import Adjoint
from .tape_core import FUNCTIONS, UFUNCS, Taped, as_taped, record, unsupported

Slope = Callable[[Any, Any], Any]

#: The factors that a slope counts for: s(1−s), (1−t)(1+t).
OF_SLOPE = 2

#: Elementwise function → its slope from the argument x and the result y, which is at most 1.  Each
#: slope covers the other ways of writing that derivative (see `slopes`).
SLOPES: dict[Any, Slope] = {
    np.tanh: lambda x, y: tanh_slope(y),
    sigmoid: lambda x, y: sigmoid_slope(y),
}


def times(a: Adjoint, factor: Any, at_most_one: bool = False) -> Any:
    """a∘factor, charged for every order in which the factors of its chain may be multiplied.

    A factor that may be above 1 is marked as large; so is the adjoint (`Taped.adjoint`).
    """
    return product(a.d, factor if at_most_one else large(factor), chain=a.chain)


#: Function → further uses of x where it is written by others: x∘x, x∘σ(x), and max(x, 0) or
#: min(x, 0) beside log1p(e^−|x|).
USES: dict[Any, int] = {np.square: 1, silu: 1, softplus: 1, log_sigmoid: 1}


def add_slopes(table: Mapping[Any, Slope], at_most_one: bool = False) -> None:
    """Give every function of the table its rule: a ufunc, or a function dispatched on its type.

    A slope may be above 1, unless `at_most_one`.
    """
    for function, slope in table.items():
        rule = _elementwise(function, slope, at_most_one, USES.get(function, 0))
        if isinstance(function, np.ufunc):
            UFUNCS[function] = rule
        else:
            function.register(Taped, rule)


def _elementwise(
    function: Any, slope: Slope, at_most_one: bool, split: int
) -> Callable[[Taped], Taped]:
    def rule(x: Taped) -> Taped:
        y = function(x.v)

        def back(a: Adjoint) -> None:
            x.receive(times(a, slope(x.v, y), at_most_one), a, OF_SLOPE, split)

        return record(y, back, (x,), OF_SLOPE)

    return rule


add_slopes(SLOPES, at_most_one=True)


@lstm_activations.register
def _(x: Taped) -> Taped:
    """The four gates may have a matrix product each."""
    y = lstm_activations(x.v)

    def back(a: Adjoint) -> None:
        d = times(a, lstm_slopes(y), at_most_one=True)
        x.receive(d, a._replace(columns=max(4, a.columns)), OF_SLOPE)

    return record(y, back, (x,), OF_SLOPE)


# ---------------------------------------------------------------------- arithmetic


def _add(x: Any, y: Any) -> Taped:
    x, y = as_taped(x), as_taped(y)

    def back(a: Adjoint) -> None:
        x.receive(a.d, a)
        y.receive(a.d, a)

    return record(x.v + y.v, back, (x, y))


def _subtract(x: Any, y: Any) -> Taped:
    x, y = as_taped(x), as_taped(y)

    def back(a: Adjoint) -> None:
        x.receive(a.d, a)
        if y.needs:
            y.receive(-a.d, a)

    return record(x.v - y.v, back, (x, y))


def _negative(x: Taped) -> Taped:
    return record(-x.v, lambda a: x.receive(-a.d, a), (x,))


def _multiply(x: Any, y: Any) -> Taped:
    x, y = as_taped(x), as_taped(y)

    def back(a: Adjoint) -> None:
        if x.needs:
            x.receive(times(a, y.v), a, 1)
        if y.needs:
            y.receive(times(a, x.v), a, 1)

    return record(x.v * y.v, back, (x, y), 1)


def rectified(x: Any, y: Any) -> Taped:
    """max(x, 0).  Raises `TypeError` for any other constant: the slope is that of relu."""
    x, y = (x, y) if isinstance(x, Taped) else (y, x)
    if not isinstance(y, float | int | np.ndarray) or np.any(y != 0):
        unsupported("np.maximum")
    v = np.maximum(x.v, y)

    def back(a: Adjoint) -> None:
        x.receive(times(a, relu_slope(x.v), at_most_one=True), a, 1)

    return record(v, back, (x,), 1)


def _matmul(x: Any, y: Any) -> Taped:
    """x @ y for y (n, m) and any x (..., n), or y (n,) and x (m, n): one product or one a gate.

    A weight that is used at several steps gets one sum over all steps (`Arrived`).
    """
    x, y = as_taped(x), as_taped(y)
    if x.ndim == 1 and y.ndim == 2:
        return FUNCTIONS[np.reshape](_matmul(x.reshape(1, -1), y), (y.shape[1],))
    if x.ndim == 2 and y.ndim == 1:
        return FUNCTIONS[np.reshape](_matmul(x, y.reshape(-1, 1)), (x.shape[0],))
    if x.ndim < 2 or y.ndim != 2:
        unsupported(f"np.matmul of {x.ndim} and {y.ndim} dimensions")

    def back(a: Adjoint) -> None:
        if x.needs:
            w = y.v.T if y.origin is None else y.origin.v
            x.receive(also_summed(a.d @ constant(a.d, w), a.columns - 1))
        if y.needs:
            y.receive_outer(constant(a.d, x.v), a)

    return record(x.v @ y.v, back, (x, y), None)


UFUNCS.update(
    {
        np.add: _add,
        np.subtract: _subtract,
        np.negative: _negative,
        np.multiply: _multiply,
        np.maximum: rectified,
        np.matmul: _matmul,
    }
)


# ---------------------------------------------------------------------- functions of the cells


@blend.register
def _(z: Taped, kept: Any, new: Any) -> Taped:
    """(1−z)∘new + z∘kept: `blend_slopes` cover its forms.

    The form (1−z)∘new + z∘kept rounds d∘kept and −d∘new apart, and kept − new is charged for that.
    Each form uses one or two of its arguments twice, so their contributions have two parts.
    """
    kept, new = as_taped(kept), as_taped(new)
    return blended(blend(z.v, kept.v, new.v), z, kept, new)


def blended(v: Any, z: Taped, kept: Taped, new: Taped, gate: bool = False) -> Taped:
    """The value v = blend(z, kept, new) with its way back; z of a `gate` is in [0, 1]."""

    def back(a: Adjoint) -> None:
        to_kept, to_new = blend_slopes(constant(a.d, z.v))
        if kept.needs:
            kept.receive(times(a, to_kept, at_most_one=gate), a, 1, split=1)
        if new.needs:
            new.receive(times(a, to_new, at_most_one=gate), a, 1, split=1)
        if z.needs:
            apart = rounded_apart(constant(a.d, kept.v) - constant(a.d, new.v))
            z.receive(times(a, apart), a, 1, split=1)

    return record(v, back, (z, kept, new), 1)


@log_softmax.register
def _(x: Taped) -> Taped:
    y = log_softmax(x.v)
    return record(
        y, lambda a: x.receive(log_softmax_backward(constant(a.d, y), a.d), split=1), (x,), None
    )


@settled.register
def _(x: Taped) -> Taped:
    return record(settled(x.v), lambda a: x.receive(a.d, a), (x,))


@rounded_apart.register
def _(x: Taped) -> Taped:
    return record(rounded_apart(x.v), lambda a: x.receive(a.d, a), (x,))


@constant.register
def _(like: Taped, given: Any) -> Any:
    return given if given is None or isinstance(given, Taped) else Taped(constant(like.v, given))
