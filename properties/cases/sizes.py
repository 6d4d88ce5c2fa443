"""The sizes of a case: mostly all from 1 to 6, sometimes one of them at a tile edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from hypothesis import strategies as st

#: Sizes at and next to the widths of the blocks (tiles) in which kernels compute.
TILE_EDGES = (7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)

#: The most multiply–adds in one direction of one layer of a case; they take about a millisecond.
WORK_BUDGET = 2_000_000

NAMES = ("input", "hidden", "batch", "time")
#: A list, because Hypothesis draws the ends of a range more often than the rest.  1 is in it only
#: once, because time 1 hides the recurrence.
_SMALL = (1, 2, 3, 4, 5, 6, 4, 3, 2, 3, 2)
#: One draw gives two sizes, because the time for a case depends on the number of draws.
_PAIR = st.sampled_from(sorted(((a, b) for a in _SMALL for b in _SMALL), key=sum))
_WIDE = st.sampled_from([("", 0)] * 196 + [(n, edge) for edge in TILE_EDGES for n in NAMES])
_DRAW = st.tuples(_PAIR, _PAIR, _WIDE)


@dataclass(frozen=True)
class Sizes:
    """Input size, hidden size, batch and time of a case."""

    input: int
    hidden: int
    batch: int
    time: int


def _sizes(
    drawn: tuple[tuple[int, int], tuple[int, int], tuple[str, int]],
    least: Mapping[str, int],
    most: Mapping[str, int],
) -> Sizes:
    values = dict(zip(NAMES, (*drawn[0], *drawn[1]), strict=True))
    wide, edge = drawn[2]
    if wide:
        values[wide] = edge
    values = {
        name: max(min(value, most.get(name, value)), least.get(name, 0))
        for name, value in values.items()
    }
    while wide and work(**values) > WORK_BUDGET:
        values[wide] = values[wide] // 2
    return Sizes(**values)


def work(input: int, hidden: int, batch: int, time: int) -> int:
    """Multiply–adds of an LSTM layer of these sizes in one direction."""
    return 4 * hidden * (input + hidden) * batch * time


@lru_cache
def sizes(
    least: tuple[tuple[str, int], ...] = (), most: tuple[tuple[str, int], ...] = ()
) -> st.SearchStrategy[Sizes]:
    """Draw sizes; `least` and `most` bound any of `input`, `hidden`, `batch` or `time`."""
    smallest, largest = dict(least), dict(most)
    return _DRAW.map(lambda drawn: _sizes(drawn, smallest, largest))
