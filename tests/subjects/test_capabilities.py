"""What a subject does not offer is unsupported, with its reason; what it ignores is falsified."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Property
from gatewise.properties.running.engine import check_conformance, run
from gatewise.properties.running.plans import Plan, subject_of
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record, not_offered
from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.properties.subjects.capabilities import SubjectError
from gatewise.properties.subjects.loading import as_subject

AGREEMENT = CATALOGUE["equals_reference"]


def record_of(subject: Any, name: str, like: str | None = None) -> Record:
    return run(Plan(CATALOGUE[name], as_subject(subject, like), "float32"), profile="quick", seed=2)


class Simple(nn.Module):
    """One layer in one direction on dense batches, and it says so."""

    gatewise_unsupported = {  # noqa: RUF012 - as a user writes it
        "packed": "it takes tensors alone",
        "unbatched": "it takes three dimensions alone",
        "state": "it starts from zeros",
    }

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        inner = nn.GRU(input_size, hidden_size, bias=bias)
        self.names = [name for name, _ in inner.named_parameters()]
        for name, p in inner.named_parameters():
            self.register_parameter(name, p)
        self.bias = bias
        self.hidden_size = hidden_size

    def forward(self, x: Tensor) -> Any:
        if not isinstance(x, Tensor):
            raise TypeError(f"x: a tensor is expected, {type(x).__name__} was given")
        if x.ndim != 3:
            raise ValueError(f"x: three dimensions are expected, {x.ndim} were given")
        weights = [getattr(self, name) for name in self.names]
        h = x.new_zeros(1, x.shape[1], self.hidden_size)
        return torch.gru(x, h, weights, self.bias, 1, 0.0, self.training, False, False)


class BySubclass(Simple):
    """The same by inheritance."""


@pytest.mark.parametrize("subject", [Simple, BySubclass])
def test_stated_gaps_are_not_drawn_and_what_is_left_holds(subject: Any) -> None:
    drawn: list[Case] = []

    def note(subject: Any, case: Case, check: Any) -> None:
        drawn.append(case)
        AGREEMENT.claim(subject, case, check)

    prop = Property(
        name="noted", family="agreement", sentence="s", formula="f", claim=note, share=2.0
    )
    here = replace(as_subject(subject, "GRU"), trusted=True)  # in this process, to be noted
    record = run(Plan(prop, here, "float32"), profile="standard")
    assert (record.status, record.unoffered) == (HOLDS, 0)
    assert {c.bias for c in drawn} == {True, False}
    for case in drawn:
        assert (case.num_layers, case.bidirectional, case.batch_first) == (1, False, False)
        assert (case.with_state, case.lengths) == (False, None)
        assert case.batch is not None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("layers_stack", "Simple has no argument num_layers"),
        ("directions_are_independent", "Simple has no argument bidirectional"),
        ("batch_first_transposes", "Simple has no argument batch_first"),
        ("unbatched_is_a_batch_of_one", "it takes three dimensions alone"),
        ("update_gate_at_one_keeps_the_state", "it starts from zeros"),
    ],
)
def test_a_property_about_a_gap_is_unsupported_with_the_reason(name: str, reason: str) -> None:
    record = record_of(Simple, name, "GRU")
    assert (record.status, record.message, record.cases) == (UNSUPPORTED, reason, 0)


def test_gaps_are_counted_and_shown() -> None:
    records = check_conformance(
        Simple, like="GRU", precisions=["float32"], profile="quick", properties=list(CATALOGUE)
    )
    assert {r.name: r.message for r in records if not r.passed} == {}
    lines = "\n".join(not_offered(records))
    assert "it starts from zeros (" in lines
    assert re.search(r"no argument num_layers \(unsupported properties: [1-9]\d*, cases l", lines)


class RaisesForTwoLayers(nn.LSTM):
    """Says by NotImplementedError, from its constructor, that it has one layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("num_layers", 1) > 1:
            raise NotImplementedError("one layer alone")
        super().__init__(*args, **kwargs)


def test_not_implemented_for_an_option_is_counted_by_case() -> None:
    held = record_of(RaisesForTwoLayers, "equals_reference")
    assert held.status == HOLDS
    assert 0 < held.unoffered < held.cases
    assert "one layer alone" in held.message
    stacked = record_of(RaisesForTwoLayers, "layers_stack")
    assert (stacked.status, stacked.unoffered) == (UNSUPPORTED, stacked.cases)
    lines = not_offered([held, stacked])
    assert len(lines) == 1
    left = held.unoffered + stacked.unoffered
    assert lines[0].endswith(f"(unsupported properties: 1, cases left out: {left})")


def test_an_adapter_states_gaps_and_so_does_a_precision() -> None:
    gaps = {"float16": "no kernel", "limits": "out of scope", "time_split": "it keeps its state"}
    adapter = Adapter(nn.LSTM, "LSTM", unsupported=gaps)
    subject = as_subject(adapter)
    for name, precision in (
        ("equals_reference", "float16"),
        ("closed_output_gate_hides_the_cell", "float32"),
        ("time_split", "float32"),
    ):
        record = run(Plan(CATALOGUE[name], subject, precision), profile="quick")
        assert (record.status, record.message in gaps.values()) == (UNSUPPORTED, True)


def ignoring(option: str, kind: str) -> type[nn.Module]:
    """A class that accepts an option of torch.nn's and does not act on it."""
    base: Any = getattr(nn, kind)

    class Ignores(base):  # type: ignore[misc]
        def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
            options.pop(option, None)
            super().__init__(input_size, hidden_size, **options)

    return Ignores


@pytest.mark.parametrize(
    ("option", "kind", "seen"),
    [
        ("num_layers", "LSTM", "parameters are"),
        ("bias", "GRU", "parameters are"),
        ("bidirectional", "RNN", "parameters are"),
        ("proj_size", "LSTM", "parameters are"),
        ("batch_first", "GRU", ""),
        ("nonlinearity", "RNN", "error"),
        ("bias", "LSTMCell", "parameters are"),
        ("nonlinearity", "RNNCell", "error"),
    ],
)
def test_an_option_accepted_and_then_ignored_is_falsified(
    option: str, kind: str, seen: str
) -> None:
    record = record_of(ignoring(option, kind), "equals_reference")
    assert record.status == FALSIFIED
    assert seen in record.message
    assert f"{option}=" in record.case


def stating(gaps: Any) -> type[nn.Module]:
    class States(nn.LSTM):
        gatewise_unsupported = gaps

    return States


@pytest.mark.parametrize(
    ("gaps", "line"),
    [
        ({"projsize": "none"}, "'projsize' is stated as not offered; expected one of num_layers"),
        ({"proj_size": ""}, "States.gatewise_unsupported: 'proj_size' has no reason"),
        ({"proj_size": 3}, "States.gatewise_unsupported: 'proj_size' has no reason"),
        (["proj_size"], "States.gatewise_unsupported: a list was given; expected {name: reason}"),
    ],
)
def test_a_gap_that_is_none_is_one_clear_line(gaps: Any, line: str) -> None:
    with pytest.raises(SubjectError) as caught:
        subject_of(stating(gaps), "LSTM")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_gap_of_an_adapter_is_one_clear_line() -> None:
    with pytest.raises(SubjectError, match="'projsize' is stated as not offered; expected one of"):
        subject_of(Adapter(nn.LSTM, "LSTM", unsupported={"projsize": "none"}))
