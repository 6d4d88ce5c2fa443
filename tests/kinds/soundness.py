"""The largest error/bound of the published kinds, each in its two forms of PyTorch.

Usage: python -m tests.kinds.soundness [--seeds 3] [--profile standard] [--names TEXT]
       [--families agreement gradients]

Every form, as a cell and as a layer, is put to the families in float64, float32 and bfloat16.
A line for each kind has the comparisons and the largest error/bound of each family and precision.
The status is 1 where one is above 1, or a property does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import plans
from gatewise.properties.subjects.loading import as_subject
from gatewise.properties.subjects.protocol import Subject
from gatewise.reference.kinds import KINDS

from .modules import cell_of, layer_of
from .published_in_torch import FORMS
from .scans import GATES, SCANS, scanned

PRECISIONS = ("float64", "float32", "bfloat16")
FAMILIES = ("agreement", "gradients")


def subjects(name: str) -> Iterator[Subject]:
    """Both forms of a kind, as cells and as layers, and layers by each parallel scan of it."""
    for k, form in enumerate(FORMS[name]):
        yield as_subject(cell_of(KINDS[name], form, f"{name}Cell{k}"), f"{name}Cell")
        yield as_subject(layer_of(KINDS[name], form, f"{name}{k}"), name)
    for scan in SCANS.values() if name in GATES else ():
        yield as_subject(scanned(name, scan), name)


def main() -> int:
    """Run, print, and return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--names", default="", help="only those whose name has this text")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    args = parser.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    for name in FORMS:
        if args.names not in name:
            continue
        compared: dict[str, int] = defaultdict(int)
        worst: dict[tuple[str, str], float] = defaultdict(float)
        for subject in subjects(name):
            found = plans([subject], ["cpu"], list(PRECISIONS))
            for plan in (p for p in found if p.prop.family in args.families):
                for seed in range(args.seeds):
                    record = run(plan, profile=args.profile, seed=seed)
                    key = record.family, record.precision
                    compared[record.family] += record.comparisons
                    worst[key] = max(worst[key], record.worst or 0.0)
                    if not record.passed:
                        wrong += 1
                        print(f"{record.id} seed {seed}: {record.message}", flush=True)
        parts = [
            f"{family} {compared[family]} ("
            + ", ".join(f"{worst[family, p]:.3f}" for p in PRECISIONS)
            + ")"
            for family in args.families
        ]
        print(f"{name:14} {'; '.join(parts)}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
