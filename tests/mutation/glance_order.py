"""Measures in which order a glance sees most faults soonest: writes glance_order.json.

Usage: python -m tests.mutation.glance_order

How many mutants a property was the first to see is read from docs/strength.jsonl.  What it costs is
the time of a glance at it, the mean over subclasses of torch.nn.LSTM, GRU and GRUCell.  The file
has both, in the order of mutants a second.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import mean

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from gatewise.properties.running.engine import run
from gatewise.properties.running.glance import FIRST, GLANCE, ORDER, in_rounds
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.subjects.loading import load_subject

from .strength import RECORD, SUITE, lines_of

_FILE = """
import torch

class Own{like}(torch.nn.{like}):
    pass
"""


def seconds(plan: Plan) -> float:
    """The time of a glance at a property."""
    start = time.perf_counter()
    run(plan, seed=1, most=GLANCE, shrink=False)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and write the file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    seen = Counter(r["checks"][SUITE]["by"] for r in lines_of(RECORD)[1:])
    costs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for like in ("LSTM", "GRU", "GRUCell"):
            file = Path(folder) / f"own_{like}.py"
            file.write_text(_FILE.format(like=like), encoding="utf-8")
            for plan in in_rounds(plans([load_subject(f"{file}:Own{like}", like)])):
                own = costs.setdefault(plan.prop.name, {})
                if plan.prop.family != FIRST and like not in own:
                    own[like] = seconds(plan)
    found = [
        {"property": name, "mutants": seen[name], "milliseconds": round(1e3 * mean(own.values()))}
        for name, own in costs.items()
        if own and seen[name]
    ]
    found.sort(key=lambda one: one["mutants"] / max(1, one["milliseconds"]), reverse=True)
    lines = ",\n".join(f"  {json.dumps(one)}" for one in found)
    ORDER.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"wrote {ORDER.name}: {len(found)} properties")


if __name__ == "__main__":
    main()
