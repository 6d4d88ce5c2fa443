"""How small an error the bound still detects: one weight of an LSTM, changed by a relative ε.

Usage: python bench/sharpness.py [--cases 120] [--runs 20] [--seed 0]

Cases are drawn in several runs.  Each run has its own seed and as many cases as a standard run.
One long run would not do, because Hypothesis repeats parts of its cases within a run.

One entry of one weight matrix, drawn among those that are not zero, is multiplied by 1+ε.  The
results of torch.nn.LSTM with this weight are compared with the bound of the reference without it.
For comparison, the table shows how many of these errors `torch.testing.assert_close` detects with
its default tolerances.  The last column is the share of the cases that can distinguish a right
cell from one with its gates or state mixed up.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from common import draw

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.checking.oracle import compare_all, discriminates, expected
from gatewise.properties.subjects.protocol import Subject
from gatewise.reference.formats import Array

ROWS = (("float32", 1e-4, 70), ("float32", 1e-3, 85), ("float64", 1e-9, 95))


def perturbed(case: Case, epsilon: float) -> dict[str, Array]:
    """The case's weights, with one non-zero matrix entry × (1+ε); unchanged if all are zero."""
    weights = {name: w.copy() for name, w in case.weight_arrays.items()}
    rng = np.random.RandomState(case.seed)
    names = [n for n, w in weights.items() if n.startswith("weight") and w.any()]
    if names:
        w = weights[names[rng.randint(len(names))]]
        where = np.argwhere(w)
        index = tuple(where[rng.randint(len(where))])
        w[index] = case.rounding.storage.round(w[index] * (1 + epsilon))
    return weights


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "LSTM with projections")  # about speed alone
    subject = Subject("torch.nn.LSTM", "LSTM", torch.nn.LSTM)
    print("precision  epsilon  seen by the bound  asked  by assert_close  cases can tell")
    for precision, epsilon, asked in ROWS:
        seeds = range(args.seed * args.runs, (args.seed + 1) * args.runs)
        cases = [case for seed in seeds for case in draw("LSTM", precision, args.cases, seed)]
        by_bound = by_close = tell = 0
        for case in cases:
            wrong = subject.run(case, weights=perturbed(case, epsilon))
            right = subject.run(case)
            try:
                compare_all(Check(), wrong, expected(case))
            except AssertionError:
                by_bound += 1
            try:
                torch.testing.assert_close(wrong, right, equal_nan=True)
            except AssertionError:
                by_close += 1
            tell += discriminates(case)
        share = [100 * n / len(cases) for n in (by_bound, by_close, tell)]
        print(
            f"{precision:9}  {epsilon:7.0e}  {share[0]:16.1f}%  {asked:4}%  {share[1]:14.1f}%"
            f"  {share[2]:13.1f}%"
        )


if __name__ == "__main__":
    main()
