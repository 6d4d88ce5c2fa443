"""A failing case has a small structure: few rows, steps and layers, whatever was drawn."""

from __future__ import annotations

import pytest

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running import shrinking
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.put import put
from gatewise.properties.running.records import FALSIFIED

from .all import MUTANTS


@pytest.mark.parametrize("name", ["LSTM-final-state-in-sorted-order", "GRU-rows-mixed"])
@pytest.mark.parametrize("seed", [3, 5, 11])
def test_two_rows_and_two_steps_are_left(name: str, seed: int) -> None:
    plan = Plan(CATALOGUE["equals_reference"], MUTANTS[name].subject, "float32")
    record = run(plan, seed=seed)
    assert record.status == FALSIFIED
    case = case_from(record.case)
    assert (case.batch, case.num_layers, case.bidirectional) == (2, 1, False)
    assert case.time <= 2


SPREAD = Case("GRU", weights="spread", inputs="spread", states="spread", batch=2)
ROWS = SPREAD.but(batch=63, lengths=(1,) * 63, enforce_sorted=True, layout="offset")
STEPS = SPREAD.but(time=31, num_layers=3, bidirectional=True, batch_first=True)


@pytest.mark.parametrize(
    ("name", "case", "left"),
    [
        ("GRU-rows-mixed", ROWS, {"batch": 2, "lengths": None, "layout": "contiguous"}),
        (
            "GRU-hidden-never-carried",
            STEPS,
            {"time": 2, "batch": 1, "num_layers": 1, "bidirectional": False, "batch_first": False},
        ),
    ],
)
def test_each_size_is_lowered_by_itself(name: str, case: Case, left: dict[str, object]) -> None:
    plan = Plan(CATALOGUE["equals_reference"], MUTANTS[name].subject, "float32")
    with pytest.raises(Mismatch) as raised:
        put(plan, case, Check())
    found, error = shrinking.smaller(plan, case, raised.value, 60.0, lambda c: False)
    assert {field: getattr(found, field) for field in left} == left
    with pytest.raises(Mismatch, match=r"output|h_n") as again:
        put(plan, found, Check())
    assert str(again.value) == str(error)


def test_what_a_claim_asks_of_its_cases_is_kept() -> None:
    prop = CATALOGUE["gradients_flow_through_all_steps"]
    plan = Plan(prop, MUTANTS["RNN-bptt-cut-after-8"].subject, "float32")
    case = Case("RNN", time=31, batch=3, weights="spread", inputs="spread", states="spread")
    with pytest.raises(Mismatch) as raised:
        put(plan, case, Check())
    found, _ = shrinking.smaller(plan, case, raised.value, 60.0, lambda c: False)
    assert (found.time, found.batch) == (10, 1)


def test_no_more_cases_are_tried_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrinking, "MOST", 1)
    plan = Plan(CATALOGUE["equals_reference"], MUTANTS["GRU-rows-mixed"].subject, "float32")
    found, _ = shrinking.smaller(plan, ROWS, Mismatch(), 60.0, lambda c: False)
    assert found == ROWS.but(layout="contiguous")
    assert shrinking.smaller(plan, ROWS, Mismatch(), 60.0, lambda c: True)[0] == ROWS
