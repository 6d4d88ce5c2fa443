"""How small an error the bound still detects: one weight, changed by a relative ε.

Usage: python bench/sharpness.py [--cases 120] [--runs 20] [--seed 0] [--kinds]

Cases are drawn in several runs.  Each run has its own seed and as many cases as a standard run.
One long run would not do, because Hypothesis repeats parts of its cases within a run.

One entry of one weight, drawn among those that are not zero, is multiplied by 1+ε; for LSTM, of
one weight matrix.  The results of torch.nn.LSTM with this weight are compared with the bound of
the reference without it.  For comparison, the table shows how many of these errors
`torch.testing.assert_close` detects with its default tolerances.  `no effect` is the share of the
cases in which the change is lost: no exact result, rounded to the format, is another.  Nothing can
see the error there, such as behind a relu that is off, or in a norm of one unit.  The last column
is the share of the cases that can distinguish a right cell from one with its gates or state mixed
up.

With --kinds the rows are the published kinds, as layers in float32.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from common import draw

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.checking.oracle import compare_all, discriminates, expected
from gatewise.properties.subjects.protocol import Subject, Unsupported
from gatewise.reference.formats import Array

ROWS = (("float32", 1e-4, 70), ("float32", 1e-3, 85), ("float64", 1e-9, 95))
#: What is asked of a published kind.
OF_KINDS = ("float32", 1e-3, 80)


def perturbed(case: Case, epsilon: float, only: str = "") -> dict[str, Array]:
    """The case's weights, with one non-zero entry × (1+ε); unchanged if all are zero.

    The entry is one of the weights whose names begin with `only`.
    """
    weights = {name: w.copy() for name, w in case.weight_arrays.items()}
    rng = np.random.RandomState(case.seed)
    names = [n for n, w in weights.items() if n.startswith(only) and w.any()]
    if names:
        w = weights[names[rng.randint(len(names))]]
        where = np.argwhere(w)
        index = tuple(where[rng.randint(len(where))])
        w[index] = case.rounding.storage.round(w[index] * (1 + epsilon))
    return weights


def shares(subject: Subject, cases: Sequence[Case], epsilon: float, only: str) -> list[float]:
    """Per cent of the cases seen by the bound, seen by assert_close, without effect, that tell.

    A case that the subject does not offer does not count.
    """
    by_bound = by_close = without = tell = count = 0
    for case in cases:
        weights = perturbed(case, epsilon, only)
        try:
            wrong, right = subject.run(case, weights=weights), subject.run(case)
        except Unsupported:
            continue
        count += 1
        want, other = expected(case), expected(case, weights=weights)
        rounded = case.rounding.storage.round
        without += all(
            np.array_equal(rounded(want[n].v), rounded(other[n].v), equal_nan=True) for n in want
        )
        try:
            compare_all(Check(), wrong, want)
        except AssertionError:
            by_bound += 1
        try:
            torch.testing.assert_close(wrong, right, equal_nan=True)
        except AssertionError:
            by_close += 1
        tell += discriminates(case)
    return [100 * n / count for n in (by_bound, by_close, without, tell)]


def rows(kinds: bool) -> Iterator[tuple[Subject, str, float, int, str]]:
    """Subject, precision, ε, per cent asked, and which weights are changed."""
    if not kinds:
        subject = Subject("torch.nn.LSTM", "LSTM", torch.nn.LSTM)
        for precision, epsilon, asked in ROWS:
            yield subject, precision, epsilon, asked, "weight"
        return
    from tests.kinds.published_in_torch import FORMS
    from tests.kinds.soundness import subjects

    for name in FORMS:
        layer = next(s for s in subjects(name) if not s.cell)
        yield layer, *OF_KINDS, ""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", action="store_true", help="the published kinds")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "LSTM with projections")  # about speed alone
    print(
        "subject               precision  epsilon  seen by the bound  asked  by assert_close"
        "  no effect  cases can tell",
        flush=True,
    )
    seeds = range(args.seed * args.runs, (args.seed + 1) * args.runs)
    for subject, precision, epsilon, asked, only in rows(args.kinds):
        cases = [c for s in seeds for c in draw(subject.like, precision, args.cases, s)]
        seen, close, without, tell = shares(subject, cases, epsilon, only)
        print(
            f"{subject.like:20}  {precision:9}  {epsilon:7.0e}  {seen:16.1f}%  {asked:4}%"
            f"  {close:14.1f}%  {without:8.1f}%  {tell:13.1f}%",
            flush=True,
        )


if __name__ == "__main__":
    main()
