"""Reverse-mode rules: for each operation, the adjoint of its result gives those of its operands.

Elementwise functions of one argument are rows of `SLOPES`.  Every other operation is a function
that computes the value and records the way back.
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
from .log_softmax import log_softmax, log_softmax_backward
from .slopes import also_summed, large, lstm_slopes, product, relu_slope, sigmoid_slope, tanh_slope
from .tape_core import FUNCTIONS, UFUNCS, Adjoint, Taped, record, unsupported, value
from .tape_parts import masked

#: The factors that a slope counts for: s(1−s), (1−t)(1+t).
_OF_SLOPE = 2

#: Elementwise function → its slope from the argument x and the result y.  Each slope covers the
#: other ways of writing that derivative (see `slopes`).
SLOPES: dict[Any, Callable[[Any, Any], Any]] = {
    np.tanh: lambda x, y: tanh_slope(y),
    sigmoid: lambda x, y: sigmoid_slope(y),
}


def times(a: Adjoint, factor: Any) -> Any:
    """a∘factor, charged for every order in which the factors of its chain may be multiplied.

    The adjoint itself may be above 1, and multiply what underflowed before: it is marked as large.
    """
    return product(large(a.d), large(factor), chain=a.chain)


def _elementwise(function: Any, slope: Callable[[Any, Any], Any]) -> Callable[[Taped], Taped]:
    def rule(x: Taped) -> Taped:
        y = function(x.v)

        def back(a: Adjoint) -> None:
            x.receive(times(a, slope(x.v, y)), a, _OF_SLOPE)

        return record(y, back, (x,), _OF_SLOPE)

    return rule


def add_slopes(table: dict[Any, Callable[[Any, Any], Any]]) -> None:
    """Give every function of the table its rule: a ufunc, or a function dispatched on its type."""
    for function, slope in table.items():
        rule = _elementwise(function, slope)
        if isinstance(function, np.ufunc):
            UFUNCS[function] = rule
        else:
            function.register(Taped, rule)


add_slopes(SLOPES)


@lstm_activations.register
def _(x: Taped) -> Taped:
    """The four gates may have a matrix product each."""
    y = lstm_activations(x.v)

    def back(a: Adjoint) -> None:
        x.receive(times(a, lstm_slopes(y)), a._replace(blocks=max(4, a.blocks)), _OF_SLOPE)

    return record(y, back, (x,), _OF_SLOPE)


# ---------------------------------------------------------------------- arithmetic


def _taped(x: Any) -> Taped:
    return x if isinstance(x, Taped) else Taped(x)


def _add(x: Any, y: Any) -> Taped:
    x, y = _taped(x), _taped(y)

    def back(a: Adjoint) -> None:
        x.receive(a.d, a)
        y.receive(a.d, a)

    return record(x.v + y.v, back, (x, y))


def _subtract(x: Any, y: Any) -> Taped:
    x, y = _taped(x), _taped(y)

    def back(a: Adjoint) -> None:
        x.receive(a.d, a)
        if y.needs:
            y.receive(-a.d, a)

    return record(x.v - y.v, back, (x, y))


def _negative(x: Taped) -> Taped:
    return record(-x.v, lambda a: x.receive(-a.d, a), (x,))


def _multiply(x: Any, y: Any) -> Taped:
    x, y = _taped(x), _taped(y)

    def back(a: Adjoint) -> None:
        if x.needs:
            x.receive(times(a, y.v), a, 1)
        if y.needs:
            y.receive(times(a, x.v), a, 1)

    return record(x.v * y.v, back, (x, y), 1)


def _maximum(x: Any, y: Any) -> Taped:
    """max(x, 0).  Raises `TypeError` for any other constant: the slope is that of relu."""
    if not isinstance(x, Taped) or np.any(np.asarray(value(y)) != 0):
        unsupported("np.maximum")
    v = np.maximum(x.v, y)

    def back(a: Adjoint) -> None:
        x.receive(times(a, relu_slope(x.v)), a, 1)

    return record(v, back, (x,), 1)


def _matmul(x: Any, y: Any) -> Taped:
    """x @ y for y (n, m) and any x (..., n), or y (n,) and x (m, n): one product or one a gate.

    A weight that is used at several steps gets one sum over all steps (`Arrived`).
    """
    x, y = _taped(x), _taped(y)
    if x.ndim == 1 and y.ndim == 2:
        return FUNCTIONS[np.reshape](_matmul(x.reshape(1, -1), y), (y.shape[1],))
    if x.ndim == 2 and y.ndim == 1:
        return FUNCTIONS[np.reshape](_matmul(x, y.reshape(-1, 1)), (x.shape[0],))
    if x.ndim < 2 or y.ndim != 2:
        unsupported(f"np.matmul of {x.ndim} and {y.ndim} dimensions")

    def back(a: Adjoint) -> None:
        if x.needs:
            w = y.v.T if y.origin is None else y.origin.v
            x.receive(also_summed(a.d @ constant(a.d, w), a.blocks - 1))
        if y.needs:
            y.receive_outer(constant(a.d, x.v), a.d)

    return record(x.v @ y.v, back, (x, y), None)


UFUNCS.update(
    {
        np.add: _add,
        np.subtract: _subtract,
        np.negative: _negative,
        np.multiply: _multiply,
        np.maximum: _maximum,
        np.matmul: _matmul,
    }
)


# ---------------------------------------------------------------------- functions of the cells


@blend.register
def _(z: Taped, kept: Any, new: Any) -> Taped:
    """(1−z)∘new + z∘kept: `blend_slopes` cover its forms.

    The form (1−z)∘new + z∘kept rounds d∘kept and −d∘new apart, and kept − new is charged for that.
    """
    kept, new = _taped(kept), _taped(new)

    def back(a: Adjoint) -> None:
        to_kept, to_new = blend_slopes(constant(a.d, z.v))
        if kept.needs:
            kept.receive(times(a, to_kept), a, 1)
        if new.needs:
            new.receive(times(a, to_new), a, 1)
        if z.needs:
            apart = rounded_apart(constant(a.d, kept.v) - constant(a.d, new.v))
            z.receive(times(a, apart), a, 1)

    return record(blend(z.v, kept.v, new.v), back, (z, kept, new), 1)


@log_softmax.register
def _(x: Taped) -> Taped:
    y = log_softmax(x.v)
    return record(y, lambda a: x.receive(log_softmax_backward(constant(a.d, y), a.d)), (x,), None)


@settled.register
def _(x: Taped) -> Taped:
    return record(settled(x.v), lambda a: x.receive(a.d, a), (x,))


@rounded_apart.register
def _(x: Taped) -> Taped:
    return record(rounded_apart(x.v), lambda a: x.receive(a.d, a), (x,))


@constant.register
def _(like: Taped, given: Any) -> Any:
    return given if given is None or isinstance(given, Taped) else Taped(constant(like.v, given))


# ---------------------------------------------------------------------- parts and shapes


def _index(x: Taped, index: Any) -> Taped:
    """x[index]: parts that share no element are put side by side, others are added.

    An index that takes an element several times, such as the ids of words, gives a sum over all
    places of this element, in any order.
    """
    y = record(x.v[index], lambda a: None, (x,))
    if not y.needs:
        return y
    if not isinstance(index, tuple) and np.ndim(index):
        return _rows(x, y, np.asarray(index))
    if isinstance(index, tuple) and any(np.ndim(k) for k in index):
        places = np.arange(x.size).reshape(x.shape)[index]
        if np.unique(places).size < places.size:
            flat = _index(x.reshape(-1), places.reshape(-1))
            return FUNCTIONS[np.reshape](flat, places.shape)
    y.part = True
    y.back = lambda a: x.receive_part(index, a)
    return y


def _rows(x: Taped, y: Taped, index: Any) -> Taped:
    """x[index] for an array of row numbers, or a mask of rows."""
    rows = np.arange(len(x))[index].reshape(-1)
    chosen = (rows == np.arange(len(x))[:, None]).astype(np.float64)

    def back(a: Adjoint) -> None:
        summed = constant(a.d, chosen) @ a.d.reshape(rows.size, -1)
        x.receive(also_summed(summed, rows.size - 1).reshape(*x.shape))

    y.back, y.atoms = back, None
    return y


def _shaped(function: Any, inverse: Callable[..., Callable[[Any], Any]]) -> Callable[..., Taped]:
    """The rule of a function that moves elements: `inverse` moves the adjoint back."""

    def rule(x: Taped, *arguments: Any, **named: Any) -> Taped:
        undo = inverse(x.shape, *arguments, **named)
        y = function(x.v, *arguments, **named)
        return record(y, lambda a: x.receive(undo(a.d), a), (x,))

    return rule


def _to_shape(shape: tuple[int, ...], *arguments: Any, **named: Any) -> Callable[[Any], Any]:
    return lambda d: d.reshape(*shape)


def _moved_back(function: Any) -> Callable[..., Callable[[Any], Any]]:
    """The inverse of a function that permutes elements or axes, from where it puts each axis."""

    def inverse(shape: tuple[int, ...], *arguments: Any, **named: Any) -> Callable[[Any], Any]:
        if function is np.flip:
            return lambda d: np.flip(d, *arguments, **named)
        # An array whose axis k has length k shows where each axis goes.
        order = function(np.empty(tuple(range(len(shape)))), *arguments, **named).shape
        back = tuple(int(k) for k in np.argsort(np.array(order)))
        return lambda d: np.transpose(d, back)

    return inverse


def _reshape(x: Taped, shape: Any) -> Taped:
    target = np.empty(x.shape).reshape(shape).shape
    y = x.v.reshape(*target)
    return record(y, lambda a: x.receive(a.d.reshape(*x.shape), a), (x,))


def _transpose(x: Taped, axes: Any = None) -> Taped:
    if axes is None:
        return record(x.v.T, lambda a: x.receive(a.d.T, a), (x,))
    back = tuple(int(k) for k in np.argsort(np.array(axes) % x.ndim))
    y = np.transpose(x.v, axes)
    return record(y, lambda a: x.receive(np.transpose(a.d, back), a), (x,))


def _sum(x: Taped, axis: Any = None, keepdims: bool = False) -> Taped:
    kept = np.sum(np.empty(x.shape), axis=axis, keepdims=True).shape

    def back(a: Adjoint) -> None:
        x.receive(np.broadcast_to(a.d.reshape(*kept), x.shape), a)

    return record(np.sum(x.v, axis=axis, keepdims=keepdims), back, (x,))


def _where(mask: Any, x: Any, y: Any) -> Taped:
    if isinstance(mask, Taped):
        unsupported("np.where with a mask that is not constant")
    x, y = _taped(x), _taped(y)
    v = np.where(mask, x.v, y.v)

    def back(a: Adjoint) -> None:
        if x.needs:
            x.receive(masked(a.d, mask), a)
        if y.needs:
            y.receive(masked(a.d, np.logical_not(mask)), a)

    return record(v, back, (x, y))


def _joined(parts: Sequence[Any], v: Any, ends: Sequence[Any]) -> Taped:
    """A value made of parts side by side; `ends` are their indices in it."""
    own = [_taped(part) for part in parts]

    def back(a: Adjoint) -> None:
        for part, index in zip(own, ends, strict=True):
            if part.needs:
                part.receive(a.d[index], a)

    return record(v, back, own)


def _concatenate(parts: Sequence[Any], axis: int = 0) -> Taped:
    v = np.concatenate([value(part) for part in parts], axis=axis)
    return _joined(parts, v, _ranges(parts, axis % v.ndim))


def _ranges(parts: Sequence[Any], axis: int) -> list[Any]:
    ends, start = [], 0
    for part in parts:
        stop = start + part.shape[axis]
        ends.append((*(slice(None),) * axis, slice(start, stop)))
        start = stop
    return ends


def _stack(parts: Sequence[Any], axis: int = 0) -> Taped:
    v = np.stack([value(part) for part in parts], axis=axis)
    lead = (slice(None),) * (axis % v.ndim)
    return _joined(parts, v, [(*lead, k) for k in range(len(parts))])


@stack_like.register
def _(like: Taped, parts: Any) -> Taped:
    v = stack_like(like.v, [value(part) for part in parts])
    return _joined(parts, v, range(len(parts)))


@join_like.register
def _(like: Taped, parts: Any) -> Taped:
    v = join_like(like.v, [value(part) for part in parts])
    return _joined(parts, v, _ranges(parts, v.ndim - 1))


def _split(x: Taped, sections: Any, axis: int = 0) -> list[Any]:
    lead = (slice(None),) * (axis % x.ndim)
    pieces = np.split(np.arange(x.shape[axis]), sections)
    bounds = [(int(k[0]), int(k[-1]) + 1) if k.size else (0, 0) for k in pieces]
    return [_index(x, (*lead, slice(start, stop))) for start, stop in bounds]


def _broadcast_to(x: Taped, shape: Any) -> Taped:
    y = np.broadcast_to(x.v, shape)
    return record(y, lambda a: x.receive(a.d, a), (x,))


FUNCTIONS.update(
    {
        "index": _index,
        np.reshape: _reshape,
        np.transpose: _transpose,
        np.sum: _sum,
        np.where: _where,
        np.concatenate: _concatenate,
        np.stack: _stack,
        np.split: _split,
        np.broadcast_to: _broadcast_to,
        np.squeeze: _shaped(np.squeeze, _to_shape),
        np.expand_dims: _shaped(np.expand_dims, _to_shape),
        np.swapaxes: _shaped(np.swapaxes, _moved_back(np.swapaxes)),
        np.moveaxis: _shaped(np.moveaxis, _moved_back(np.moveaxis)),
        np.flip: _shaped(np.flip, _moved_back(np.flip)),
        np.zeros_like: lambda x: Taped(np.zeros_like(x.v)),
    }
)
