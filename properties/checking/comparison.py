"""Comparison by error / bound, with counts.  There is no tolerance to set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatewise.reference.ball import Ball
from gatewise.reference.formats import Array

from ..cases.arrays import as_array


class Mismatch(AssertionError):
    """A result lies further from the expected value than rounding can move it."""


@dataclass(frozen=True)
class Expected:
    """A value, and a bound on the error of a correct result; both have the same shape."""

    value: Array
    bound: Array
    formula: str = "ball radius of the reference"


#: The bins of a histogram of error/bound: bin k has the ratios from 2^(k−BINS) up to 2^(k+1−BINS),
#: bin 0 all that are smaller, 0 among them, and the last one 1 itself.
BINS = 24


#: The bins of the steps of time: bin k has the steps from 2^(k−1) up to 2^k − 1, bin 0 the step 0,
#: and the last one all later ones.
STEPS = 13


def bin_of(ratio: float) -> int:
    """The bin of a ratio error/bound of at most 1."""
    return 0 if ratio <= 0.0 else min(BINS - 1, max(0, math.frexp(ratio)[1] - 1 + BINS))


def error_over_bound(
    actual: Array, value: Array, bound: Array, finite: npt.NDArray[np.bool_]
) -> Array:
    """|actual − value| / bound, and 0 where not `finite`: there is nothing to compare with."""
    with np.errstate(all="ignore"):
        error = np.abs(actual - value)
        ratio = np.where(error == 0, 0.0, error / bound)
    # A NaN or an infinity where a finite number is expected counts as an infinite error.
    return np.where(finite, np.where(np.isfinite(actual), ratio, np.inf), 0.0)


@dataclass
class Check:
    """Compares results and counts the comparisons; each run of a property has one.

    `comparisons` counts the arrays with at least one element that has a finite bound, and
    `elements` counts these elements.  `unbounded` counts the elements without a finite bound, and
    `vacuous` the arrays that have only such elements.  `worst` is the largest error / bound, and
    `worst_at` the result and the index that have it.  `histogram` counts the cases by their own
    largest error / bound, in the bins of `bin_of`.  `by_step` has the largest error / bound of a
    layer's output by the step of time, in STEPS bins.  `discriminating` counts the cases that can
    detect a wrong cell or gradient.  `subject_seconds` and `reference_seconds` were spent in calls
    of the subject and of the reference.
    """

    comparisons: int = 0
    elements: int = 0
    unbounded: int = 0
    vacuous: int = 0
    worst: float = 0.0
    worst_at: str = ""
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    by_step: list[float] = field(default_factory=lambda: [0.0] * STEPS)
    discriminating: int = 0
    subject_seconds: float = 0.0
    reference_seconds: float = 0.0

    def close(
        self, name: str, got: Any, expected: Ball | Expected, time_axis: int | None = None
    ) -> None:
        """Require |got − expected| <= bound in every element whose bound is finite.

        With the axis of time, the largest error / bound of each step is kept in `by_step`.

        Raises `Mismatch` with the index of the worst element, both values, the bound and its
        formula.
        """
        if isinstance(expected, Ball):
            expected = Expected(expected.v, expected.radius)
        actual = as_array(got)
        if actual.shape != expected.value.shape:
            raise Mismatch(f"{name} has shape {actual.shape}, expected {expected.value.shape}")
        finite = np.isfinite(expected.bound) & np.isfinite(expected.value)
        bounded = int(np.count_nonzero(finite))
        self.unbounded += actual.size - bounded
        if not bounded:
            self.vacuous += 1
            return
        self.comparisons += 1
        self.elements += bounded
        ratio = error_over_bound(actual, expected.value, expected.bound, finite)
        worst = float(ratio.max())
        if not worst <= 1.0:
            raise Mismatch(_explain(name, actual, expected, ratio))
        if worst > self.worst:
            index = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
            self.worst, self.worst_at = worst, f"{name}{[int(i) for i in index]}"
        if time_axis is not None:
            others = tuple(a for a in range(ratio.ndim) if a != time_axis)
            for t, largest in enumerate(ratio.max(axis=others).tolist()):
                place = min(t.bit_length(), STEPS - 1)
                self.by_step[place] = max(self.by_step[place], largest)

    def same(self, name: str, got: Any, expected: Any) -> None:
        """Require that a discrete fact (a shape, a dtype, a count) is exactly as expected."""
        self.comparisons += 1
        self.elements += 1
        if got != expected:
            raise Mismatch(f"{name} is {got!r}, expected {expected!r}")

    def not_a_number(self, name: str, got: Any, where: npt.NDArray[np.bool_]) -> None:
        """Require NaN in every element where `where` is true; if none is, nothing is compared."""
        actual = as_array(got)
        if actual.shape != where.shape:
            raise Mismatch(f"{name} has shape {actual.shape}, expected {where.shape}")
        if not where.any():
            return
        self.comparisons += 1
        self.elements += int(np.count_nonzero(where))
        hidden = np.argwhere(where & ~np.isnan(actual))
        if len(hidden):
            place = [int(i) for i in hidden[0]]
            raise Mismatch(
                f"{name}{place}: got {actual[tuple(place)]:.17g}, expected nan; "
                f"{len(hidden)} of {int(np.count_nonzero(where))} NaN are lost"
            )

    def end_case(self, seconds: Mapping[str, float]) -> None:
        """Count the case whose only comparisons are here; `seconds` are those of `clock.take`."""
        if self.comparisons:
            self.histogram[bin_of(self.worst)] += 1
        self.subject_seconds += seconds["subject_seconds"]
        self.reference_seconds += seconds["reference_seconds"]

    def add(self, counts: Mapping[str, Any]) -> None:
        """Add the counts of another check, given as field → count; keep the larger `worst`."""
        if counts["worst"] > self.worst:
            self.worst, self.worst_at = counts["worst"], counts["worst_at"]
        self.histogram = [a + b for a, b in zip(self.histogram, counts["histogram"], strict=True)]
        self.by_step = [max(a, b) for a, b in zip(self.by_step, counts["by_step"], strict=True)]
        for name in counts.keys() - {"worst", "worst_at", "histogram", "by_step"}:
            setattr(self, name, getattr(self, name) + counts[name])

    def identical(self, got: Tensor, other: Tensor) -> bool:
        """Whether two results are the same finite numbers; if so, this counts as a comparison."""
        if got.dtype != other.dtype or not torch.equal(got, other) or not got.isfinite().all():
            return False
        self.comparisons += 1
        self.elements += got.numel()
        return True

    def between(self, name: str, got: Any, low: Array, high: Array, bound: Array) -> None:
        """Require low − bound <= got <= high + bound wherever low and high are not NaN."""
        actual = as_array(got)
        nearest = np.clip(np.where(np.isnan(actual), low, actual), low, high)
        formula = "ball radius, beyond the interval of the claim"
        self.close(name, got, Expected(nearest, np.broadcast_to(bound, nearest.shape), formula))


def bits(t: Tensor) -> Tensor:
    """A copy of a tensor's values as bytes, in which NaN equals itself and −0 differs from 0."""
    copied = t.detach().clone(memory_format=torch.contiguous_format)
    # A tensor without dimensions cannot be seen as one of another element size.
    return (copied if copied.dim() else copied.reshape(1)).view(torch.uint8)


