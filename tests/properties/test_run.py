"""A run of one property: wrong subjects are falsified, and nothing is silently passed."""

from __future__ import annotations

import importlib
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.checking.comparison import Check, Expected
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Property
from gatewise.properties.reporting.explanation import explain
from gatewise.properties.running import engine
from gatewise.properties.running.engine import check_conformance, run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.profiles import seed_of
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, VACUOUS, Record
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.loading import load_subject
from gatewise.properties.subjects.protocol import Subject

BROKEN = str(Path(__file__).with_name("broken.py"))
AGREEMENT = CATALOGUE["equals_reference"]


def of(name: str) -> Subject:
    return load_subject(f"{BROKEN}:{name}")


def agreement(name: str, precision: str = "float32") -> tuple[Plan, Record]:
    plan = Plan(AGREEMENT, of(name), precision)
    return plan, run(plan, profile="standard", seed=1)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", ["SwappedGates", "DroppedBias", "IgnoredState", "MixedRows"])
def test_a_broken_lstm_is_falsified_within_ten_seconds(name: str, precision: str) -> None:
    start = time.process_time()
    plan, record = agreement(name, precision)
    assert time.process_time() - start < 10
    assert record.status == FALSIFIED
    text = explain(plan, record, 1, "standard")
    assert "property equals_reference is falsified" in text
    assert re.search(r"got \S+, expected \S+, error \S+ > bound \S+", text)
    case = case_from(record.case)
    with pytest.raises(AssertionError):
        plan.prop.claim(plan.subject, case, Check())
    # The same case, shrunk, must leave a correct subject alone.
    plan.prop.claim(BUILTIN["torch.nn.LSTM"], case, Check())


def test_a_counterexample_is_small() -> None:
    _, record = agreement("SwappedGates")
    case = case_from(record.case)
    assert (case.time, case.num_layers, case.input_size, case.hidden_size) == (1, 1, 1, 1)
    assert (case.batch, case.layout, case.lengths, case.bidirectional) == (1, "contiguous", None, 0)


def test_nan_is_falsified() -> None:
    _, record = agreement("NotFinite")
    assert record.status == FALSIFIED
    assert "got nan" in record.message


@pytest.mark.parametrize(
    ("name", "error", "line"),
    [
        ("RaisesOnConstruction", "RuntimeError: no kernel for this machine", "__init__"),
        ("RaisesOnCall", "ZeroDivisionError: stacking is broken", "forward"),
    ],
)
def test_an_exception_of_the_subject_falsifies_with_its_own_frames(
    name: str, error: str, line: str
) -> None:
    plan, record = agreement(name)
    assert record.status == FALSIFIED
    head, first, *code = record.message.splitlines()
    assert head == f"the subject raised {error}"
    assert re.fullmatch(rf'  File ".*broken.py", line \d+, in {line}', first)
    assert len([row for row in code if "raise " in row]) == 1
    assert f"\n          {first}\n" in explain(plan, record, 1, "standard")


def test_what_is_not_offered_is_unsupported_only_where_nothing_else_was_compared() -> None:
    assert agreement("WithoutProjection")[1].status == HOLDS
    plan = Plan(CATALOGUE["projection_departs_exactly"], of("WithoutProjection"), "float32")
    record = run(plan, profile="quick")
    assert record.status == UNSUPPORTED
    assert "proj_size is not offered" in record.message


def test_a_property_that_compares_nothing_is_vacuous_and_does_not_pass() -> None:
    def silent(subject: Subject, case: Case, check: Check) -> None:
        return None

    def unbounded(subject: Subject, case: Case, check: Check) -> None:
        check.close("h", np.ones(2), Expected(np.ones(2), np.full(2, np.inf)))

    for claim in (silent, unbounded):
        prop = Property(name=claim.__name__, family="none", sentence="s", formula="f", claim=claim)
        record = run(Plan(prop, BUILTIN["torch.nn.LSTM"], "float32"), profile="quick")
        assert record.status == VACUOUS
        assert not record.passed
        assert record.cases > 0


