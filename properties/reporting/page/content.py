"""What the page shows: the records of one or several runs, put into tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...families.catalogue import CATALOGUE, FAMILIES
from ...levels import LEVELS
from ...running.record_file import RunRecords
from ...running.records import (
    CRASHED,
    ERROR,
    FALSIFIED,
    FLAKY,
    HOLDS,
    KNOWN_ISSUE,
    NOT_RUN,
    UNSUPPORTED,
    VACUOUS,
    Record,
)
from ..causes import by_subject, cause_of, common_causes, most_telling_first
from ..explanation import diagnosis_lines
from ..verdicts import verdict
from .drawn import Together, drawn_together, traits_drawn

#: Failures that are shown in full; the others have a line each.
_IN_FULL = 25
#: Bytes of a script that the page has; a longer one is named by its path.
_SCRIPT = 30_000

#: The state of a cell of the matrix → its sign and its words, the one that counts most first.
SIGNS: dict[str, tuple[str, str]] = {
    "wrong": ("✗", "does not hold"),
    "error": ("!", "error inside Gatewise, or nothing compared"),
    "known": ("K", "known issue"),
    "holds": ("✓", "holds"),
    "left": ("–", "not run"),
    "unoffered": ("○", "not offered"),
}
_STATES = {
    FALSIFIED: "wrong",
    FLAKY: "wrong",
    CRASHED: "wrong",
    ERROR: "error",
    VACUOUS: "error",
    KNOWN_ISSUE: "known",
    HOLDS: "holds",
    NOT_RUN: "left",
    UNSUPPORTED: "unoffered",
}


@dataclass(frozen=True)
class Cell:
    """Properties of one family at one level on one subject."""

    state: str
    wrong: int
    total: int

    @property
    def sign(self) -> str:
        """The sign of its state."""
        return SIGNS[self.state][0]

    @property
    def words(self) -> str:
        """Its state in words, for who does not see the sign."""
        return f"{SIGNS[self.state][1]}: {self.wrong or self.total} of {self.total}"


@dataclass(frozen=True)
class Failure:
    """A record that does not hold, as the page shows it."""

    record: Record
    sentence: str
    formula: str
    cause: str
    diagnosis: list[str]
    script: str


@dataclass
class Content:
    """Everything that the template needs."""

    runs: list[dict[str, Any]]
    levels: dict[str, str]
    families: list[str]
    verdicts: dict[str, dict[str, str]]
    matrix: dict[str, dict[str, dict[str, Cell]]]
    at_level: dict[str, set[str]]
    causes: list[str]
    failures: list[Failure]
    others: list[Record]
    known: list[Known]
    drawn: dict[str, list[tuple[str, int]]]
    together: list[Together]
    totals: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict)


def content(runs: Sequence[RunRecords]) -> Content:
    """The content of the page of some runs."""
    records = [record for run in runs for record in run.records]
    subjects = by_subject(records)
    wrong = most_telling_first(records)
    present = {r.family for r in records}
    # The claims of a user's own file are of a family that is not in the table.
    names = dict.fromkeys([*(family.name for family in FAMILIES), *sorted(present)])
    return Content(
        runs=[{"environment": r.head["environment"], "options": r.head["run"]} for r in runs],
        levels=LEVELS,
        families=[n for n in names if n in present],
        verdicts={
            name: {level: verdict(level, [r for r in rows if r.level == level]) for level in LEVELS}
            for name, rows in subjects.items()
        },
        matrix={
            name: {level: _cells([r for r in rows if r.level == level]) for level in LEVELS}
            for name, rows in subjects.items()
        },
        at_level={level: {r.family for r in records if r.level == level} for level in LEVELS},
        causes=common_causes(records),
        failures=[_failure(r) for r in wrong[:_IN_FULL]],
        others=wrong[_IN_FULL:],
        known=_known(records),
        drawn=traits_drawn(records),
        together=drawn_together(records),
        totals={
            "properties": len(records),
            "cases": sum(r.cases for r in records),
            "comparisons": sum(r.comparisons for r in records),
        },
        seconds={
            "in the subject": sum(r.subject_seconds for r in records),
            "in the reference": sum(r.reference_seconds for r in records),
            "in all": sum(r.seconds for r in records),
        },
    )


def _cells(rows: list[Record]) -> dict[str, Cell]:
    """Family → its cell, of the records of one subject and level."""
    found = {}
    for family in dict.fromkeys(r.family for r in rows):
        own = Counter(_STATES[r.status] for r in rows if r.family == family)
        state = next(s for s in SIGNS if own[s])
        found[family] = Cell(state, own["wrong"] + own["error"], own.total())
    return found


def _failure(record: Record) -> Failure:
    prop = CATALOGUE.get(record.name)
    text = ""
    if record.script:
        path = Path(record.script)
        if path.is_file() and path.stat().st_size <= _SCRIPT:
            text = path.read_text(encoding="utf-8", errors="replace")
    return Failure(
        record,
        prop.sentence if prop else "",
        prop.formula if prop else "",
        cause_of(record),
        diagnosis_lines(record.diagnosis),
        text,
    )


@dataclass
class Known:
    """A known issue in its words, its link, and the properties that meet it."""

    words: str
    link: str
    names: list[str]


#: The link that a known issue's line has in brackets.
_LINK = re.compile(r" \((https?://[^)\s]+)\)")


def _known(records: list[Record]) -> list[Known]:
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if record.status == KNOWN_ISSUE:
            for part in record.message.split("; "):
                found.setdefault(part, {})[f"{record.name} of {record.subject}"] = None
    links = {words: _LINK.search(words) for words in found}
    return [
        Known(_LINK.sub("", words), link[1] if (link := links[words]) else "", list(names))
        for words, names in found.items()
    ]
