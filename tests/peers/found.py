"""Reads docs/found.toml, the faults that were found in other libraries, and makes its page."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from pathlib import Path

from gatewise.properties.families.catalogue import CATALOGUE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = DOCS / "found"

_HEAD = """\
# Faults found in other libraries

`python docs/make.py` makes this page from `docs/found.toml` and `docs/found/`. Do not edit it.

Gatewise checks the recurrent networks of other libraries with the adapters in `peers/`. A person \
decided about every property that did not hold. This page has what is a fault of the library. What \
a library documents as different from torch.nn is not on this page: its adapter states it.

Each fault has a script. It needs only that library, with NumPy or torch. It prints what is right \
and what the library gives. Its exit status is 1 if the fault is there, and 0 if the fault is \
gone. `pytest tests/peers/test_found.py` runs every script whose library is installed."""


@dataclass(frozen=True)
class Fault:
    """A fault of a released library.

    `library` is the name of its package on PyPI, and `version` the one in which it was seen.
    `what` says what is wrong, `case` is the smallest case, and `effect` what happens to a user.
    `claim` is the property of the catalogue that finds it.  `script` is a file of docs/found/.
    `report` is the link of a public report, and `mended` the first version without the fault;
    each is "" if there is none.
    """

    library: str
    version: str
    title: str
    what: str
    case: str
    effect: str
    report: str
    claim: str
    script: str
    mended: str

    @property
    def path(self) -> Path:
        """The script."""
        return FOLDER / self.script

    @cached_property
    def code(self) -> str:
        """The text of the script."""
        return self.path.read_text(encoding="utf-8")


def faults(text: str | None = None) -> list[Fault]:
    """The entries of docs/found.toml, or of `text`, in their order.

    Raises `ValueError` for an entry without a field, with an unknown field, with an empty one
    other than `report` and `mended`, or with a claim that is no property.
    """
    if text is None:
        text = (DOCS / "found.toml").read_text(encoding="utf-8")
    return [_fault(number, row) for number, row in enumerate(tomllib.loads(text)["fault"], 1)]


def _fault(number: int, row: dict[str, str]) -> Fault:
    where = f"fault {number} of docs/found.toml ({row.get('title', 'without a title')})"
    names = {f.name for f in fields(Fault)}
    for problem, found in (("lacks", names - {*row}), ("has the unknown", {*row} - names)):
        if found:
            raise ValueError(f"{where} {problem} {', '.join(sorted(found))}")
    empty = {name for name, value in row.items() if not value.strip()} - {"report", "mended"}
    if empty:
        raise ValueError(f"{where}: {', '.join(sorted(empty))} must not be empty")
    if row["claim"] not in CATALOGUE:
        raise ValueError(f"{where}: the claim {row['claim']} is no property of the catalogue")
    if row["report"] and not re.fullmatch(r"https://\S+", row["report"]):
        raise ValueError(f"{where}: report {row['report']!r} is no link")
    return Fault(**{name: value.strip() for name, value in row.items()})


def page() -> str:
    """The page docs/found.md: the faults by library, each with its script."""
    found = sorted(faults(), key=lambda fault: fault.library)  # stable: the file's order stays
    lines = [_HEAD, "", "| library | fault | property | report | gone in |", "|" + " --- |" * 5]
    for f in found:
        report = f"[report]({f.report})" if f.report else "not found"
        row = (f"{f.library} {f.version}", f.title, f"`{f.claim}`", report, f.mended or "-")
        lines.append(f"| {' | '.join(row)} |")
    for library, own in groupby(found, lambda fault: fault.library):
        lines += ["", f"## {library}"]
        for f in own:
            lines += ["", f"### {f.title}", "", f.what, ""]
            lines += [f"- smallest case: {f.case}", f"- effect: {f.effect}"]
            lines += [f"- found by `{f.claim}` in {library} {f.version}"]
            lines += [f"- report: {f.report or 'none was found'}"]
            lines += [f"- gone in {f.mended}"] if f.mended else []
            lines += ["", "```python", f"# {f.script}", f.code.rstrip("\n"), "```"]
    return "\n".join(lines) + "\n"
