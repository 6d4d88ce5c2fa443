"""What a run of `gatewise check` says at its end: the verdicts, the causes, and where to look."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ..levels import LEVELS
from ..running.records import FALSIFIED, FLAKY, NOT_RUN, Record, not_offered
from .causes import by_subject, common_causes, most_telling_first
from .printable import printable
from .verdicts import verdict

#: Lines of each part; together they are at most 25.
_SUBJECTS, _CAUSES, _GAPS = 8, 6, 3


def ending(records: Iterable[Record], why: str = "") -> list[str]:
    """At most 22 lines: verdicts, causes, what was not put, and the scripts.

    `why` says what ended the run before all was done, and is empty where nothing did.
    """
    found = list(records)
    lines = _verdicts(found)
    lines += _up_to(_CAUSES, [line for line in common_causes(found) if line.startswith(" ")])
    lines += _up_to(_GAPS, not_offered(found))
    left = sum(r.status == NOT_RUN for r in found)
    if why:
        lines.append(
            f"not all was put, {why}: {left} of {len(found)} properties did not run at all"
        )
    scripts = [r for r in most_telling_first(found) if r.script]
    if scripts:
        also = f" and {len(scripts) - 1} more beside it" if scripts[1:] else ""
        lines.append(f"script: {scripts[0].script}{also}")
    return [printable(line) for line in lines]


def _verdicts(records: list[Record]) -> list[str]:
    """Three lines for one subject, one line for each of several."""
    subjects = by_subject(records)
    lines = []
    for name, rows in subjects.items():
        own = [
            f"{level}: {verdict(level, [r for r in rows if r.level == level])}" for level in LEVELS
        ]
        lines += (
            [f"{name}: {o}" for o in own] if len(subjects) == 1 else [f"{name}: {'; '.join(own)}"]
        )
    return _up_to(_SUBJECTS, lines)


def _up_to(most: int, lines: list[str]) -> list[str]:
    left = len(lines) - most
    return [
        *islice(lines, most),
        *([f"and {left} more lines; the records have all"] if left > 0 else []),
    ]


def found_line(record: Record, cause: str) -> list[str]:
    """Two or three lines for a record that does not hold, when it is found."""
    lines = [f"{record.status}: {record.name} in {record.precision}: {cause}"]
    if record.status in (FALSIFIED, FLAKY) and not record.message.startswith(cause):
        lines.append(f"  {record.message}")
    if record.script:
        lines.append(f"  script {record.script}")
    return [printable(line) for line in lines]
