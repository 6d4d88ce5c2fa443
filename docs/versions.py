"""docs/versions.md: what runs on several versions of torch found.

Usage: python docs/versions.py RECORDS.jsonl [...]

Reads the records of runs on the built-in subjects, one file for each version of torch, and puts
what the page needs into docs/versions.json.  A version that is there already is replaced.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from packaging.version import Version

from gatewise.properties.running.known_issues import known_issues
from gatewise.properties.running.record_file import read
from gatewise.properties.running.records import KNOWN_ISSUE

DATA = Path(__file__).resolve().parent / "versions.json"

_HEAD = """\
# Versions of torch

`python docs/make.py` makes this page from `docs/versions.json`, which `python docs/versions.py` \
writes from the records of runs. Do not edit it.

Each run puts every property to the built-in subjects on the CPU: the classes of torch.nn, those \
of `gatewise.impl`, and torch.nn's functions that pack and pad.

## The runs

A property that holds but for a [known issue](known-issues.md) has this status. What a version \
of torch does not have, or says that it cannot do, is *not offered*. `error/bound` is the largest \
error of a result, over its derived bound. It is at most 1 where every result is right. A run of a \
later commit of Gatewise has more properties."""

_ISSUES = """\
## Known issues by version

A number says for how many properties, in each precision, the witness of a known issue failed in \
the run. No number means that no witness failed: the properties that the entry names held, or \
could not be asked of this version. So a row shows in which versions a fault exists, and where it \
was mended."""


def distilled(path: Path) -> tuple[str, dict[str, Any]]:
    """The version of torch of a file of records, and what the page needs of them."""
    (run, *_), _ = read([path])
    environment, options = run.head["environment"], run.head["run"]
    worst: dict[str, float] = {}
    issues: Counter[str] = Counter()
    for r in run.records:
        worst[r.precision] = max(worst.get(r.precision, 0.0), round(r.worst, 3))
        if r.status == KNOWN_ISSUE:
            issues.update({part.partition(" (http")[0] for part in _entries(r.message)})
    return environment["torch"].partition("+")[0], {
        "python": environment["python"],
        "numpy": environment["numpy"],
        "seed": options["seed"],
        "profile": options["profile"],
        "statuses": dict(Counter(r.status for r in run.records)),
        "comparisons": sum(r.comparisons for r in run.records),
        "elements": sum(r.elements for r in run.records),
        "worst": dict(sorted(worst.items())),
        "issues": dict(sorted(issues.items())),
    }


def _entries(message: str) -> list[str]:
    """The lines of known issues in a message: each begins with its name and its link."""
    parts = message.split("; ")
    return [part for part in parts if " (http" in part]


def page() -> str:
    """The page, from docs/versions.json."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    versions = sorted(data, key=Version)
    columns = ("torch", "properties × precisions", "hold", "known issues", "not offered")
    more = ("falsified", "comparisons", "error/bound")
    lines = [_HEAD, "", f"| {' | '.join(columns + more)} |", "|" + " --- |" * 8]
    for version in versions:
        lines.append(f"| {' | '.join(_run(version, data[version]))} |")
    own = {(d["python"], d["numpy"], d["seed"], d["profile"]) for d in data.values()}
    for python, numpy, seed, profile in sorted(own):
        of = [v for v in versions if data[v]["python"] == python and data[v]["numpy"] == numpy]
        made = f"Python {python}, NumPy {numpy}, seed {seed}, profile {profile}"
        lines += ["", f"torch {', '.join(of)}: {made}."]
    lines += ["", _ISSUES, "", f"| known issue | report | {' | '.join(versions)} |"]
    lines.append("|" + " --- |" * (2 + len(versions)))
    links = {issue.name: issue.link for issue in known_issues()}
    for name in sorted({n for d in data.values() for n in d["issues"]}):
        counts = [str(data[v]["issues"].get(name, "")) for v in versions]
        row = (f"[{name}](known-issues.md#{name})", links[name], *counts)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _run(version: str, run: dict[str, Any]) -> list[str]:
    counts = Counter(run["statuses"])
    left = sum(counts.values()) - counts["holds"] - counts["known issue"]
    wrong = sum(counts[s] for s in ("falsified", "flaky", "vacuous", "crashed", "error"))
    numbers = [sum(counts.values()), counts["holds"], counts["known issue"], left - wrong, wrong]
    worst = ", ".join(f"{p} {w:.3f}" for p, w in run["worst"].items())
    return [version, *map(str, numbers), f"{run['comparisons']:,}", worst]


def main() -> int:
    """Put the runs into docs/versions.json."""
    data = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {}
    data.update(distilled(Path(path)) for path in sys.argv[1:])
    ordered = {version: data[version] for version in sorted(data, key=Version)}
    DATA.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
