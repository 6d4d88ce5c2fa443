"""Search for false alarms: families of properties on every correct subject, several seeds.

Usage: python bench/soundness.py [--seeds 3] [--examples 420] [--families agreement ...]

Counts array comparisons and prints the largest error / bound for each seed and precision.  Exits 1
if any property does not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

from common import torch  # sets one thread

from gatewise.properties.precisions import PLAIN
from gatewise.properties.running import engine
from gatewise.properties.running.plans import plans
from gatewise.properties.running.records import Record
from gatewise.properties.subjects.builtin import BUILTIN

PRECISIONS = tuple(PLAIN)


def campaign(seed: int, families: list[str]) -> list[Record]:
    """Run the properties of the families on the built-in subjects; return the records."""
    return [
        engine.run(plan, profile="soundness", seed=seed)
        for plan in plans(BUILTIN.values(), ["cpu"], PRECISIONS)
        if plan.prop.family in families
    ]


def main() -> int:
    """Print the table.  Returns 1 if any property did not hold, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=420)
    parser.add_argument("--families", nargs="+", default=["agreement"])
    args = parser.parse_args()
    engine.EXAMPLES["soundness"] = args.examples
    print(f"torch {torch.__version__}; families {', '.join(args.families)}")
    print("seed  precision  array comparisons     numbers  largest error/bound  exceeded")
    total = 0
    failed: list[Record] = []
    for seed in range(args.seeds):
        rows: dict[str, list[Record]] = defaultdict(list)
        for record in campaign(seed, args.families):
            rows[record.precision].append(record)
        for precision, records in rows.items():
            arrays = sum(r.comparisons for r in records)
            wrong = [r for r in records if not r.passed]
            total += arrays
            failed += wrong
            print(
                f"{seed:4}  {precision:9}  {arrays:17}  {sum(r.elements for r in records):10}"
                f"  {max(r.worst for r in records):19.3f}  {len(wrong):8}",
                flush=True,
            )
    print(f"{total} array comparisons; {len(failed)} properties not held")
    for record in failed:
        print(record.subject, record.precision, record.name, record.message, record.case)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
