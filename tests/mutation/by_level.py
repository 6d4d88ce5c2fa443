"""Which mutants need claims at hardening.

Usage: python -m tests.mutation.by_level --report DIR [--jobs 2]

docs/strength.jsonl has the property that killed each mutant first.  Where that is a claim at
`hardening`, this run puts all claims at values and contract to the mutant.  DIR/by_level.jsonl has
the verdicts as they come, and the same command goes on from there.  When all are there, each record
of docs/strength.jsonl gets `up_to_contract`: the claim below hardening that kills the mutant, and
"" where there is none.  Then run python docs/make.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.levels import CONTRACT, HARDENING
from gatewise.properties.running.profiles import EXAMPLES

from .run import Report, hunt, parallel
from .strength import RECORD, SUITE, lines_of


def level_of(record: dict[str, object]) -> str:
    """The level of the claim that killed a mutant first; "" where none did."""
    by = record["checks"][SUITE]["by"]  # type: ignore[index]
    return CATALOGUE[by].level if by else ""


def main() -> int:
    """Run, print, write the record, and return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="folder for the verdicts")
    parser.add_argument("--profile", choices=sorted(EXAMPLES), default="quick")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    head, *records = lines_of(RECORD)
    report = Report(args.report, resume=True)
    found = {v.name.removeprefix("mutant."): v.killed_by for v in report.found}
    names = [r["mutant"] for r in records if level_of(r) == HARDENING and r["mutant"] not in found]
    for verdict in parallel(hunt, [(n, args.profile, 0, CONTRACT) for n in names], args.jobs):
        name = verdict.name.removeprefix("mutant.")
        report.write(asdict(verdict))
        found[name] = verdict.killed_by
        print(f"{name:48} {verdict.seconds:6.1f} s  {verdict.killed_by or '-'}", flush=True)
    if missing := [n for n in names if n not in found]:
        print(f"no record is written: {len(missing)} have no verdict, such as {missing[0]}")
        return 1
    head["by_level"] = args.profile
    for record in records:
        if level_of(record) == HARDENING:
            record["up_to_contract"] = found[record["mutant"]]
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in (head, *records))
    RECORD.write_text(text, encoding="utf-8", newline="\n")
    needed = sum(not by for by in found.values())
    print(f"{needed} of {len(records)} mutants need claims at hardening; now python docs/make.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
