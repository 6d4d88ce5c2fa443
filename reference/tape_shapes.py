"""Reverse-mode rules of indexing, joining, and the functions that move or sum elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .activations import constant, join_like, stack_like
from .slopes import also_summed
from .tape_adjoints import Adjoint, masked
from .tape_core import FUNCTIONS, Taped, as_taped, record, unsupported, value


def _index(x: Taped, index: Any) -> Taped:
    """x[index]: parts that share no element are put side by side, others are added.

    An index that takes an element several times, such as the ids of words, gives a sum over all
    places of this element, in any order.
    """
    if not isinstance(index, tuple) and np.ndim(index):
        return _rows(x, np.asarray(index))
    if isinstance(index, tuple) and any(np.ndim(k) for k in index):
        places = np.arange(x.size).reshape(x.shape)[index]
        if np.unique(places).size < places.size:
            flat = _index(x.reshape(-1), places.reshape(-1))
            return FUNCTIONS[np.reshape](flat, places.shape)
    return record(x.v[index], lambda a: x.receive_part(index, a), (), parts=(x,))


def _rows(x: Taped, index: Any) -> Taped:
    """x[index] for an array of row numbers, or a mask of rows."""
    rows = np.arange(len(x))[index].reshape(-1)
    chosen = (rows == np.arange(len(x))[:, None]).astype(np.float64)

    def back(a: Adjoint) -> None:
        summed = constant(a.d, chosen) @ a.d.reshape(rows.size, -1)
        x.receive(also_summed(summed, rows.size - 1).reshape(*x.shape))

    return record(x.v[index], back, (x,), None)


def _shaped(function: Any, inverse: Callable[..., Callable[[Any], Any]]) -> Callable[..., Taped]:
    """The rule of a function that moves elements: `inverse` moves the adjoint back."""

    def rule(x: Taped, *arguments: Any, **named: Any) -> Taped:
        undo = inverse(x.shape, *arguments, **named)
        y = function(x.v, *arguments, **named)
        return record(y, lambda a: x.receive(undo(a.d), turned(a)), (x,))

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


def turned(a: Adjoint) -> Adjoint:
    """The adjoint where its last two axes may have changed places, or have become one."""
    sides = max(a.columns, a.rows)
    return a._replace(columns=sides, rows=sides)


def _reshape(x: Taped, shape: Any) -> Taped:
    target = np.empty(x.shape).reshape(shape).shape
    y = x.v.reshape(*target)
    return record(y, lambda a: x.receive(a.d.reshape(*x.shape), turned(a)), (x,))


def _transpose(x: Taped, axes: Any = None) -> Taped:
    if axes is None:

        def back_transposed(a: Adjoint) -> None:
            x.receive(a.d.T, a._replace(columns=a.rows, rows=a.columns))

        return record(x.v.T, back_transposed, (x,))
    back = tuple(int(k) for k in np.argsort(np.array(axes) % x.ndim))
    y = np.transpose(x.v, axes)
    return record(y, lambda a: x.receive(np.transpose(a.d, back), turned(a)), (x,))


def _sum(x: Taped, axis: Any = None, keepdims: bool = False) -> Taped:
    kept = np.sum(np.empty(x.shape), axis=axis, keepdims=True).shape

    def back(a: Adjoint) -> None:
        x.receive(np.broadcast_to(a.d.reshape(*kept), x.shape), a)

    return record(np.sum(x.v, axis=axis, keepdims=keepdims), back, (x,))


def where(mask: Any, x: Any, y: Any) -> Taped:
    if isinstance(mask, Taped):
        unsupported("np.where with a mask that is not constant")
    x, y = as_taped(x), as_taped(y)
    v = np.where(mask, x.v, y.v)

    def back(a: Adjoint) -> None:
        if x.needs:
            x.receive(masked(a.d, mask), a)
        if y.needs:
            y.receive(masked(a.d, np.logical_not(mask)), a)

    return record(v, back, (x, y))


def _joined(parts: Sequence[Any], v: Any, ends: Sequence[Any]) -> Taped:
    """A value made of parts side by side; `ends` are their indices in it."""
    own = [as_taped(part) for part in parts]

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
        np.where: where,
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
