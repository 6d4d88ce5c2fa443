"""Time to draw a case, compared with the times of the subject and of the reference.

Usage: python bench/drawing.py [--cases 300] [--seed 0]

Prints medians in milliseconds over the agreement cases in float32.  `draw` is Hypothesis's time
for a case, from the end of one example to the start of the next, in a test that does nothing else.
`between` is the same in a test that also calls the subject and the reference, which leave the
processor's caches cold.  `arrays` is the time to make the arrays of the case from its seed.
`subject` is one call of torch.nn, with the construction of the module.  `reference` is the
computation of the Balls.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import hypothesis
import torch
from common import plain_settings
from hypothesis import given

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.oracle import expected
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.subjects.protocol import Subject
from gatewise.reference.classes import DROP_IN


def _milliseconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def measure(like: str, number: int, seed: int) -> dict[str, float]:
    """Median milliseconds of each column of the table."""
    spent: dict[str, list[float]] = defaultdict(list)
    subject = Subject(f"torch.nn.{like}", like, getattr(torch.nn, like))
    seeded = hypothesis.seed(seed)
    drawn = given(CATALOGUE["equals_reference"].strategy(like, "float32"))
    left = time.perf_counter()

    @seeded
    @plain_settings(number)
    @drawn
    def nothing(case: Case) -> None:
        nonlocal left
        spent["draw"].append(1e3 * (time.perf_counter() - left))
        left = time.perf_counter()

    @seeded
    @plain_settings(number)
    @drawn
    def one(case: Case) -> None:
        nonlocal left
        spent["between"].append(1e3 * (time.perf_counter() - left))
        arrays = lambda: (case.weight_arrays, case.input_array, case.state_arrays)  # noqa: E731
        spent["arrays"].append(_milliseconds(arrays))
        spent["subject"].append(_milliseconds(lambda: subject.run(case)))
        spent["reference"].append(_milliseconds(lambda: expected(case)))
        left = time.perf_counter()

    nothing()
    left = time.perf_counter()
    one()
    return {name: median(values) for name, values in spent.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "LSTM with projections")  # about speed alone
    print("median ms    draw  between  arrays  subject  reference")
    for like in DROP_IN:
        row = measure(like, args.cases, args.seed)
        columns = {"draw": 6, "between": 7, "arrays": 6, "subject": 7, "reference": 9}
        print(
            f"{like:9}", *(f"{row[name]:{width}.2f}" for name, width in columns.items()), sep="  "
        )


if __name__ == "__main__":
    main()
