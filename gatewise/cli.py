"""The command `gatewise`; `python -m gatewise` is the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gatewise.properties.subjects.adapting.identify import identify
from gatewise.properties.subjects.loading import SubjectError, find
from gatewise.reference.classes import DROP_IN

#: Exit statuses: as pytest has them, 4 is a usage error.
FOUND, REFUSED, USAGE = 0, 1, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="gatewise", description="Verification of recurrent networks by properties."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "identify",
        help="find an implementation's conventions by probing it",
        description="Prints what the subject is (its kind, its order of gates, its biases and "
        "matrices, the form of a GRU) and the adapter that says so; refuses, with status "
        f"{REFUSED}, where the probes cannot tell.",
    )
    one.add_argument("subject", metavar="SUBJECT", help="pkg.mod:Name or path/to/file.py:Name")
    one.add_argument(
        "--like", choices=tuple(DROP_IN), metavar="CLASS", help=f"one of {', '.join(DROP_IN)}"
    )
    given = parser.parse_args(arguments)
    try:
        target = find(given.subject)
    except SubjectError as error:
        print(f"gatewise: {error}", file=sys.stderr)
        return USAGE
    try:
        found = identify(target, given.subject, given.like)
    except SubjectError as error:
        print(f"gatewise: {error}", file=sys.stderr)
        return REFUSED
    print(found.sentence)
    print("drop-in for torch.nn" if found.drop_in else found.text())
    return FOUND
