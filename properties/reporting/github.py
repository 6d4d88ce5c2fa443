"""What a run says to GitHub Actions: annotations in its log, and a summary of the job."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..levels import LEVELS
from ..running.records import Record
from .causes import by_subject, cause_of, common_causes
from .printable import escaped, printable
from .verdicts import verdict

#: GitHub shows ten annotations of a kind in a step.
_MOST = 10


def runs_there() -> bool:
    """Whether this process is a step of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def error_lines(wrong: Iterable[Record]) -> list[str]:
    """A line for each cause of the records that do not hold, as a command of the log."""
    lines, seen = [], set()
    for record in wrong:
        cause = cause_of(record)
        if cause in seen:
            continue
        seen.add(cause)
        title = _data(f"{record.subject}: {record.name} in {record.precision}", ",:")
        lines.append(f"::error title={title}::{_data(f'{cause}. {printable(record.message)}')}")
    return lines[:_MOST]


def _data(text: str, also: str = "") -> str:
    """A text as a command of the log takes it: percent signs and line ends are encoded."""
    shown = "".join(escaped(c) for c in text).replace("%", "%25")
    for character in also:
        shown = shown.replace(character, f"%{ord(character):02X}")
    return shown


def write_summary(records: Iterable[Record]) -> None:
    """Add the verdicts and the causes to the job's summary where there is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    found = list(records)
    lines = ["## Gatewise", "", "| subject | " + " | ".join(LEVELS) + " |"]
    lines.append("|" + " --- |" * (len(LEVELS) + 1))
    for name, rows in by_subject(found).items():
        own = [verdict(level, [r for r in rows if r.level == level]) for level in LEVELS]
        lines.append("| " + " | ".join(_cell(text) for text in (name, *own)) + " |")
    causes = common_causes(found)
    if causes:
        lines += ["", "```", *map(printable, causes), "```"]
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))


def _cell(text: str) -> str:
    """A text in a table of Markdown."""
    shown = escaped(text)
    for character in "\\`*_[]<>|":
        shown = shown.replace(character, f"\\{character}")
    return shown
