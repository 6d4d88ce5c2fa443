"""Known issues are strict: a witness must fail, and only the covered cases are excused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running import known_issues, witnesses
from gatewise.properties.running.engine import run
from gatewise.properties.running.known_issues import in_range, parse
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, KNOWN_ISSUE
from gatewise.properties.subjects.capabilities import gaps_of
from gatewise.properties.subjects.protocol import Subject

ENTRY = """
[[issue]]
name = "relu-is-tanh"
property = "equals_reference"
subjects = ["wrong.RNN"]
torch = ">=2.0"
link = "https://example.org/1"
reason = "relu is computed as tanh"
where = { nonlinearity = "relu" }
witness = "input_size=1, hidden_size=1, nonlinearity='relu', seed=1"
"""


class ReluIsTanh(nn.RNN):
    """Takes `nonlinearity='relu'` and computes tanh."""

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def record_of(factory: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    entries = parse(text)
    monkeypatch.setattr(known_issues, "known_issues", lambda: entries)
    subject = Subject("wrong.RNN", "RNN", factory, unsupported=gaps_of(factory, "RNN"))
    return run(Plan(CATALOGUE["equals_reference"], subject, "float32"), profile="quick", seed=1)


def test_a_covered_fault_is_known_and_its_cases_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert record_of(ReluIsTanh, "", monkeypatch).status == FALSIFIED
    record = record_of(ReluIsTanh, ENTRY, monkeypatch)
    assert record.status == KNOWN_ISSUE
    assert record.passed
    assert 0 < record.excused < record.cases
    assert record.message == ("relu-is-tanh (https://example.org/1): relu is computed as tanh")


def test_a_witness_that_is_not_offered_is_put_within_the_gaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OneLayer(ReluIsTanh):
        gatewise_unsupported = {  # noqa: RUF012 - as the documentation writes it
            "num_layers": "it is one layer",
            "state": "it starts from zeros",
        }

    deep = ENTRY.replace("nonlinearity='relu', seed", "nonlinearity='relu', num_layers=2, seed")
    assert record_of(OneLayer, deep, monkeypatch).status == KNOWN_ISSUE
    # A fault of two layers alone is none of a subject that has one.
    covered = deep.replace('nonlinearity = "relu"', 'nonlinearity = "relu", num_layers = 2')
    assert record_of(OneLayer, covered, monkeypatch).status == FALSIFIED


def test_a_fault_beside_the_covered_cases_still_falsifies(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = ENTRY.replace('nonlinearity = "relu"', 'nonlinearity = "relu", bias = false').replace(
        "nonlinearity='relu', seed", "nonlinearity='relu', bias=False, seed"
    )
    assert record_of(ReluIsTanh, narrow, monkeypatch).status == FALSIFIED


def test_a_witness_that_passes_makes_the_entry_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_of(nn.RNN, ENTRY, monkeypatch)
    assert record.status == FALSIFIED
    assert "known issue relu-is-tanh is stale: its witness Case('RNN'" in record.message


@pytest.mark.parametrize(
    ("attempts", "failing", "found"),
    [(1, "ab", True), (1, "a", False), (2, "a", True), (2, "b", True), (2, "", False)],
)
def test_a_read_past_an_end_must_fail_in_one_variant_and_what_else_is_known_in_all(
    attempts: int, failing: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f'attempts = {attempts}\nwhere = {{ variant = ["a", "b"] }}'
    entries = parse(ENTRY.replace('where = { nonlinearity = "relu" }', where))
    monkeypatch.setattr(known_issues, "known_issues", lambda: entries)
    monkeypatch.setattr(witnesses, "_fails", lambda plan, case, *_: case.variant in [*failing])
    plan = Plan(CATALOGUE["equals_reference"], Subject("wrong.RNN", "RNN", nn.RNN), "float32")
    issues, stale = witnesses.reproduced(plan)
    assert (issues == [*entries], bool(stale)) == (found, not found)


def test_a_subclass_that_mends_the_fault_is_held_to_the_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = ENTRY.replace("wrong.RNN", "torch.nn.RNN")
    assert record_of(nn.RNN, text, monkeypatch).status == HOLDS


def test_other_precisions_are_not_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ENTRY.replace('torch = ">=2.0"', 'torch = ">=2.0"\nprecisions = ["float64"]')
    assert record_of(ReluIsTanh, text, monkeypatch).status == FALSIFIED


def test_on_another_device_an_entry_is_put_where_the_property_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = ENTRY.replace('torch = ">=2.0"', 'torch = ">=2.0"\ndevices = ["cuda"]')
    record = record_of(ReluIsTanh, text, monkeypatch)
    assert record.status == KNOWN_ISSUE
    assert record.message.endswith("relu is computed as tanh; also seen on cpu")
    # It is not strict there: a witness that passes is no fault.
    assert record_of(nn.RNN, text, monkeypatch).status == HOLDS


def test_a_machine_that_has_what_an_issue_lacks_is_not_excused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = ENTRY.replace('torch = ">=2.0"', 'torch = ">=2.0"\nlacking = "a feature"')
    for there, status in ((False, KNOWN_ISSUE), (True, FALSIFIED)):
        monkeypatch.setitem(known_issues.FEATURES, "a feature", lambda _, there=there: there)
        assert record_of(ReluIsTanh, text, monkeypatch).status == status


def test_an_entry_may_name_the_form_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    where = 'nonlinearity = "relu", form = ["dense", "unbatched"]'
    text = ENTRY.replace('nonlinearity = "relu" }', f"{where} }}")
    assert record_of(ReluIsTanh, text, monkeypatch).status == FALSIFIED


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('torch = ">=2.0"', 'torch = "2"', "known issue relu-is-tanh: torch range '2': expected"),
        ("seed=1", "sed=1", "known issue relu-is-tanh: .*unexpected keyword argument 'sed'"),
        ("where = { nonl", "where = { nol", "a Case has no field 'nolinearity'"),
        ("reason", "because", "unknown field 'because'"),
        ("reason", 'lacking = "luck"\nreason', "'luck' is not one of"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(old: str, new: str, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        parse(ENTRY.replace(old, new))


def test_ranges_of_versions() -> None:
    assert in_range("2.13.0+cpu", ">=2.9,<2.14")
    assert not in_range("2.9.1", ">=2.13")
    assert in_range("2.10.0", ">2.9.1,<=2.10.0")


def test_every_entry_names_a_property_and_its_link() -> None:
    for issue in known_issues.known_issues():
        assert issue.property in CATALOGUE
        assert issue.link.startswith("https://")
        for name in issue.subjects:
            assert name.startswith(("torch.", "gatewise.impl."))


SHARED = """
[[issue]]
name = "two"
subjects = ["wrong.RNN", "wrong.GRU"]
torch = ">=2.0"
link = "https://example.org/1"
reason = "said once"
devices = ["cpu"]