def test_a_seed_reproduces_and_another_differs() -> None:
    seen: list[list[str]] = []
    for seed in (3, 3, 4):
        drawn: list[str] = []

        def note(subject: Subject, case: Case, check: Check, drawn: list[str] = drawn) -> None:
            drawn.append(repr(case))
            check.same("one", 1, 1)

        prop = replace(AGREEMENT, claim=note)
        run(Plan(prop, BUILTIN["torch.nn.LSTM"], "float32"), profile="quick", seed=seed)
        seen.append(drawn)
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    assert seed_of(3, "a") != seed_of(3, "b")
    assert seed_of(3, "here/mine.py:A-cpu") == seed_of(3, "C:\\there\\mine.py:A-cpu")


def test_what_is_drawn_does_not_depend_on_what_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypothesis draws constants of local modules, and one more is loaded between the two runs."""
    drawn: list[list[Case]] = []

    def note(subject: Subject, case: Case, check: Check) -> None:
        drawn[-1].append(case)

    prop = Property(
        name="noted", family="agreement", sentence="s", formula="f", claim=note, share=4.0
    )
    for _ in range(2):
        drawn.append([])
        run(Plan(prop, BUILTIN["gatewise.impl.LSTM"], "float32"), profile="standard", seed=3)
        (tmp_path / "a_local_module.py").write_text(f"N = {list(range(5, 3000, 7))}")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.import_module("a_local_module")
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 100


def test_a_profile_sets_every_field_whatever_is_loaded() -> None:
    before = settings.default
    try:
        settings.register_profile("of_a_ci", derandomize=True, max_examples=3, deadline=1)
        settings.load_profile("of_a_ci")
        for name, examples in engine.EXAMPLES.items():
            profile = engine.profile_settings(name)
            assert profile.max_examples == examples
            assert profile.derandomize is False
            assert profile.deadline is None
            assert profile.database is None
    finally:
        settings.register_profile("as_before", before)
        settings.load_profile("as_before")
    with pytest.raises(ValueError, match="profile 'slow' is not one of quick, standard, thorough"):
        engine.profile_settings("slow")


def test_check_conformance_returns_records_from_a_plain_script() -> None:
    records = check_conformance(
        BUILTIN["gatewise.impl.GRUCell"], properties=["equals_reference"], profile="quick"
    )
    assert [(r.precision, r.status) for r in records] == [("float64", HOLDS), ("float32", HOLDS)]
    with pytest.raises(ValueError, match="property 'no_such' is not one of"):
        check_conformance(BUILTIN["gatewise.impl.GRU"], properties=["no_such"])
    with pytest.raises(ValueError, match="precision 'float8' is not one of"):
        check_conformance(BUILTIN["gatewise.impl.GRU"], precisions=["float8"])


class Deterministic(torch.nn.GRUCell):
    """Sets a flag of the process for good."""

    def forward(self, *given: Any) -> Any:
        torch.use_deterministic_algorithms(True)
        return super().forward(*given)


def test_a_setting_that_stays_changed_is_put_back_and_seen_by_a_later_claim() -> None:
    subject = Subject("Deterministic", "GRUCell", Deterministic)
    first, second = (
        run(Plan(CATALOGUE[name], subject, "float32"), profile="quick")
        for name in ("equals_reference", "the_process_is_left_as_found")
    )
    assert (first.status, first.message) == (
        "holds",
        "the subject changed deterministic algorithms",
    )
    assert not torch.are_deterministic_algorithms_enabled()
    assert second.status == "falsified"


def test_a_glance_draws_few_cases_and_shrinks_none() -> None:
    plan = Plan(CATALOGUE["count_is_exact"], BUILTIN["gatewise.impl.RNN"], "float32")
    assert run(plan, most=5).cases == 5
    assert run(plan, profile="quick", most=1000).cases == 20
