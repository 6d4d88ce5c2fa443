"""What a run drew: how many cases have each trait, and each two options together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ...cases.combinations import every_value, never, possible, together, values_of
from ...running.records import Record


@dataclass(frozen=True)
class Together:
    """How often two values of different options were drawn together, over some subjects.

    `rows` has a line for each value: its words, and the counts beside each value in `columns`;
    None where both are of one option.
    """

    what: str
    columns: list[str]
    rows: list[tuple[str, list[int | None]]]
    sentence: str


def traits_drawn(records: list[Record]) -> dict[str, list[tuple[str, int]]]:
    """Trait → its values with the number of cases, of all records."""
    counted: Counter[str] = Counter()
    for record in records:
        counted.update(record.drawn)
    found: dict[str, list[tuple[str, int]]] = {}
    for trait, count in sorted(counted.items(), key=_in_order):
        name, _, value = trait.partition("=")
        found.setdefault(name, []).append((value, count))
    return found


def drawn_together(records: list[Record]) -> list[Together]:
    """A table for the layers of each kind and for its cells, as the classes are named."""
    counted: dict[str, Counter[str]] = {}
    for record in records:
        like = re.split(r"[.:+]", record.subject)[-1]
        counted.setdefault(like, Counter()).update(record.combined)
    return [_table(like, codes) for like, codes in counted.items() if len(codes) > 1]


def _table(like: str, codes: Mapping[str, int]) -> Together:
    pairs, triples = (together(codes, size) for size in (2, 3))
    met = [v for v in every_value() if any(v in values_of(code) for code in codes)]
    varied = [v for v in met if sum(w[0] == v[0] for w in met) > 1]
    alone = together(codes, 1)
    rows = []
    for a in varied:
        row = [
            None if a[0] == b[0] else pairs[a, b] + pairs[b, a]  # in one order alone
            for b in varied
        ]
        rows.append((f"{a[0]} {a[1]}: {alone[(a,)]}", row))
    missing = ", ".join(f"{a[0]} {a[1]} with {b[0]} {b[1]}" for a, b in never(codes))
    sentence = (
        f"{len(pairs)} of {possible(codes, 2)} pairs and {len(triples)} of {possible(codes, 3)} "
        "triples of the values that were drawn, were drawn together"
    )
    if missing:
        sentence += f"; never: {missing}"
    return Together(like, [f"{n} {w}" for n, w in varied], rows, sentence)


def _in_order(item: tuple[str, int]) -> tuple[str, bool, float, str]:
    """Traits by name, ranges of sizes by their first number, other values by name."""
    name, _, value = item[0].partition("=")
    number = re.match(r"(?:above )?(\d+)", value)
    # "above 1024" comes after "129–1024".
    first = float(number[1]) if number else 0.0
    return name, number is None, first, value
