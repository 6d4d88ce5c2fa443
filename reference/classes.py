"""The table of classes, and groups of them.  Each subject is tested as one of these classes.

A class is a kind as a layer or as a cell, under torch.nn's name: LSTM, LSTMCell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .groups import Group
from .kinds import KINDS, Kind


@dataclass(frozen=True)
class Class:
    """The class of a subject: a kind as a layer or as a cell.

    `torch` is true if torch.nn has the class.  `function` is true for a function on sequences,
    which is tested on the cases of its kind.
    """

    name: str
    kind: str
    cell: bool = False
    torch: bool = False
    function: bool = False

    @property
    def drop_in(self) -> bool:
        """Whether it has the constructor and the call of torch.nn's layers or cells."""
        return not self.function and not KINDS[self.kind].base


#: Name → class: torch.nn's cells and layers, the networks, and the functions that pack.
CLASSES: dict[str, Class] = {
    c.name: c
    for c in (
        Class("RNNCell", "RNN", cell=True, torch=True),
        Class("LSTMCell", "LSTM", cell=True, torch=True),
        Class("GRUCell", "GRU", cell=True, torch=True),
        Class("RNN", "RNN", torch=True),
        Class("LSTM", "LSTM", torch=True),
        Class("GRU", "GRU", torch=True),
        *(
            Class(f"{kind.name}Cell", kind.name, cell=True)
            for kind in KINDS.values()
            if kind.concat
        ),
        Class("Tagger", "Tagger"),
        Class("Packing", "RNN", function=True),
        Class("Padding", "RNN", function=True),
    )
}


def add_kind(kind: Kind) -> None:
    """Add a new kind to `KINDS`, and its cell and its layer to `CLASSES`.

    Raises `ValueError` if a kind has that name already.
    """
    if kind.name in KINDS:
        raise ValueError(f"kind {kind.name!r} exists; the kinds are {', '.join(KINDS)}")
    KINDS[kind.name] = kind
    for own in (Class(f"{kind.name}Cell", kind.name, cell=True), Class(kind.name, kind.name)):
        CLASSES[own.name] = own


def class_of(kind: str, cell: bool) -> str:
    """The name of the class of a kind as a layer or as a cell."""
    return next(
        c.name for c in CLASSES.values() if (c.kind, c.cell, c.function) == (kind, cell, False)
    )


def _those(name: str, belong: Callable[[Class], bool]) -> Group[Class]:
    return Group(name, CLASSES, belong)


def only(*names: str) -> Group[Class]:
    """The classes with the given names."""
    return _those(", ".join(names), lambda c: c.name in names)


DROP_IN = _those("layers and cells", lambda c: c.drop_in)
LAYERS = _those("layers", lambda c: c.drop_in and not c.cell)
#: Those that a step declares have weights of other names, and what torch.nn says of its own
#: equations and initial weights is not said of them.
DECLARED = _those("declared kinds", lambda c: KINDS[c.kind].declared is not None)
DECLARED_LAYERS = _those(
    "layers of declared kinds",
    lambda c: c.drop_in and not c.cell and KINDS[c.kind].declared is not None,
)
NAMED = _those(
    "layers and cells with torch.nn's weights",
    lambda c: c.drop_in and KINDS[c.kind].declared is None,
)
NAMED_LAYERS = _those(
    "layers with torch.nn's weights",
    lambda c: c.drop_in and not c.cell and KINDS[c.kind].declared is None,
)
CELLS = _those("cells", lambda c: c.drop_in and c.cell)
TORCH = _those("torch.nn's", lambda c: c.torch)
#: Layers that torch.nn has too, for properties that compare the subject with torch.nn's module.
TORCH_LAYERS = _those("torch.nn's layers", lambda c: c.torch and not c.cell)
RNNS = only("RNN", "RNNCell")
LSTMS = only("LSTM", "LSTMCell")
GRUS = only("GRU", "GRUCell")
CONCAT_CELLS = _those("cells on [x, h]", lambda c: KINDS[c.kind].concat)
TAGGERS = _those("taggers", lambda c: KINDS[c.kind].words)
#: Every class that a user's subject may have.
ALL = _those("all", lambda c: not c.function)
