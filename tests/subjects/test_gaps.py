"""Gaps, stated or met in a call: what is not offered is unsupported, and no error of Gatewise's."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise import impl
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import ERROR, FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.properties.subjects.capabilities import FORMS, OPTIONS, OTHER, Unsupported
from gatewise.properties.subjects.loading import as_subject
from gatewise.properties.subjects.protocol import Subject, called

#: Every gap that the documentation lists, but for the names of properties and families.
GAPS = (*OPTIONS, *FORMS, *OTHER, "float64", "float32", "float16", "bfloat16")


def put(subject: Subject, name: str, precision: str = "float32", seed: int = 1) -> Record:
    return run(Plan(CATALOGUE[name], subject, precision), profile="quick", seed=seed)


def stating(base: type[nn.Module], *gaps: str) -> Subject:
    factory = type(
        f"Stating{base.__name__}",
        (base,),
        {"gatewise_unsupported": dict.fromkeys(gaps, "left out")},
    )
    return as_subject(factory)


@pytest.mark.parametrize("base", [nn.LSTM, nn.GRU], ids=["LSTM", "GRU"])
def test_each_gap_and_each_pair_of_gaps_leaves_cases_or_is_unsupported(base: Any) -> None:
    """Every case that a run would begin and end with can be made; none is run here."""
    chosen = [(), *((g,) for g in GAPS), *combinations(GAPS, 2)]
    for gaps in chosen:
        for plan in plans([stating(base, *gaps)], precisions=["float32"]):
            try:
                plan.prop.cases_for(plan.subject, "float32").validate()
            except Unsupported:
                continue
            for case in plan.prop.edge_cases(plan.subject, "float32", 7):
                for option in {*gaps} & {*OPTIONS}:
                    assert getattr(case, option) == OPTIONS[option]
                assert "state" not in gaps or not case.with_state


@pytest.mark.parametrize("gap", ["proj_size", "state", "bias", "packed"])
@pytest.mark.parametrize("name", ["refusals_name_the_argument", "equals_reference"])
def test_a_stated_gap_is_no_error_in_a_run(gap: str, name: str) -> None:
    record = put(stating(impl.LSTM, gap), name)
    assert record.status in (HOLDS, UNSUPPORTED), record.message


@pytest.mark.parametrize(
    "name", ["float64_gives_the_same", "converted_module_computes_in_its_dtype"]
)
def test_a_precision_that_is_not_offered_is_used_by_no_claim(name: str) -> None:
    record = put(stating(impl.LSTM, "float64"), name)
    assert (record.status, record.message) == (UNSUPPORTED, "left out")


class DenseGRU(impl.GRU):
    """Refuses in its call what it does not offer, and says so as Python does."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            raise NotImplementedError("packed sequences are not implemented")
        if input.dim() == 2:
            raise NotImplementedError("an unbatched input is not implemented")
        return super().forward(input, hx)


def test_a_form_that_a_call_does_not_implement_is_unsupported_there() -> None:
    subject = as_subject(DenseGRU)
    record = put(subject, "equals_reference")
    assert record.status == HOLDS
    assert record.unoffered > 0
    assert "not implemented" in record.message
    for name in ("packed_equals_each_sequence_alone", "unbatched_is_a_batch_of_one"):
        assert put(subject, name).status == UNSUPPORTED


def test_every_property_of_a_subject_of_dense_batches_holds_or_is_unsupported() -> None:
    for plan in plans([as_subject(DenseGRU)], precisions=["float32"]):
        if plan.prop.level == "values":
            record = run(plan, profile="quick", seed=2)
            assert record.status in (HOLDS, UNSUPPORTED), (record.id, record.message)


class KernellessGRUCell(impl.GRUCell):
    """Meets an operator of torch that has no kernel for its arguments."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        torch.empty(2, device="meta").item()
        return super().forward(input, hx)


def test_an_operator_without_a_kernel_falsifies() -> None:
    with pytest.raises((NotImplementedError, RuntimeError)):
        called(KernellessGRUCell(2, 3), torch.ones(1, 2))
    assert put(as_subject(KernellessGRUCell), "equals_reference").status == FALSIFIED


class OrthogonalGRU(nn.GRU):
    """Begins with orthogonal matrices, for which torch has no kernel in formats of 16 bits."""

    def reset_parameters(self) -> None:
        for p in self.parameters():
            (nn.init.orthogonal_ if p.ndim > 1 else nn.init.zeros_)(p)


def test_a_constructor_that_needs_what_torch_lacks_is_unsupported() -> None:
    record = put(as_subject(OrthogonalGRU), "construction_follows_the_dtype", "float16")
    assert record.status == UNSUPPORTED
    assert record.message.startswith("the constructor needs what torch lacks: ")
    assert "not implemented for 'Half'" in record.message


class WithExtra(nn.Module):
    """An RNN cell with a parameter beside its weights that takes part in the result."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        inner = nn.RNNCell(input_size, hidden_size)
        for name, p in inner.named_parameters():
            self.register_parameter(name, p)
        self.temperature = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = x.new_zeros(*x.shape[:-1], self.weight_hh.shape[1]) if h is None else h
        share = x @ self.weight_ih.T + self.bias_ih
        return torch.tanh((share + h @ self.weight_hh.T + self.bias_hh) * self.temperature)


def test_an_ignored_parameter_takes_no_gradient() -> None:
    subject = as_subject(Adapter(WithExtra, "RNNCell", ignored=("temperature",)), name="own")
    for name in ("grad_modes_give_the_same", "results_require_grad_as_weights_do"):
        record = put(subject, name)
        assert record.status == HOLDS, record.message


def test_an_error_inside_gatewise_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise TypeError("planted")

    monkeypatch.setattr("gatewise.properties.running.engine.reproduced", broken)
    record = put(as_subject(nn.LSTM), "equals_reference")
    assert record.status == ERROR
    assert not record.passed
    first = record.message.partition("\n")[0]
    assert first.startswith("an error inside Gatewise, which says nothing about the subject")
    assert "TypeError: planted; please report it" in first
