"""The command `gatewise identify`: the conventions of an implementation, found by probing it."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .statuses import FOUND, GOOD, USAGE


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    one = commands.add_parser(
        "identify",
        help="find an implementation's conventions by probing it",
        description="Prints what the subject is (its kind, its order of gates, its biases and "
        "matrices, the form of a GRU) and the adapter that says so; refuses, with status "
        f"{FOUND}, where the probes cannot tell.",
    )
    one.add_argument("subject", metavar="SUBJECT", help="pkg.mod:Name or path/to/file.py:Name")
    one.add_argument("--like", metavar="CLASS", help="the class of torch.nn that it stands in for")
    one.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what was found; returns the exit status."""
    from gatewise.properties.subjects.adapting.identify import identify
    from gatewise.properties.subjects.loading import SubjectError, find
    from gatewise.reference.classes import DROP_IN

    if given.like is not None and given.like not in DROP_IN:
        print(
            f"gatewise: --like {given.like!r}: expected one of {', '.join(DROP_IN)}",
            file=sys.stderr,
        )
        return USAGE
    try:
        target = find(given.subject)
    except SubjectError as error:
        print(f"gatewise: {error}", file=sys.stderr)
        return USAGE
    try:
        found = identify(target, given.subject, given.like)
    except SubjectError as error:
        print(f"gatewise: {error}", file=sys.stderr)
        return FOUND
    print(found.sentence)
    print("drop-in for torch.nn" if found.drop_in else found.text())
    return GOOD
