"""Dropout of declared kinds: every mask is tried, and one of them must give the results.

`masks` reads a mask by weights that it knows for RNN, LSTM and GRU alone.  Here a kind keeps the
weights of the case.  Two steps of at most two units have so few masks, 2^(T·D·R) ≤ 256 for a row,
that the reference computes the results under each of them.  All masks of all rows are one batch, of
which mask k of row b is the row k·B + b.

A result must be within the bound under one mask, whichever it is.  So the claims on values and on
gradients hold for a correct layer always, also where two masks give the same.  How often a unit is
dropped is counted where no two masks give the same: in rows whose Balls do not meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, islice, product
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise.reference.ball import Ball
from gatewise.reference.classes import DECLARED_LAYERS
from gatewise.reference.formats import Array

from ...cases.arrays import as_array
from ...cases.case import Case
from ...cases.values import ORDINARY
from ...checking.binomial import check_rate
from ...checking.comparison import Check, Expected, Mismatch, error_over_bound
from ...checking.derivatives import compare_gradients, record, tensors
from ...checking.oracle import expected, expected_gradients, upstream_arrays
from ...precisions import PLAIN
from ...subjects.protocol import Results, Subject, Unsupported
from .claims import FAMILY, PROBABILITIES, equal_by_chance, with_dropout
from .masks import Mask, scale, seeded_generators, seeded_run, time_major

#: Sizes that have at most 256 masks of a row.
_FEW = {"hidden": 2, "time": 2, "batch": 3}

#: The gradient is compared under at most so many of the masks that the results allow.
_MOST = 8


@dataclass(frozen=True)
class Tried:
    """The results of a case under every mask of every row, by name, time first."""

    case: Case
    masks: Mask
    balls: dict[str, Ball]

    @property
    def rows(self) -> int:
        """B, or 1 where the case is unbatched."""
        return 1 if self.case.batch is None else self.case.batch

    def ratios(self, got: dict[str, Array]) -> Array:
        """The largest error / bound of each mask (2^(T·D·R)) and row (B)."""
        worst = np.zeros(len(self.masks) * self.rows)
        for name, ball in self.balls.items():
            finite = np.isfinite(ball.v) & np.isfinite(ball.radius)
            every = np.tile(got[name], (1, len(self.masks), 1))
            ratio = error_over_bound(every, ball.v, ball.radius, finite)
            worst = np.maximum(worst, ratio.max(axis=(0, 2), initial=0.0))
        return worst.reshape(len(self.masks), self.rows)

    def explain(self, results: Results) -> bool:
        """Whether the results of every row are those of some mask."""
        got = _returned(self.case, results)
        return bool((self.ratios(got) <= 1.0).any(axis=0).all())

    def apart(self) -> Mask:
        """Rows (B) in which no two masks give the same: some Balls of each two do not meet."""
        found = np.ones(self.rows, dtype=bool)
        shape = (len(self.masks), self.rows)
        for a, b in combinations(range(len(self.masks)), 2):
            differ = np.zeros(self.rows, dtype=bool)
            for ball in self.balls.values():
                v, r = (np.reshape(p, (len(p), *shape, p.shape[-1])) for p in (ball.v, ball.radius))
                differ |= (np.abs(v[:, a] - v[:, b]) > r[:, a] + r[:, b]).any(axis=(0, 2))
            found &= differ
        return found


def every_mask(case: Case) -> Mask:
    """All masks of a row (2^(T·D·R), T, D·R), True where kept."""
    width = case.options.output_size
    bits = np.arange(case.time * width)
    kept = (np.arange(2 ** len(bits))[:, None] >> bits & 1) == 1
    return kept.reshape(-1, case.time, width)


def tried(case: Case, factor: float | None = None) -> Tried:
    """The results of a case of two layers under every mask, with 1/(1−p) or another factor."""
    masks = every_mask(case)
    count, x = len(masks), time_major(case, case.input_array)
    rows = x.shape[1]
    lengths = None if case.lengths is None else case.lengths * count
    fold = case.but(batch=count * rows, batch_first=False, lengths=lengths, with_state=True)
    x = np.tile(x, (1, count, 1))
    states = [np.tile(_batched(case, s), (1, count, 1)) for s in case.state_arrays]
    kept = np.repeat(np.moveaxis(masks, 0, 1), rows, axis=1)
    balls = expected(
        fold,
        x=x,
        state=states,
        weights=case.weight_arrays,
        masks=[scale(case, kept.shape, kept, factor)],
    )
    return Tried(case, masks, balls)


def _batched(case: Case, x: Any) -> Any:
    """A state of the case as (L·D, B, ·)."""
    return np.expand_dims(x, 1) if case.batch is None else x


def _returned(case: Case, results: Results) -> dict[str, Array]:
    """The results as arrays, time first, with an axis of rows."""
    arrays = {name: as_array(result) for name, result in results.items()}
    return {
        name: time_major(case, a) if name == "output" else _batched(case, a)
        for name, a in arrays.items()
    }


def fitting(check: Check, under: Tried, results: Results) -> list[list[Mask]]:
    """For each row, the masks (T, D·R) under which its results are within the bound.

    Raises `Mismatch` where there is none, with the element that is wrong under the nearest mask.
    """
    got = _returned(under.case, results)
    if set(got) != set(under.balls):
        check.same("the names of the results", sorted(got), sorted(under.balls))
    for name, ball in under.balls.items():
        shape = (len(ball.v), under.rows, ball.v.shape[-1])
        if got[name].shape != shape:
            raise Mismatch(f"{name} has shape {got[name].shape} as (T, B, ·), expected {shape}")
    ratios = under.ratios(got)
    chosen = np.argmin(ratios, axis=0) * under.rows + np.arange(under.rows)
    formula = f"ball under the nearest of {len(under.masks)} masks"
    for name, ball in under.balls.items():
        check.close(name, got[name], Expected(ball.v[:, chosen], ball.radius[:, chosen], formula))
    return [list(under.masks[column <= 1.0]) for column in ratios.T]


@FAMILY.claims(
    "In training every result is that of the reference under some mask: each output of a layer "
    "reaches the next layer either as 0 or scaled by 1/(1−p), and nothing else is dropped.",
    "∃m: f_p(x) = reference(x; m/(1−p))",
    of=DECLARED_LAYERS,
    precisions=PLAIN,
    share=0.3,
    num_layers=2,
    most=_FEW,
    regimes=ORDINARY,
    variants=PROBABILITIES,
)
def some_mask_gives_the_results(subject: Subject, case: Case, check: Check) -> None:
    case = with_dropout(case)
    got = seeded_run(subject, case, subject.build(case).train(), case.seed)
    fitting(check, tried(case), got)


@FAMILY.claims(
    "Every gradient is that of the reference under a mask that gives the results.",
    "∃m: f_p(x) = reference(x; m/(1−p)) and ∂L/∂(x, s_0, W) = its gradient under m/(1−p)",
    of=DECLARED_LAYERS,
    precisions=PLAIN,
    share=0.2,
    needs=("gradients",),
    num_layers=2,
    most=_FEW,
    regimes=ORDINARY,
    variants=PROBABILITIES,
)
def gradients_are_those_of_the_same_mask(subject: Subject, case: Case, check: Check) -> None:
    case = with_dropout(case)
    upstream = upstream_arrays(case)
    module = subject.build(case).train()
    with seeded_generators(subject, case.seed):
        run = record(subject, case, module=module)
        run.backward(tensors(subject, case, upstream))
    masks = list(islice(product(*fitting(check, tried(case), run.results)), _MOST + 1))
    if len(masks) > _MOST:
        return  # the results do not tell the mask
    failures = []
    for rows in masks:
        kept = np.stack(rows, axis=1)
        want = expected_gradients(case, upstream, masks=[scale(case, kept.shape, kept)])
        own = Check()
        try:
            compare_gradients(own, run.gradients, want)
        except Mismatch as failure:
            failures.append(failure)
        else:
            check.add(vars(own))
            return
    raise failures[0]


def _many(case: Case) -> Case:
    """The case with 512 rows, each with two units in its mask of one step."""
    return with_dropout(case).but(
        batch=512,
        time=1,
        hidden_size=2,
        weights="spread",
        inputs="spread",
        states="spread",
        layout="contiguous",
    )


def _told(subject: Subject, case: Case, check: Check, calls: int) -> list[npt.NDArray[np.bool_]]:
    """The masks (calls, rows, 2) of the rows in which every mask gives other results.

    Raises `Unsupported` where there is no such row.
    """
    module = subject.build(case).train()
    under = tried(case)
    clear = under.apart()
    if not clear.any():
        raise Unsupported("in each row two masks give the same results, so they tell no mask")
    found = []
    with seeded_generators(subject, case.seed):
        for _ in range(calls):
            masks = fitting(check, under, subject.run(case, module))
            # A clear row has one mask, which fits.
            found.append(np.array([m[0][0] for m, one in zip(masks, clear, strict=True) if one]))
    return found


@FAMILY.claims(
    "Units of a declared kind are kept at the rate 1 − p, by an exact binomial test at one false "
    "alarm in 10⁹ runs.",
    "#kept ~ Binomial(rows·R, 1−p), in the rows where no two masks give the same",
    of=DECLARED_LAYERS,
    share=0.1,
    num_layers=2,
    bidirectional=False,
    forms=("dense",),
    variants=PROBABILITIES,
)
def rate_of_some_mask_is_binomial(subject: Subject, case: Case, check: Check) -> None:
    case = _many(case)
    (kept,) = _told(subject, case, check, 1)
    label = "units kept"
    check_rate(check, label, int(np.count_nonzero(kept)), kept.size, 1 - Fraction(case.dropout))


@FAMILY.claims(
    "A second call of a declared kind draws a new mask, and each row its own, by exact binomial "
    "tests at one false alarm in 10⁹ runs.",
    "#{m_1 = m_2} ~ Binomial(rows·R, p² + (1−p)²), of two calls and of neighbouring rows",
    of=DECLARED_LAYERS,
    share=0.1,
    num_layers=2,
    bidirectional=False,
    forms=("dense",),
    variants=PROBABILITIES,
)
def each_call_and_row_draws_some_mask(subject: Subject, case: Case, check: Check) -> None:
    case = _many(case)
    first, second = _told(subject, case, check, 2)
    half = len(first) // 2 * 2
    for label, a, b in (
        ("units kept or dropped in both of two calls", first, second),
        ("units kept or dropped in both of two rows", first[:half:2], first[1:half:2]),
    ):
        equal = int(np.count_nonzero(a == b))
        check_rate(check, label, equal, a.size, equal_by_chance(case))
