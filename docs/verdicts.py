"""docs/verdicts.md: the verdicts on cells and layers of other libraries.

Usage: python docs/verdicts.py LIBRARY==VERSION RECORDS.jsonl [...]

Reads the records of runs on subjects of one library, and puts what the page needs into
docs/verdicts.json.  A subject that is there already is replaced.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatewise.properties.levels import LEVELS
from gatewise.properties.reporting.verdicts import verdict
from gatewise.properties.running.record_file import read
from gatewise.properties.running.records import Record

DATA = Path(__file__).resolve().parent / "verdicts.json"

_HEAD = """\
# Verdicts on other libraries

`python docs/make.py` makes this page from `docs/verdicts.json`, which `python docs/verdicts.py` \
writes from the records of runs. Do not edit it.

Each row is one run of `gatewise check` on a class of the library, through its adapter in \
`gatewise.peers`. What an adapter states as not offered is not counted. The adapters say what \
that is, and why. A departure from the contract of torch.nn need not be a fault: a library may \
document something else. [found.md](found.md) has the faults, each with a script."""


def distilled(library: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Subject → what the page needs, for each subject of a file of records."""
    (run, *_), _ = read([path])
    environment, options = run.head["environment"], run.head["run"]
    name, _, version = library.partition("==")
    for subject in dict.fromkeys(r.subject for r in run.records):
        rows = [r for r in run.records if r.subject == subject]
        yield (
            subject,
            {
                "library": name,
                "version": version,
                "torch": environment["torch"].partition("+")[0],
                "profile": options["profile"],
                "seed": options["seed"],
                "precisions": sorted({r.precision for r in rows}),
                "levels": {
                    level: verdict(level, [r for r in rows if r.level == level]) for level in LEVELS
                },
                "shapes": _shapes(rows),
                "families": _families(rows),
            },
        )


def _shapes(rows: list[Record]) -> str:
    """The shapes of all cases, where the subject states few."""
    said = (re.search(r"all cases have the shape (\([\d, ]+\))", r.message) for r in rows)
    found = sorted({match[1] for match in said if match})
    return f", cases of the shapes {' and '.join(found)} alone" if found else ""


def _families(rows: list[Record]) -> dict[str, list[int]]:
    """Family → how many properties × precisions do not hold, of how many that were put."""
    found: dict[str, list[int]] = {}
    for r in rows:
        if r.status not in ("unsupported", "not run"):
            own = found.setdefault(r.family, [0, 0])
            own[0] += not r.passed
            own[1] += 1
    return found


def page() -> str:
    """The page, from docs/verdicts.json."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    lines = [_HEAD]
    for library in sorted({d["library"] for d in data.values()}, key=str.lower):
        own = {s: d for s, d in data.items() if d["library"] == library}
        lines += ["", f"## {library}", ""]
        lines += dict.fromkeys(_made(d) for d in own.values())
        lines += [
            "",
            f"| subject | {' | '.join(LEVELS)} | families where something does not hold |",
        ]
        lines.append("|" + " --- |" * (2 + len(LEVELS)))
        for subject in sorted(own):
            lines.append(f"| {' | '.join(_row(subject, own[subject]))} |")
    return "\n".join(lines) + "\n"


def _made(own: dict[str, Any]) -> str:
    """How a run was made, in a line."""
    return (
        f"{own['library']} {own['version']}, torch {own['torch']}, {', '.join(own['precisions'])}, "
        f"profile {own['profile']}, seed {own['seed']}{own.get('shapes', '')}."
    )


def _row(subject: str, own: dict[str, Any]) -> list[str]:
    wrong = [f"{family} {n} of {of}" for family, (n, of) in own["families"].items() if n]
    return [f"`{subject}`", *(own["levels"][level] for level in LEVELS), ", ".join(wrong) or "none"]


def main() -> int:
    """Put the runs into docs/verdicts.json."""
    data = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {}
    library, *paths = sys.argv[1:]
    for path in paths:
        data.update(distilled(library, Path(path)))
    ordered = {subject: data[subject] for subject in sorted(data)}
    DATA.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
