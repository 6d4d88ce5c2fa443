"""The command `gatewise merge`: the records of several runs in one file, with one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .check import page_line
from .statuses import ERROR, GOOD, USAGE


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "merge",
        help="put the records of several runs into one file",
        description="Reads the records of several runs, of the jobs of a matrix for instance, and "
        "writes one file with all of them, and the page of both where the extra `report` is "
        "installed. A line that cannot be used is named; the others are used.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a records.jsonl")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Merge the files; returns the exit status."""
    from gatewise.properties.running.record_file import read, write

    runs, problems = read(given.files)
    for problem in problems:
        print(f"gatewise merge: {problem}", file=sys.stderr)
    if not runs:
        print("gatewise merge: no file has records that can be used", file=sys.stderr)
        return USAGE
    try:
        path = write(given.output, runs)
    except OSError as error:
        print(
            f"gatewise merge: --output {str(given.output)!r}: {error.strerror or error}; expected "
            "a folder that can be written",
            file=sys.stderr,
        )
        return USAGE
    print(page_line(path))
    print(f"{path}: {sum(len(r.records) for r in runs)} records of {len(runs)} runs")
    return ERROR if problems else GOOD
