"""Compares the records of two runs, property by property: python tools/compare_records.py A B.

A and B are files of records, one JSON line each, as `--report DIR` writes to DIR/records.jsonl.
Statuses, numbers of cases and of comparisons, and the worst error/bound must be equal; times and
messages may differ.  Prints what differs and the counts; the status is 1 where something differs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

COMPARED = (
    "status",
    "cases",
    "comparisons",
    "elements",
    "unbounded",
    "vacuous",
    "discriminating",
    "excused",
    "unoffered",
    "worst",
    "case",
)

Records = dict[str, dict[str, Any]]


def read(path: Path) -> Records:
    """Id → record, of a file; the id is that of a test: `torch.nn.LSTM-cpu-float32-time_split`."""
    records = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {"-".join(r[n] for n in ("subject", "device", "precision", "name")): r for r in records}


def differences(before: Records, after: Records) -> list[str]:
    """A line for each record that is in one file alone, and for each value that differs."""
    lines = [f"only in the first: {id_}" for id_ in before if id_ not in after]
    lines += [f"only in the second: {id_}" for id_ in after if id_ not in before]
    for id_ in before.keys() & after.keys():
        for name in COMPARED:
            a, b = before[id_][name], after[id_][name]
            if a != b:
                lines.append(f"{id_}: {name} was {a!r}, is {b!r}")
    return sorted(lines)


def main() -> int:
    """Compare two files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    args = parser.parse_args()
    before, after = read(args.before), read(args.after)
    lines = differences(before, after)
    print("\n".join(lines))
    for label, records in (("first", before), ("second", after)):
        statuses = Counter(r["status"] for r in records.values())
        counts = ", ".join(f"{n} {status}" for status, n in sorted(statuses.items()))
        cases = sum(r["cases"] for r in records.values())
        compared = sum(r["comparisons"] for r in records.values())
        print(f"{label}: {len(records)} records ({counts}), {cases} cases, {compared} comparisons")
    print(f"{len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
