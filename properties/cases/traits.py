"""What a case is like, in words that can be counted: its options, its form, its sizes."""

from __future__ import annotations

from collections.abc import Iterator

from .case import Case

#: Name → the options whose values are counted as they are.
_OPTIONS = ("num_layers", "bias", "batch_first", "bidirectional", "nonlinearity", "with_state")
#: Name → the regimes of values.
_REGIMES = ("weights", "inputs", "states")
_SIZES = ("input_size", "hidden_size", "batch", "time")
#: Sizes are counted in these ranges: up to each number, and above the last.
_UP_TO = (0, 1, 8, 32, 128, 1024)


def traits(case: Case) -> Iterator[tuple[str, str]]:
    """Pairs of a name and a value, of which each case has one value for each name that it has."""
    for name in _OPTIONS:
        if not case.cell or name in ("bias", "with_state", "nonlinearity"):
            yield name, str(getattr(case, name))
    yield "form", case.form
    yield "mode", "train" if case.training else "eval"
    if not case.cell:
        yield "projection", "yes" if case.proj_size else "no"
        yield "dropout", "yes" if case.dropout else "no"
    for name in _REGIMES:
        yield f"regime of {name}", getattr(case, name)
    yield "layout", case.layout
    for name in _SIZES:
        size = getattr(case, name)
        if size is not None:
            yield name, _range(size)


def _range(size: int) -> str:
    low = 0
    for high in _UP_TO:
        if size <= high:
            return str(high) if high == low else f"{low}–{high}"
        low = high + 1
    return f"above {_UP_TO[-1]}"
