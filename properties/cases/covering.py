"""Covering arrays: a few rows of options in which every pair of values of two options occurs.

With seven options of two values there are 128 combinations and 21 pairs of options.  Some eight
rows hold the four pairs of values of each.  A row becomes the fields of a case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, combinations, product
from typing import Any

import numpy as np

from gatewise.reference.kinds import KINDS

from .case import Case
from .strategies import lengths_of

Row = dict[str, Any]

#: Options that a layer has and a cell has not, with their values.
_LAYER: dict[str, tuple[Any, ...]] = {
    "num_layers": (1, 2),
    "bidirectional": (False, True),
    "batch_first": (False, True),
}

#: Options of some kinds, with their values; `proj_size` is a layer's.
_OF_KINDS: dict[str, tuple[Any, ...]] = {"proj_size": (0, 1), "nonlinearity": ("tanh", "relu")}

_FORMS = ("dense", "unbatched", "ragged")

#: Option → value → the words by which a row's name states it.
_WORDS: dict[str, dict[Any, str]] = {
    "num_layers": {1: "1 layer", 2: "2 layers"},
    "bidirectional": {True: "both directions"},
    "bias": {False: "no bias"},
    "with_state": {True: "state", False: "no state"},
    "batch_first": {True: "batch first"},
    "proj_size": {1: "projected"},
    "nonlinearity": {"relu": "relu"},
    "form": {form: form for form in _FORMS},
    "training": {True: "training", False: "evaluation"},
}


def pairs(row: Mapping[str, Any]) -> Iterator[tuple[tuple[str, Any], tuple[str, Any]]]:
    """The pairs of (option, value) of a row."""
    return combinations(row.items(), 2)


def covering(options: Mapping[str, Sequence[Any]], size: int = 2) -> list[Row]:
    """Rows, one value of each option in each, that hold every group of `size` values together.

    Each row is, of all combinations, the first that holds the most groups that no row before it
    holds.  So the rows follow from the options alone, and a few first ones hold most groups.
    """
    combined = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    groups = [list(combinations(row.items(), size)) for row in combined]
    places = {group: k for k, group in enumerate(dict.fromkeys(chain.from_iterable(groups)))}
    holds = np.zeros((len(combined), len(places)), dtype=np.int64)
    for row, own in zip(holds, groups, strict=True):
        row[[places[group] for group in own]] = 1
    missing, rows = np.ones(len(places), dtype=np.int64), list[Row]()
    while missing.any() or not rows:
        best = int(np.argmax(holds @ missing))
        rows.append(combined[best])
        missing *= 1 - holds[best]
    return rows


def options_of_calls(kind: str, cell: bool, forms: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The options and forms of a call of a class, with their values.

    `forms` are those that are offered, of `dense`, `unbatched` and `ragged`.
    """
    own = {} if cell else _LAYER
    of_kind = {
        name: values
        for name, values in _OF_KINDS.items()
        if name in KINDS[kind].options and not (cell and name == "proj_size")
    }
    two = (True, False)
    offered = tuple(f for f in _FORMS if f in forms and not (cell and f == "ragged"))
    return {**own, "bias": two, "with_state": two, **of_kind, "form": offered, "training": two}


@lru_cache
def rows_of(kind: str, cell: bool, forms: tuple[str, ...]) -> dict[str, Row]:
    """The rows of a class by name, such as `2 layers, no bias, state, dense, training`."""
    return {_named(row): row for row in covering(options_of_calls(kind, cell, forms))}


@lru_cache
def rows_of_triples(kind: str, cell: bool, evaluates: bool) -> tuple[Row, ...]:
    """Rows in which every triple of values of three options of a class occurs.

    The options are those that `combinations` counts.  Without `evaluates` every row is in training.
    """
    options = options_of_calls(kind, cell, _FORMS)
    if not cell:
        options |= {"num_layers": (1, 2, 3), "form": ("dense", "unbatched", "equal", "ragged")}
    if not evaluates:
        options |= {"training": (True,)}
    return tuple(covering(options, 3))


def some_rows(rows: Mapping[str, Row], first: int, count: int) -> tuple[str, ...]:
    """The names of some rows: the one at `first`, then always one that adds the most new pairs."""
    names = list(rows)
    chosen = [names[first % len(names)]] if count else []
    while len(chosen) < min(count, len(names)):
        held = {pair for name in chosen for pair in pairs(rows[name])}
        left = [name for name in names if name not in chosen]
        chosen.append(max(left, key=lambda name: len({*pairs(rows[name])} - held)))
    return tuple(chosen)


def _named(row: Row) -> str:
    said = [_WORDS[name].get(value, "") for name, value in row.items()]
    return ", ".join(filter(None, said))


def with_row(case: Case, row: Mapping[str, Any]) -> Case:
    """The case with the options and the form of a row, and with sizes that hide nothing.

    With one unit, one row or one step some faults cannot be seen.  In evaluation two layers have
    a dropout, which must then have no effect.
    """
    fields = {name: value for name, value in row.items() if name != "form"}
    for name in ("input_size", "hidden_size"):
        fields[name] = max(getattr(case, name), 2)
    if fields.get("num_layers", 1) > 1 and not fields["training"]:
        fields["dropout"] = 0.5
    form, batch, time = row["form"], max(case.batch or 0, 2), max(case.time, 2)
    fields |= {"batch": None if form == "unbatched" else batch, "lengths": None}
    if not case.cell:
        fields |= {"time": time, **lengths_of(case.seed, form, batch, time)}
    return case.but(**fields)
