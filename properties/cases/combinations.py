"""The combination of options of a case, as a short code that can be counted and read back.

A run counts how often it met each combination.  From that the page says which values of two or
three options were never drawn together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from math import prod

from .case import Case

#: The option `layers` counts up to this number.
_LAYERS = 3

#: Option of a layer → the letters of its values, each with its words.
LETTERS: dict[str, dict[str, str]] = {
    "layers": {"1": "1", "2": "2", "3": "3 or more"},
    "direction": {"f": "forward", "b": "both"},
    "bias": {"y": "yes", "n": "no"},
    "batch_first": {"y": "yes", "n": "no"},
    "state": {"y": "passed", "n": "none"},
    "form": {"d": "dense", "u": "unbatched", "e": "equal", "r": "ragged"},
    "projection": {"y": "yes", "n": "no"},
    "nonlinearity": {"t": "tanh", "r": "relu"},
    "mode": {"t": "train", "e": "eval"},
}

#: An option and the words of its value.
Value = tuple[str, str]


def code_of(case: Case) -> str:
    """A letter for each option of `LETTERS`; a cell has those of a layer with its options."""
    return "".join(
        (
            str(min(case.num_layers, _LAYERS)),
            "b" if case.bidirectional else "f",
            "y" if case.bias else "n",
            "y" if case.batch_first else "n",
            "y" if case.with_state else "n",
            case.form[0],
            "y" if case.proj_size else "n",
            case.nonlinearity[0],
            "t" if case.training else "e",
        )
    )


def values_of(code: str) -> tuple[Value, ...]:
    """The options and values of a code; raises `ValueError` where it is none.

    >>> values_of("2fynydntt")[:2]
    (('layers', '2'), ('direction', 'forward'))
    """
    if len(code) != len(LETTERS):
        raise ValueError(f"code {code!r}: expected a letter for each of {', '.join(LETTERS)}")
    found = []
    for letter, (name, words) in zip(code, LETTERS.items(), strict=True):
        if letter not in words:
            raise ValueError(f"code {code!r}: {letter!r} is no {name}")
        found.append((name, words[letter]))
    return tuple(found)


def every_value() -> list[Value]:
    """All options with all their values, in order."""
    return [(name, words) for name, letters in LETTERS.items() for words in letters.values()]


def together(counted: Mapping[str, int], size: int) -> Counter[tuple[Value, ...]]:
    """How many cases have each `size` values together, from the counts of codes."""
    found: Counter[tuple[Value, ...]] = Counter()
    for code, count in counted.items():
        for group in combinations(values_of(code), size):
            found[group] += count
    return found


def possible(counted: Mapping[str, int], size: int) -> int:
    """The number of groups of `size` values of different options, of the values that were met."""
    met = [len({values_of(code)[place] for code in counted}) for place in range(len(LETTERS))]
    return sum(prod(group) for group in combinations(met, size)) if counted else 0


def never(counted: Mapping[str, int]) -> list[tuple[Value, Value]]:
    """The pairs of values that were both met, but never together."""
    met = {value for code in counted for value in values_of(code)}
    pairs = together(counted, 2)
    ordered = [value for value in every_value() if value in met]
    return [(a, b) for a, b in combinations(ordered, 2) if a[0] != b[0] and not pairs[a, b]]
