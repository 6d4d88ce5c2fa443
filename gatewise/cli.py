"""The command `gatewise`; `python -m gatewise` is the same."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from .commands import check, compare, identify, merge, new_kind
from .commands.statuses import ERROR, INTERRUPTED
from .commands.variables import set_variables

COMMANDS = (check, compare, merge, identify, new_kind)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    set_variables()  # no line above imports NumPy or torch
    parser = argparse.ArgumentParser(
        prog="gatewise", description="Verification of recurrent networks by properties."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for module in COMMANDS:
        module.add_to(commands)
    given = parser.parse_args(arguments)
    try:
        status: int = given.run(given)
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("gatewise: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:  # Python's own status would be 1, which says that a subject does not hold
        traceback.print_exc()
        print(
            "gatewise: an error inside Gatewise, which says nothing about a subject; please report "
            "it as a bug of Gatewise, with this text",
            file=sys.stderr,
        )
        return ERROR
    return status
