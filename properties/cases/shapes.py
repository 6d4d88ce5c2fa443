"""Few shapes, for a subject that compiles a program for each shape that it meets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from .case import Case
from .sizes import NAMES
from .strategies import lengths_of

#: What a subject states: input size, hidden size, batch and time; a cell has no time.
Shape = tuple[int, ...]


class NoShape(ValueError):
    """No shape of a subject is one that a claim may have; the text is one line."""


def _sizes(shape: Shape) -> dict[str, int]:
    return dict(zip(NAMES, shape, strict=False))  # a cell's has no time


def chosen(shapes: tuple[Shape, ...], claim: str, constraints: Mapping[str, Any]) -> Shape:
    """The shape of a claim: the first from its own place on that its constraints allow.

    The place follows from the claim's name, so a run meets all shapes.  Raises `NoShape`.
    """
    least, most = constraints.get("least") or {}, constraints.get("most") or {}
    first = crc32(claim.encode()) % len(shapes)
    for shape in (*shapes[first:], *shapes[:first]):
        sizes = _sizes(shape)
        if all(least.get(n, 1) <= size <= most.get(n, size) for n, size in sizes.items()):
            return shape
    raise NoShape(f"no shape of {shapes} has what the claim needs: {dict(least)} or more")


def bounds(shape: Shape) -> dict[str, dict[str, int]]:
    """The constraints of a strategy that draws one shape alone."""
    sizes = _sizes(shape)
    return {"least": sizes, "most": sizes}


def of_shape(case: Case, shape: Shape) -> Case:
    """The case with another shape, and its form of input kept."""
    sizes = _sizes(shape)
    hidden, time = sizes["hidden"], 1 if case.cell else sizes["time"]
    fields: dict[str, Any] = {
        "input_size": sizes["input"],
        "hidden_size": hidden,
        "proj_size": min(case.proj_size, hidden - 1),
        "time": time,
        "batch": None if case.batch is None else sizes["batch"],
        "lengths": None,
    }
    if not case.cell:
        fields |= lengths_of(case.seed, case.form, sizes["batch"], time)
    return case.but(**fields)
