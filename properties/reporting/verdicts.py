"""The three verdicts on a subject, one line for each level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..levels import KEPT, LEVELS, NOUNS
from ..running.records import ERROR, HOLDS, KNOWN_ISSUE, NOT_RUN, UNSUPPORTED, Record
from .causes import by_subject


def verdicts(records: Iterable[Record]) -> list[str]:
    """Three lines for each subject: `mine.py:MyLSTM on cpu: values: right, 214 of 214`.

    A property counts once for each precision.  What the subject does not offer is not counted.
    """
    return [line for name, rows in by_subject(records).items() for line in _of_one(name, rows)]


def _of_one(name: str, rows: list[Record]) -> Iterator[str]:
    for level in LEVELS:
        yield f"{name}: {level}: {verdict(level, [r for r in rows if r.level == level])}"


def verdict(level: str, rows: list[Record]) -> str:
    """The verdict of one level: right, or how many faults, departures or remarks."""
    put = [r for r in rows if r.status not in (UNSUPPORTED, NOT_RUN)]
    errors = [r for r in put if r.status == ERROR]
    decided = [r for r in put if r.status != ERROR]
    wrong = [r for r in decided if not r.passed]
    known = sum(r.status == KNOWN_ISSUE for r in decided)
    also = [f"{known} known issues"] if known else []
    also += [f"{len(errors)} not decided, for errors inside Gatewise"] if errors else []
    tail = f" ({'; '.join(also)})" if also else ""
    if not decided:
        return "nothing was run" + tail
    held = sum(r.status in (HOLDS, KNOWN_ISSUE) for r in decided)
    if wrong:
        noun = NOUNS[level] + "s" * (len(wrong) > 1)
        return f"{len(wrong)} {noun}, {held} of {len(decided)} hold{tail}"
    return f"{KEPT[level]}, {held} of {len(decided)}{tail}"
