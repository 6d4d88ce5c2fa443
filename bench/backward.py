"""Time of a gradient: NumPy BPTT relative to the NumPy forward pass, and Balls to arrays.

Usage: python bench/backward.py [--cases 200] [--repeats 5] [--seed 0] [--kinds LSTM]

Prints medians in milliseconds over the agreement cases in float32.  `forward` and `BPTT` are times
of the reference on float64 arrays, with upstream gradients on every result; the time of BPTT
includes its own forward pass.  `Balls` is the same BPTT on Balls, with the radius of every
gradient.  Each time is the shortest of several repeats, and the repeats of the three alternate.
Each ratio is computed from the times of one case.  Exits 1 if a median ratio over all kinds is
above 4.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from common import draw

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.oracle import expected_gradients, upstream_arrays
from gatewise.reference import concat_cells
from gatewise.reference.backward import cell_backward, layer_backward
from gatewise.reference.classes import ALL
from gatewise.reference.concat_backward import concat_backward, tag_backward
from gatewise.reference.kinds import KINDS
from gatewise.reference.steps import cell
from gatewise.reference.tagger import tag
from gatewise.reference.unroll import layer

ASKED = 4.0


def calls(case: Case) -> list[Callable[[], Any]]:
    """Functions that run the forward pass, BPTT, and BPTT on Balls of a case."""
    w, x, state = case.weight_arrays, case.input_array, case.state_arrays
    d, o = upstream_arrays(case), case.options

    def balls() -> None:
        for ball in expected_gradients(case, d).values():
            ball.radius  # noqa: B018

    if KINDS[case.kind].words:
        ids = x.astype(np.int64)
        zeros = (np.zeros((1, case.hidden_size)),) * 2
        return [
            lambda: tag(w, w["word_embeddings.weight"][ids], zeros),
            lambda: tag_backward(w, ids, d),
            balls,
        ]
    if KINDS[case.kind].concat:
        return [
            lambda: concat_cells.step(case.kind, w, x, state),
            lambda: concat_backward(case.kind, w, x, state, d),
            balls,
        ]
    if case.cell:
        return [lambda: cell(o, w, x, state), lambda: cell_backward(o, w, x, state, d), balls]
    form = (case.lengths, case.batch_first)
    return [
        lambda: layer(o, w, x, state, *form),
        lambda: layer_backward(o, w, x, state, d, *form),
        balls,
    ]


def shortest(functions: list[Callable[[], Any]], repeats: int) -> list[float]:
    """The shortest time of each function in milliseconds; the functions are called in turn."""
    times = [float("inf")] * len(functions)
    for _ in range(repeats):
        for k, function in enumerate(functions):
            start = time.perf_counter()
            function()
            times[k] = min(times[k], 1e3 * (time.perf_counter() - start))
    return times


def main() -> int:
    """Print the table.  Returns 1 if a median ratio is above `ASKED`, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", nargs="+", default=[*ALL], choices=[*ALL])
    args = parser.parse_args()
    print(f"asked: both ratios at most {ASKED:g} in the median")
    print("class                forward    BPTT   Balls  BPTT/forward  Balls/BPTT")
    every: list[list[float]] = []
    for like in args.classes:
        cases = draw(like, "float32", args.cases, args.seed)
        with np.errstate(all="ignore"):
            times = [shortest(calls(case), args.repeats) for case in cases]
        every += times
        print(row(like, times), flush=True)
    print(row("all", every))
    return 1 if max(ratios(every)) > ASKED else 0


def ratios(times: list[list[float]]) -> tuple[float, float]:
    """Medians of BPTT / forward and of Balls / BPTT."""
    return median(t[1] / t[0] for t in times), median(t[2] / t[1] for t in times)


def row(name: str, times: list[list[float]]) -> str:
    """A line of the table."""
    milliseconds = "  ".join(f"{median(t[k] for t in times):6.3f}" for k in range(3))
    first, second = ratios(times)
    return f"{name:19}  {milliseconds}  {first:12.2f}  {second:10.2f}"


if __name__ == "__main__":
    sys.exit(main())
