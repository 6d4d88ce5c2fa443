"""Compares the records of two runs: statuses, error/bound beyond chance, and times.

Two runs may differ in their seeds, so the cases differ, and error/bound with them.  A shift is
named where chance cannot explain it: the largest distance D between the two distributions of a
property's cases over error/bound exceeds D with probability at most e·exp(−2 D² nm/(n+m)) for n and
m cases of one distribution (Dvoretzky–Kiefer–Wolfowitz for two samples; Wei and Dudley 2012).  The
false-alarm rate of a whole comparison is `RATE`: each property has its share of it.

Machines differ in speed, so times are compared by a ratio within each run: the seconds in the
subject over those in the reference, which is the same code on both sides.  What is done once, as a
first call, makes single properties slow, so the median over the properties of a family is compared.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from ..running.records import Record

#: The rate of false alarms of one comparison of two runs of the same code.
RATE = 1e-9
#: A time has moved if its ratio changed by this factor.
SLOWER = 1.5
#: Seconds of a property below which a time says nothing, and the properties that a family needs.
LEAST, MANY = 0.005, 5


@dataclass
class Comparison:
    """What differs between two runs: `worse` and `better` are lines, `others` is no judgement."""

    worse: list[str] = field(default_factory=list)
    better: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All lines, the worse first."""
        parts = (("worse", self.worse), ("better", self.better), ("differs", self.others))
        return [f"{label}: {line}" for label, lines in parts for line in lines]


def compare(before: Iterable[Record], after: Iterable[Record]) -> Comparison:
    """What differs between the records of two runs."""
    old, new = {r.id: r for r in before}, {r.id: r for r in after}
    found = Comparison()
    both = [(old[id_], new[id_]) for id_ in old if id_ in new]
    for label, alone, others in (("first", old, new), ("second", new, old)):
        ids = [id_ for id_ in alone if id_ not in others]
        if ids:
            more = f" and {len(ids) - 1} more" if ids[1:] else ""
            found.others.append(f"only in the {label}: {ids[0]}{more}")
    for a, b in both:
        _statuses(a, b, found)
    measured = [(a, b) for a, b in both if sum(a.histogram) and sum(b.histogram)]
    for a, b in measured:
        _shift(a, b, RATE / len(measured), found)
    _times(both, found)
    return found


def _statuses(a: Record, b: Record, found: Comparison) -> None:
    if a.status == b.status:
        return
    line = f"{b.id}: {a.status}, now {b.status}"
    if a.passed and not b.passed:
        found.worse.append(f"{line}: {b.message.partition(chr(10))[0]}")
    elif b.passed and not a.passed:
        found.better.append(line)
    else:
        found.others.append(line)


def _shift(a: Record, b: Record, rate: float, found: Comparison) -> None:
    """Name a shift of error/bound that chance explains with a probability of at most `rate`."""
    n, m = sum(a.histogram), sum(b.histogram)
    shares = [
        y / m - x / n for x, y in zip(accumulate(a.histogram), accumulate(b.histogram), strict=True)
    ]
    largest = max(shares, key=abs)
    if math.e * math.exp(-2 * largest**2 * n * m / (n + m)) >= rate:
        return
    # A smaller share below a threshold means larger errors.
    where = 2.0 ** (shares.index(largest) + 1 - len(shares))
    below = [sum(r.histogram[: shares.index(largest) + 1]) for r in (a, b)]
    line = (
        f"{b.id}: error/bound moved: {below[0]} of {n} cases were below {where:.2g}, now "
        f"{below[1]} of {m}; chance gives this once in {1 / RATE:.0e} comparisons at most"
    )
    (found.worse if largest < 0 else found.better).append(line)


def _times(both: list[tuple[Record, Record]], found: Comparison) -> None:
    """Name subjects and families whose calls take another time than the reference's suggest."""
    groups: dict[str, list[float]] = defaultdict(list)
    for a, b in both:
        if min(_seconds(a) + _seconds(b)) >= LEAST:
            before, after = (r.subject_seconds / r.reference_seconds for r in (a, b))
            groups[f"{b.subject} on {b.device}, family {b.family}"].append(after / before)
    for name, factors in groups.items():
        factor = statistics.median(factors)
        if len(factors) < MANY or 1 / SLOWER <= factor <= SLOWER:
            continue
        line = f"{name}: a call takes {factor:.2f} times as long, beside the reference's"
        (found.worse if factor > 1 else found.better).append(line)


def _seconds(record: Record) -> tuple[float, float]:
    return record.subject_seconds, record.reference_seconds
