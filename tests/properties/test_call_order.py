"""Calls of one module after each other: the mode of a case, pairs of kinds, and what they find."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

from gatewise.properties.cases.case import Case
from gatewise.properties.cases.strategies import _trains
from gatewise.properties.families.call_order import PAIRS, pairs
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Subject

LSTM = BUILTIN["torch.nn.LSTM"]
RAGGED = Case("LSTM", batch=2, time=2, lengths=(1, 2))


def test_a_module_is_built_in_the_mode_of_the_case() -> None:
    assert LSTM.build(RAGGED).training
    assert not LSTM.build(RAGGED.but(training=False)).training


def test_a_third_of_the_cases_is_in_evaluation_where_a_family_says_so() -> None:
    trained = sum(_trains(seed, True) for seed in range(900))
    assert 540 < trained < 660
    assert all(_trains(seed, False) for seed in range(9))


def test_claims_about_gradients_are_not_drawn_in_evaluation() -> None:
    assert CATALOGUE["weight_updates_are_seen"].evaluates
    assert not CATALOGUE["frozen_weights_stay"].evaluates


@pytest.mark.parametrize(("low", "count"), [(False, 144), (True, 432)])
def test_every_pair_of_kinds_is_drawn(low: bool, count: int) -> None:
    found = set()
    for seed in range(600):
        drawn = pairs(LSTM, RAGGED.but(seed=seed), low)
        assert len(set(drawn)) == PAIRS
        found.update(drawn)
    assert len(found) == count
    assert all((a.low or b.low) is low for a, b in found)


def test_a_cell_has_no_packed_kind() -> None:
    cell = BUILTIN["torch.nn.GRUCell"]
    assert not any(k.packed for p in pairs(cell, Case("GRU", cell=True), True) for k in p)


class KeepsInEval(nn.GRU):
    """In evaluation a batch starts at the state of the last batch of its size."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if self.training or hx is not None or not isinstance(input, Tensor) or input.dim() == 2:
            return super().forward(input, hx)
        kept: dict[Any, Tensor] = self.__dict__.setdefault("kept", {})
        output, state = super().forward(input, kept.get(input.shape))
        kept[input.shape] = state.detach().clone()
        return output, state


class ForgetsGradients(nn.GRUCell):
    """Gives W_hh no gradient after a call in evaluation."""

    evaluated = False

    def forward(self, input: Any, hx: Any = None) -> Any:
        result = super().forward(input, hx)
        forgets, self.evaluated = self.evaluated and self.training, not self.training
        return result.detach().requires_grad_(result.requires_grad) if forgets else result


FAULTS = [
    (KeepsInEval, "GRU", "evaluation_batches_are_independent", "of batch 3 in evaluation"),
    (ForgetsGradients, "GRUCell", "calls_of_any_kind_may_come_before", "(training, grad) after a"),
]


@pytest.mark.parametrize(("factory", "like", "prop", "says"), FAULTS)
def test_a_planted_fault_is_named(factory: Any, like: str, prop: str, says: str) -> None:
    plan = Plan(CATALOGUE[prop], Subject("wrong", like, factory), "float32")
    record = run(plan, profile="standard", seed=1)
    assert record.status == FALSIFIED
    assert says in record.message
