"""Every gap that the documentation lists, alone and in pairs, on torch.nn.LSTM and torch.nn.GRU.

Usage: python -m tests.subjects.gap_run [--cases 2] [--like LSTM] [--report FILE]

A gap alone is run with all cases of the profile `quick` in every precision of a CPU.  A pair is run
with --cases cases of each property, in float32, and in float64 where float32 is a gap.  Each set of
gaps is written to the report when it is done, and is not run again.  Exits 1 if a property gives an
error of Gatewise's, or falsifies the subject.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from gatewise.properties.precisions import PLAIN
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import plans
from gatewise.properties.running.records import VACUOUS
from gatewise.properties.subjects.capabilities import options_of

from .test_gaps import GAPS, stating

#: The classes whose gaps are stated.
LIKES = ("LSTM", "GRU")


def sets_of(like: str) -> list[tuple[str, ...]]:
    """The gaps that a class may have, alone and in pairs."""
    missing = {"num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"}
    missing = (missing | {"nonlinearity"}) - {*options_of(like)}
    gaps = [g for g in GAPS if g not in missing]
    return [*((g,) for g in gaps), *combinations(gaps, 2)]


def statuses(like: str, gaps: tuple[str, ...], cases: int) -> tuple[dict[str, int], list[str]]:
    """How many properties have each status, and a line for each that is not as it should be."""
    alone = len(gaps) == 1
    precisions = tuple(PLAIN) if alone else ("float64",) if "float32" in gaps else ("float32",)
    counts: dict[str, int] = {}
    wrong = []
    for plan in plans([stating(getattr(nn, like), *gaps)], ["cpu"], precisions):
        record = run(plan, profile="quick", seed=0, most=None if alone else cases, shrink=False)
        counts[record.status] = counts.get(record.status, 0) + 1
        if not record.passed and record.status != VACUOUS:
            wrong.append(f"{record.name} in {record.precision}: {record.status}: {record.message}")
    return counts, wrong


def main() -> int:
    """Run what the report does not have yet; print a line for each set of gaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--like", choices=LIKES, help="this class alone")
    parser.add_argument("--report", type=Path, default=Path("gaps.jsonl"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    lines = args.report.read_text().splitlines() if args.report.exists() else []
    done = {(row["like"], *row["gaps"]): row["wrong"] for row in map(json.loads, lines)}
    for like in [args.like] if args.like else LIKES:
        for gaps in sets_of(like):
            if (like, *gaps) in done:
                continue
            start = time.perf_counter()
            counts, wrong = statuses(like, gaps, args.cases)
            done[(like, *gaps)] = wrong
            seconds = round(time.perf_counter() - start, 1)
            row = {"like": like, "gaps": gaps, "counts": counts, "wrong": wrong, "seconds": seconds}
            with args.report.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            print(like, *gaps, counts, f"{seconds} s", *wrong, sep="  ", flush=True)
    bad = sum(bool(wrong) for wrong in done.values())
    print(f"{len(done)} sets of gaps; {bad} with an error or a falsified property")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
