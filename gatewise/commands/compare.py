"""The command `gatewise compare`: what differs between the records of two runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .statuses import FOUND, GOOD, USAGE


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "compare",
        help="say what differs between the records of two runs",
        description="Compares two runs: two commits, two versions of torch, CPU and CUDA. Names "
        "each status that changed, each error/bound that moved by more than chance, and each "
        f"family whose calls became slower. The exit status is {FOUND} where something is worse.",
    )
    parser.add_argument("before", type=Path, metavar="A", help="records.jsonl of the first run")
    parser.add_argument("after", type=Path, metavar="B", help="records.jsonl of the second run")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what differs; returns the exit status."""
    from gatewise.properties.reporting.comparing import compare
    from gatewise.properties.reporting.printable import printable
    from gatewise.properties.running.record_file import read

    sides = []
    for path in (given.before, given.after):
        runs, problems = read([path])
        for problem in problems:
            print(f"gatewise compare: {problem}", file=sys.stderr)
        if not runs:
            print(f"gatewise compare: {path} has no records that can be used", file=sys.stderr)
            return USAGE
        sides.append(runs)
    for name in ("torch", "processor", "gatewise"):
        values = [", ".join({str(r.head["environment"].get(name)): 0 for r in s}) for s in sides]
        if values[0] != values[1]:
            print(printable(f"{name}: {values[0]}, now {values[1]}"))
    first, second = ([r for run in side for r in run.records] for side in sides)
    found = compare(first, second)
    for line in found.lines():
        print(printable(line))
    print(
        f"{len(first)} and {len(second)} records: {len(found.worse)} worse, "
        f"{len(found.better)} better, {len(found.others)} other differences"
    )
    return FOUND if found.worse else GOOD
