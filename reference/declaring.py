"""`kind`: a recurrent kind from its step, put into the tables of kinds and classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .classes import CLASSES, add_kind
from .declared import DeclarationError, declaration
from .kinds import KINDS, Kind
from .shapes import Shape, shape

#: What a step of this kind is: `step(np, x, *states, w)` → output, states.
Step = Callable[..., Any]


def kind(
    *,
    weights: Mapping[str, str],
    states: str | Mapping[str, str] = "h",
    gates: str = "",
    input: Callable[[Any], Any] | None = None,
) -> Callable[[Step], Kind]:
    """Declare a kind by its step, under the name of the function.

    `weights` maps the names of a layer's weights to their shapes, in I (the width of the input), H
    (the hidden size) and numbers: "4H I", "3 H".  A layer's parameters have these names with
    torch.nn's ends, `weight_ih_l0_reverse`; a cell's have them alone.  The option `bias` leaves
    out every weight whose name begins with "bias".  `states` are the letters of the states, each
    of shape (H,), or their shapes by their letters.  `gates` are the letters of the blocks of H
    rows that the weights of the gates have, in order, for messages: "i f g o".  `input` is
    a function of the whole input, (T, B, I) of a layer and (B, I) of a cell, whose result is cut
    into the x of the steps; it is for what depends on all steps, such as a range.

    The function is called as `step(np, x, *states, w)` with x (B, I) and states (B, H), and returns
    its output and the new states: `return h, (h, c)`.

    Raises `DeclarationError`, one line, for a declaration that cannot be used.
    """

    def declare(step: Step) -> Kind:
        name = step.__name__
        try:
            shapes = {n: shape(text) for n, text in weights.items()}
            own = states if isinstance(states, Mapping) else dict.fromkeys(states.split(), "H")
            letters = {n: shape(text) for n, text in own.items()}
        except ValueError as error:
            raise DeclarationError(f"{name}: {error}") from None
        _check_letters(name, {**shapes, **letters})
        found = declaration(step, shapes, letters, input)
        row = Kind(
            name=name,
            gates=tuple(gates.split()),
            states=tuple(letters),
            step=lambda o, w, x, s: found.parts(w, x, s),
            declared=found,
        )
        _check_gates(row)
        _forget(row)
        add_kind(row)
        return row

    return declare


def _check_letters(name: str, shapes: Mapping[str, Shape]) -> None:
    for of, own in shapes.items():
        unknown = sorted(own.letters - {"I", "H"})
        if unknown:
            raise DeclarationError(
                f"{name}: shape {own.text!r} of {of} has the size {unknown[0]}; expected I or H"
            )


def _check_gates(row: Kind) -> None:
    blocks = row.of_gates[1]
    if row.gates and len(row.gates) != blocks:
        raise DeclarationError(
            f"{row.name}: gates {' '.join(row.gates)!r} are {len(row.gates)}; "
            f"{row.of_gates[0]} has {blocks} blocks of H rows"
        )


def _forget(row: Kind) -> None:
    """Remove a kind of this name that the same file declared before, as when it is loaded anew."""
    old = KINDS.get(row.name)
    if old is None or old.declared is None or row.declared is None:
        return
    if old.declared.source == row.declared.source:
        del KINDS[row.name]
        for name in [n for n, c in CLASSES.items() if c.kind == row.name]:
            del CLASSES[name]
