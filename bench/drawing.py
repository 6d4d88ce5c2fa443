"""What drawing a case costs, beside the subject's own time and the reference's.

Usage: python bench/drawing.py [--cases 300] [--seed 0]

Medians in milliseconds over the agreement cases in float32.  `draw` is Hypothesis's time for a
case, from the end of one example to the start of the next; `arrays` is what making its arrays from
the seed costs, `subject` one call of torch.nn with its construction, `reference` the Balls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import hypothesis
import torch
from common import plain_settings
from hypothesis import given

from properties.catalogue import CATALOGUE
from properties.oracle import expected
from properties.strategies.cases import Case
from properties.subjects.protocol import KINDS, Subject


def _milliseconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def measure(kind: str, number: int, seed: int) -> dict[str, float]:
    """Median milliseconds by what they were spent on."""
    spent: dict[str, list[float]] = {"draw": [], "arrays": [], "subject": [], "reference": []}
    subject = Subject(f"torch.nn.{kind}", kind, getattr(torch.nn, kind))
    left = time.perf_counter()

    @hypothesis.seed(seed)
    @plain_settings(number)
    @given(CATALOGUE["equals_reference"].strategy(kind, "float32"))
    def one(case: Case) -> None:
        nonlocal left
        spent["draw"].append(1e3 * (time.perf_counter() - left))
        arrays = lambda: (case.weight_arrays, case.input_array, case.state_arrays)  # noqa: E731
        spent["arrays"].append(_milliseconds(arrays))
        spent["subject"].append(_milliseconds(lambda: subject.run(case)))
        spent["reference"].append(_milliseconds(lambda: expected(case)))
        left = time.perf_counter()

    one()
    return {name: median(values) for name, values in spent.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("median ms    draw  arrays  subject  reference")
    for kind in KINDS:
        row = measure(kind, args.cases, args.seed)
        print(
            f"{kind:9}  {row['draw']:6.2f}  {row['arrays']:6.2f}  {row['subject']:7.2f}"
            f"  {row['reference']:9.2f}"
        )


if __name__ == "__main__":
    main()
