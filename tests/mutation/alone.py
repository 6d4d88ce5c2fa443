"""Mutants that the properties of one family alone see: what a suite without it would let pass.

Usage: python -m tests.mutation.alone [FAMILY ...] [--jobs 2]

Puts the mutant of each family to every property at the profile `standard`, and prints which
families see it.  The status is 1 where that is not its own family alone.
"""

from __future__ import annotations

import argparse
import sys

from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import plans

from .all import MUTANTS
from .kill import PRECISIONS
from .run import parallel

#: Family of properties → the mutant that it alone sees.
ALONE = {
    "agreement": "GRUCell-hidden-past-128",
    "composition": "GRU-returned-state-read-twice",
    "packing": "GRU-sorted-indices-lost",
    "dropout": "GRU-not-scaled",
    "special_values": "GRUCell-one-scale-for-the-batch",
    "parameters": "GRUCell-initial-bound-rounded-up",
    "interface": "GRUCell-graph-without-grad-mode",
    "modes": "GRUCell-wrong-under-autocast",
    "life_cycle": "GRUCell-copy-shares-weights",
    "weights": "GRUCell-initial-weights-in-the-middle",
    "determinism": "GRUCell-weights-of-another-generator",
    "conduct": "GRUCell-deterministic-for-all",
    "compilation": "GRU-wrong-when-compiled",
    "memory": "GRU-quadratic-memory",
    "paths": "GRUCell-wrong-with-several-threads",
    "rejection": "GRU-wide-input-cut",
    "gradients": "RNNCell-relu-slope-at-zero",
    "autograd": "GRU-dense-upstream-only",
    "transforms": "GRUCell-second-derivative-wrong",
}


def seen(name: str) -> tuple[str, dict[str, list[str]]]:
    """Family → its properties that do not hold of a mutant in some precision."""
    found: dict[str, list[str]] = {}
    for plan in plans([MUTANTS[name].subject], ["cpu"], PRECISIONS):
        names = found.get(plan.prop.family, [])
        if plan.prop.name not in names and not run(plan, shrink=False).passed:
            found[plan.prop.family] = [*names, plan.prop.name]
    return name, found


def main() -> int:
    """Run, print, and return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(ALONE))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    for family in args.families:
        if family not in ALONE:
            parser.error(f"FAMILY {family!r}: expected one of {', '.join(ALONE)}")
    wrong = 0
    calls = [(ALONE[f],) for f in args.families or ALONE]
    for name, found in parallel(seen, calls, args.jobs):
        own = {mutant: family for family, mutant in ALONE.items()}[name]
        wrong += list(found) != [own]
        by = "; ".join(f"{f} ({', '.join(names)})" for f, names in found.items())
        print(f"{own}: {name} is seen by {by or 'none'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
