"""Comparison by error / bound, with counting.  There is no tolerance to set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    """A value and how far a correct result may be from it, both of one shape."""

    value: Array
    bound: Array
    formula: str = "ball radius of the reference"


@dataclass
class Check:
    """Compares and counts; one for each run of a property.

    `comparisons` counts arrays with at least one bounded element, `elements` those elements,
    `unbounded` the elements that nothing could be said of, `vacuous` the arrays without one that
    could, `worst` the largest error / bound.
    """

    comparisons: int = 0
    elements: int = 0
    unbounded: int = 0
    vacuous: int = 0
    worst: float = 0.0
    discriminating: int = 0

    def close(self, name: str, got: Any, expected: Ball | Expected) -> None:
        """Require |got − expected| <= bound in every element whose bound is finite.

        Raises `Mismatch` with the worst index, both values, the bound and its formula.
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
        with np.errstate(all="ignore"):
            error = np.abs(actual - expected.value)
            ratio = np.where(error == 0, 0.0, error / expected.bound)
        # A NaN or an infinity where a finite number belongs has no error, so it is put at ∞.
        ratio = np.where(finite, np.where(np.isfinite(actual), ratio, np.inf), 0.0)
        worst = float(ratio.max())
        if not worst <= 1.0:
            raise Mismatch(_explain(name, actual, expected, ratio))
        self.worst = max(self.worst, worst)

    def same(self, name: str, got: Any, expected: Any) -> None:
        """Require an exact, discrete fact (a shape, a dtype, a count)."""
        self.comparisons += 1
        self.elements += 1
        if got != expected:
            raise Mismatch(f"{name} is {got!r}, expected {expected!r}")

    def not_a_number(self, name: str, got: Any, where: npt.NDArray[np.bool_]) -> None:
        """Require NaN in every element of `where`; where it has none, nothing is compared."""
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

    def add(self, counts: Mapping[str, float]) -> None:
        """Add the counts of another check, given by field."""
        for name, count in counts.items():
            own = getattr(self, name)
            setattr(self, name, max(own, count) if name == "worst" else own + count)

    def identical(self, got: Tensor, other: Tensor) -> bool:
        """Whether two results are the same finite numbers; then that was a comparison."""
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
    return t.detach().clone(memory_format=torch.contiguous_format).view(torch.uint8)


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
    """Require two results of correct computations of one value, in balls a and b, to agree.

    Each lies within its radius of the exact value, since a radius covers the reference's own
    rounding as well: so they differ by at most the sum, however far a.v is from b.v.
    """
    value, bound = as_array(other), a.radius + b.radius
    if value.shape == bound.shape and (np.isfinite(bound) & ~np.isfinite(value)).any():
        check.close(f"{name}, compared with,", other, b)
    check.close(name, got, Expected(value, bound, "sum of two ball radii of the reference"))