def _explain(name: str, actual: Array, expected: Expected, ratio: Array) -> str:
    index = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    place = tuple(int(i) for i in index)
    got, value, bound = actual[index], expected.value[index], expected.bound[index]
    wrong = int(np.count_nonzero(~(ratio <= 1.0)))
    times = f" = {ratio[index]:.3g} × bound" if np.isfinite(ratio[index]) else ""
    return (
        f"{name}{list(place)}: got {got:.17g}, expected {value:.17g}, "
        f"error {abs(got - value):.3g} > bound {bound:.3g}{times} "
        f"({expected.formula}); {wrong} of {ratio.size} elements are wrong"
    )


def agree(check: Check, name: str, got: Any, other: Any, a: Ball, b: Ball) -> None:
    """Require that two results of one exact value agree; a is the ball of `got`, b of `other`.

    A radius also covers the rounding of the reference.  So each correct result is within its
    radius of the exact value, and the two differ by at most the sum of the radii, however far a.v
    is from b.v.
    """
    value, bound = as_array(other), a.radius + b.radius
    if value.shape == bound.shape and (np.isfinite(bound) & ~np.isfinite(value)).any():
        check.close(f"{name} (the result to compare with)", other, b)
    check.close(name, got, Expected(value, bound, "sum of two ball radii of the reference"))