[[issue.cases]]
property = "equals_reference"
witness = "seed=1"

[[issue.cases]]
property = "time_split"
witness = "time=2"
torch = "<2.0"
"""


def test_what_an_issue_states_each_of_its_cases_states() -> None:
    first, second = parse(SHARED)
    assert first.subjects == second.subjects == ("wrong.RNN", "wrong.GRU")
    assert first.reason == second.reason
    assert (first.property, second.property) == ("equals_reference", "time_split")
    assert (first.torch, second.torch) == (">=2.0", "<2.0")


def test_a_witness_is_a_case_of_the_subjects_own_class() -> None:
    issue = parse(SHARED)[0]
    layer, cell = Subject("wrong.RNN", "RNN", nn.RNN), Subject("wrong.GRU", "GRUCell", nn.GRUCell)
    assert issue.case(layer, "float64") == Case("RNN", seed=1, precision="float64")
    assert issue.case(cell, "float32") == Case("GRU", cell=True, seed=1)


def test_an_entry_of_cuda_is_one_of_every_cuda_device() -> None:
    text = ENTRY.replace('torch = ">=2.0"', 'torch = ">=2.0"\ndevices = ["cuda"]')
    (issue,) = parse(text)
    unnamed = [issue.unnamed(device) for device in ("cpu", "cuda", "cuda:1")]
    assert unnamed == [["cpu"], [], []]


def test_no_reason_is_said_twice() -> None:
    said = {(issue.name, issue.reason, issue.link) for issue in known_issues.known_issues()}
    assert len(said) == len({(reason, link) for _, reason, link in said})
    assert len(said) == len({name for name, _, _ in said})


def test_outside_of_its_range_an_entry_is_put_where_the_property_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = ENTRY.replace('torch = ">=2.0"', 'torch = "<2.0"')
    record = record_of(ReluIsTanh, text, monkeypatch)
    assert record.status == KNOWN_ISSUE
    assert 0 < record.excused < record.cases
    assert record.message == (
        "relu-is-tanh (https://example.org/1): relu is computed as tanh; also seen on torch "
        f"{torch.__version__}"
    )
    # It is not strict there: a witness that passes is no fault, and excuses nothing.
    assert record_of(nn.RNN, text, monkeypatch).status == HOLDS


def test_outside_of_its_range_what_else_is_wrong_still_falsifies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class WrongInBothWays(ReluIsTanh):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            return output + 1, state

    text = ENTRY.replace('torch = ">=2.0"', 'torch = "<2.0"')
    record = record_of(WrongInBothWays, text, monkeypatch)
    assert record.status == FALSIFIED
    assert "nonlinearity" not in record.case


class Own(nn.RNNBase):
    """A layer of torch's base class that is none of the three."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("RNN_TANH", *args, **kwargs)


def test_what_all_layers_share_is_their_base_classs() -> None:
    every = [i for i in known_issues.known_issues() if i.name == "deleted-weight"]
    assert any({"torch.nn.RNN", "torch.nn.LSTM", "torch.nn.GRU"} <= {*i.subjects} for i in every)
    own, plain = Subject("own", "RNN", Own), Subject("plain", "RNN", nn.Module)
    assert any(i.of(own) for i in every)
    assert not any(i.of(plain) for i in every)
    alone = [i for i in known_issues.known_issues() if i.subjects == ("torch.nn.LSTM",)]
    assert not any(i.of(own) for i in alone)
