"""Every comparison can fail, says what differs, and counts what it compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatewise.properties.checking.comparison import Check, Expected, Mismatch, agree, bits
from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS

P = PRECISIONS["float32"]
VALUE = np.array([[1.0, 2.0], [3.0, 4.0]])
BOUND = np.full((2, 2), 0.5)


def test_within_the_bound_passes_and_is_counted() -> None:
    check = Check()
    check.close("h", VALUE + 0.25, Expected(VALUE, BOUND))
    check.close("h", torch.tensor(VALUE), Expected(VALUE, BOUND))
    assert (check.comparisons, check.elements, check.unbounded, check.vacuous) == (2, 8, 0, 0)
    assert check.worst == 0.5


def test_past_the_bound_names_place_values_bound_and_formula() -> None:
    wrong = VALUE.copy()
    wrong[1, 0] = 4.0
    with pytest.raises(Mismatch) as caught:
        Check().close("c_n", wrong, Expected(VALUE, BOUND, "a formula"))
    text = str(caught.value)
    for part in ("c_n[1, 0]", "got 4", "expected 3", "error 1", "bound 0.5", "2 × bound"):
        assert part in text
    assert "a formula" in text
    assert "1 of 4 elements are wrong" in text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_never_passes(bad: float) -> None:
    wrong = VALUE.copy()
    wrong[0, 1] = bad
    with pytest.raises(Mismatch, match=r"h\[0, 1\]: got (nan|inf|-inf), expected 2"):
        Check().close("h", wrong, Expected(VALUE, np.full((2, 2), 1e300)))


def test_another_shape_never_broadcasts() -> None:
    with pytest.raises(Mismatch, match=r"h has shape \(2,\), expected \(2, 2\)"):
        Check().close("h", VALUE[0], Expected(VALUE, BOUND))


def test_a_bound_of_zero_asks_for_equality() -> None:
    Check().close("h", VALUE, exact(VALUE, P))
    with pytest.raises(Mismatch, match="bound 0"):
        Check().close("h", np.nextafter(VALUE, 9.0), exact(VALUE, P))


def test_elements_without_a_bound_are_counted_and_not_passed_off_as_compared() -> None:
    check = Check()
    bound = BOUND.copy()
    bound[0] = np.inf
    check.close("h", VALUE + np.array([[99.0, np.nan], [0.0, 0.0]]), Expected(VALUE, bound))
    assert (check.comparisons, check.elements, check.unbounded) == (1, 2, 2)
    check.close("h", VALUE + 99, Expected(VALUE, np.full((2, 2), np.nan)))
    assert (check.comparisons, check.vacuous) == (1, 1)


def test_an_empty_array_is_vacuous() -> None:
    check = Check()
    check.close("h", np.zeros((0, 3)), exact(np.zeros((0, 3)), P))
    assert (check.comparisons, check.vacuous) == (0, 1)


def test_discrete_facts() -> None:
    check = Check()
    check.same("shape", (1, 2), (1, 2))
    assert check.comparisons == 1
    with pytest.raises(Mismatch, match=r"the dtype is 'x', expected 'y'"):
        check.same("the dtype", "x", "y")


def test_an_interval_allows_its_bound_and_no_more() -> None:
    low, high, bound = np.zeros(2), np.ones(2), np.full(2, 0.25)
    Check().between("h", [-0.25, 1.25], low, high, bound)
    with pytest.raises(Mismatch, match=r"h\[1\]: got 1.5, expected 1, .*interval"):
        Check().between("h", [0.5, 1.5], low, high, bound)
    with pytest.raises(Mismatch, match=r"h\[0\]"):
        Check().between("h", [np.nan, 0.5], low, high, bound)


def test_two_results_may_differ_by_both_bounds_and_no_more() -> None:
    a, b = (Ball(np.ones(2), P, np.full(2, r)) for r in (0.25, 0.5))
    both = float((a.radius + b.radius)[0])
    check = Check()
    agree(check, "h", np.ones(2) + both, np.ones(2), a, b)
    assert check.worst == 1.0
    with pytest.raises(Mismatch, match="sum of two ball radii"):
        agree(Check(), "h", np.ones(2) + 1.001 * both, np.ones(2), a, b)


def test_the_bytes_of_a_number_alone_are_compared_as_well() -> None:
    assert torch.equal(bits(torch.tensor(1.5)), bits(torch.tensor([1.5])))
    assert not torch.equal(bits(torch.tensor(0.0)), bits(torch.tensor(-0.0)))
