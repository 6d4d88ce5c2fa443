"""Lengths, masks and resets: right layers hold, and each planted fault is seen by its claim."""

from __future__ import annotations

from typing import Any

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import plans
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.capabilities import SubjectError
from gatewise.properties.subjects.loading import as_subject
from tests.subjects.with_lengths import Masked, Rounded, Truncated, adapter, wrong

#: Value of `lengths=` → the extras that such an adapter offers.
CLAIMS = {
    "absolute": "lengths",
    "relative": "lengths",
    "mask": "lengths mask",
}


def records(own: Any, family: str = "lengths", precision: str = "float32") -> dict[str, Record]:
    """Property → record, at the profile quick."""
    found = plans([as_subject(own)], ["cpu"], [precision])
    return {p.prop.name: run(p, profile="quick", seed=1) for p in found if p.prop.family == family}


RIGHT: list[tuple[type[Masked], dict[str, Any]]] = [
    (Masked, {"lengths": "absolute"}),
    (Masked, {"lengths": "mask"}),
    (Masked, {"lengths": "mask", "padding": "left"}),
    (Rounded, {"lengths": "relative"}),
    (Masked, {"lengths": "", "resets": True}),
]
NAMES = ["absolute", "mask", "left", "relative", "resets"]


@pytest.mark.parametrize(("own", "more"), RIGHT, ids=NAMES)
def test_a_right_layer_holds(own: Any, more: dict[str, Any]) -> None:
    found = records(adapter(own, **more))
    assert {n: r.message for n, r in found.items() if r.status != HOLDS} == {}
    offered = CLAIMS.get(more["lengths"], "resets").split()
    assert sorted(found) == sorted(n for n, p in CATALOGUE.items() if p.extra in offered)


@pytest.mark.parametrize(("own", "more"), RIGHT[:-1], ids=NAMES[:-1])
def test_a_packed_sequence_is_passed_as_lengths(own: Any, more: dict[str, Any]) -> None:
    found = records(adapter(own, **more), "packing")
    assert {n: r.message for n, r in found.items() if not r.passed} == {}
    assert {n for n, r in found.items() if r.status != HOLDS} == {
        "batch_first_leaves_packed_alone",  # its input is always batch-major
        "reverse_starts_at_the_true_end",  # it has one direction
    }


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_a_right_layer_holds_in_other_precisions(precision: str) -> None:
    found = records(adapter(Masked, "mask"), precision=precision)
    assert {n: r.message for n, r in found.items() if r.status != HOLDS} == {}


@pytest.mark.parametrize(
    ("own", "lengths", "claims"),
    [
        (
            wrong("empty rows get the state of row 0"),
            "absolute",
            {"a_row_of_length_zero_keeps_its_state"},
        ),
        (wrong("empty rows take c from h"), "absolute", {"a_row_of_length_zero_keeps_its_state"}),
        (Truncated, "relative", {"every_length_is_taken_as_it_is"}),
        (wrong("mask as a factor"), "absolute", {"nan_in_padded_steps_goes_nowhere"}),
    ],
    ids=["row 0", "c from h", "truncated", "factor"],
)
def test_a_planted_fault_is_seen_by_its_claim(own: Any, lengths: str, claims: set[str]) -> None:
    found = records(adapter(own, lengths))
    falsified = {n for n, r in found.items() if r.status == FALSIFIED}
    assert claims <= falsified
    if own is not Truncated:
        assert falsified == claims


def test_a_state_that_runs_on_through_the_padding_is_seen() -> None:
    found = records(adapter(wrong("mask of output alone"), "mask"))
    assert all(r.status == FALSIFIED for n, r in found.items() if n != "padding_has_no_gradient")


def test_a_reset_that_is_ignored_is_seen() -> None:
    found = records(adapter(wrong("no reset"), "", resets=True))
    assert found["a_reset_begins_with_zeros"].status == FALSIFIED


def test_who_takes_no_lengths_is_not_asked() -> None:
    for name in ("torch.nn:LSTM", "torch.nn:LSTMCell"):
        found = plans([as_subject(name)], ["cpu"], ["float32"])
        assert not [p for p in found if p.prop.extra]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            {"lengths": "steps"},
            "lengths='steps': expected one of '', 'absolute', 'relative', 'mask'",
        ),
        ({"lengths": "", "padding": "left"}, "padding='left': expected one of 'right'"),
        ({"lengths": "mask", "padding": "both"}, "padding='both': expected one of 'right', 'left'"),
    ],
)
def test_what_cannot_be_is_one_line(more: dict[str, Any], line: str) -> None:
    with pytest.raises(SubjectError, match=line):
        adapter(Masked, **more)
