"""What reverse mode does with adjoints, in each arithmetic: put parts in place, mask, join."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import rounded_apart
from .ball_core import Ball
from .dual import Dual

Pieces = list[tuple[Any, Any]]


def matrix(parts: Sequence[Any]) -> Any:
    """Concatenate parts (n, …) along their first axis; Balls are settled."""
    return parts[0] if len(parts) == 1 else np.concatenate(list(parts))


@singledispatch
def apart(x: Any, roundings: int) -> Any:
    """`rounded_apart`, several times: each term of the sum x may pass so many more roundings."""
    return x


@apart.register
def _(x: Ball, roundings: int) -> Ball:
    if not roundings:
        return x
    ball = rounded_apart(x)
    ball.roundings += roundings - 1
    return ball


@apart.register
def _(x: Dual, roundings: int) -> Dual:
    return x.mapped(lambda part: apart(part, roundings))


@singledispatch
def masked(x: Any, mask: npt.NDArray[np.bool_]) -> Any:
    """x where the mask holds, else exactly 0, even where x is not finite; a Ball stays a sum."""
    return np.where(mask, x, 0.0)


@masked.register
def _(x: Ball, mask: npt.NDArray[np.bool_]) -> Ball:
    return x.mapped(lambda part: np.where(mask, part, 0.0))


@masked.register
def _(x: Dual, mask: npt.NDArray[np.bool_]) -> Dual:
    return x.mapped(lambda part: masked(part, mask))


def placed(shape: tuple[int, ...], pieces: Pieces, alone: bool) -> list[Any]:
    """Adjoints of the given shape from adjoints of parts x[index]: zero where there is no part.

    Parts that share no element stand side by side in one adjoint.  If nothing else is added
    (`alone`), no sum is made, and each part is one term.  Otherwise a Ball stays a sum: all parts
    are charged as the one with the most roundings.
    """
    layers: list[Pieces] = []
    taken: list[npt.NDArray[np.bool_]] = []
    for index, d in pieces:
        for layer, full in zip(layers, taken, strict=True):  # noqa: B007
            if not full[index].any():
                break
        else:
            layer, full = [], np.zeros(shape, dtype=np.bool_)
            layers.append(layer)
            taken.append(full)
        layer.append((index, d))
        full[index] = True
    return [side_by_side(layer[0][1], shape, layer, alone and len(layers) == 1) for layer in layers]


def _filled(shape: tuple[int, ...], pieces: Pieces, start: float = 0.0) -> Any:
    whole = np.full(shape, start, dtype=np.result_type(*(part for _, part in pieces)))
    for index, part in pieces:
        whole[index] = part
    return whole


@singledispatch
def side_by_side(like: Any, shape: tuple[int, ...], pieces: Pieces, alone: bool) -> Any:
    """One array of the given shape with every part at its index, in the arithmetic of `like`."""
    return _filled(shape, pieces)


@side_by_side.register
def _(like: Ball, shape: tuple[int, ...], pieces: Pieces, alone: bool) -> Ball:
    if not alone:  # the underflow of a product of large factors is charged before it is added
        pieces = [(k, b if b.reach is None else b.settled()._unreached()) for k, b in pieces]
    balls = [b for _, b in pieces]
    whole = Ball(_filled(shape, [(k, b.v) for k, b in pieces]), like.precision)
    if alone:
        whole.r = whole._radius = _filled(shape, [(k, b.radius) for k, b in pieces])
        if any(b.reach is not None for b in balls):
            reaches = [(k, 1.0 if b.reach is None else b.reach) for k, b in pieces]
            whole.reach = _filled(shape, reaches, 1.0)
        return whole
    whole.r = _filled(shape, [(k, 0.0 if b.r is None else b.r) for k, b in pieces])
    whole.m = _filled(shape, [(k, b.magnitude) for k, b in pieces])
    for name in ("products", "additions", "roundings", "underflows"):
        setattr(whole, name, max(getattr(b, name) for b in balls))
    return whole


@side_by_side.register
def _(like: Dual, shape: tuple[int, ...], pieces: Pieces, alone: bool) -> Dual:
    values = [(k, x.v) for k, x in pieces]
    v = side_by_side(values[0][1], shape, values, alone)
    tangents = [(k, x.d) for k, x in pieces if x.d is not None]
    d = side_by_side(tangents[0][1], shape, tangents, alone) if tangents else None
    return Dual(v, d)
