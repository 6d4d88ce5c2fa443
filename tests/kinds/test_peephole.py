"""A kind that a file declares, on a right module and on planted faults: nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.levels import CONTRACT, counts
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import FALSIFIED, HOLDS, NOT_RUN, UNSUPPORTED
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import as_subject

from . import peephole
from .peephole import PeepholeCell, PeepholeLayer

LIKE = {PeepholeCell: "TestedPeepholeCell", PeepholeLayer: "TestedPeephole"}


def subject_of(factory: Any) -> Any:
    base = next(b for b in LIKE if issubclass(factory, b))
    return as_subject(factory, LIKE[base])


@pytest.mark.parametrize("factory", LIKE, ids=lambda f: f.__name__)
def test_a_right_module_holds_at_values_and_contract(factory: Any) -> None:
    found = plans([subject_of(factory)], ["cpu"], ["float32"])
    chosen = [p for p in found if counts(p.prop.level, CONTRACT) and p.prop.family != "compilation"]
    records = [run(p, profile="quick", seed=1) for p in chosen]
    wrong = {r.name: r.message for r in records if r.status not in (HOLDS, UNSUPPORTED, NOT_RUN)}
    assert not wrong
    holding = {r.name for r in records if r.status == HOLDS}
    assert {"equals_reference", "count_is_exact", "hidden_permutation", "func_grad"} <= holding
    assert len(holding) > 80


class PeepholeOfTheOldCellOnO(PeepholeCell):
    def seen_by_o(self, before: Tensor, after: Tensor) -> Tensor:
        return before


class InputAndForgetSwapped(PeepholeCell):
    def order(self, a: Tensor) -> tuple[Tensor, ...]:
        f, i, g, o = a.chunk(4, -1)
        return i, f, g, o


class ForgetAndCandidateSwapped(PeepholeLayer):
    def order(self, a: Tensor) -> tuple[Tensor, ...]:
        i, g, f, o = a.chunk(4, -1)
        return i, f, g, o


class CandidateAndOutputSwapped(PeepholeLayer):
    def order(self, a: Tensor) -> tuple[Tensor, ...]:
        i, f, o, g = a.chunk(4, -1)
        return i, f, g, o


class PeepholesReversed(PeepholeCell):
    def peepholes(self, w: Any) -> Tensor:
        return super().peepholes(w).flip(0)


class OnePeepholeForAll(PeepholeLayer):
    def peepholes(self, w: Any) -> Tensor:
        return super().peepholes(w)[:1].expand(3, -1)


class NoPeepholeOnO(PeepholeLayer):
    def seen_by_o(self, before: Tensor, after: Tensor) -> Tensor:
        return torch.zeros_like(after)


class PeepholeGradientDropped(PeepholeCell):
    def peepholes(self, w: Any) -> Tensor:
        p = super().peepholes(w)
        return p.detach() + 0.0 * p


class CellGradientThroughPeepholesDropped(PeepholeLayer):
    def seen(self, c: Tensor) -> Tensor:
        return c.detach()


class GradientOfTheNewCellOnODropped(PeepholeCell):
    def seen_by_o(self, before: Tensor, after: Tensor) -> Tensor:
        return after.detach()


class RecurrentWeightsTransposed(PeepholeLayer):
    def sums(self, x: Tensor, h: Tensor, w: Any) -> Tensor:
        blocks = [b.T for b in w.weight_hh.chunk(4)]
        return linear(x, w.weight_ih, w.bias) + linear(h, torch.cat(blocks))


class BiasLeftOut(PeepholeCell):
    def sums(self, x: Tensor, h: Tensor, w: Any) -> Tensor:
        return linear(x, w.weight_ih) + linear(h, w.weight_hh)


VALUES, WEIGHTS = "equals_reference", "gradient_of_own_weights"
STATES = "gradient_of_own_states"
#: Fault → the property that falsifies it, and the words of its diagnosis or message.
FAULTS = {
    PeepholeOfTheOldCellOnO: (VALUES, "the old c read in line"),
    InputAndForgetSwapped: (VALUES, "i and f swapped in weight_ih, weight_hh, bias"),
    ForgetAndCandidateSwapped: (VALUES, "f and g swapped in weight_ih, weight_hh, bias"),
    CandidateAndOutputSwapped: (VALUES, "g and o swapped in weight_ih, weight_hh, bias"),
    PeepholesReversed: (VALUES, "0 and 2 swapped in peephole"),
    OnePeepholeForAll: (VALUES, "peephole[0] for all blocks"),
    NoPeepholeOnO: (VALUES, "the term `w.peephole[2] * c` of line"),
    PeepholeGradientDropped: (WEIGHTS, "the gradient of peephole dropped"),
    CellGradientThroughPeepholesDropped: (STATES, "no gradient to the old c through peephole"),
    GradientOfTheNewCellOnODropped: (WEIGHTS, "no gradient to the new c through peephole"),
    RecurrentWeightsTransposed: (VALUES, "weight_hh transposed"),
    BiasLeftOut: (VALUES, "bias left out"),
}


@pytest.mark.parametrize("factory", FAULTS, ids=lambda f: f.__name__)
def test_a_planted_fault_is_falsified_and_named(factory: Any, tmp_path: Path) -> None:
    name, words = FAULTS[factory]
    plan = Plan(CATALOGUE[name], subject_of(factory), "float32")
    record = diagnosed(plan, run(plan, seed=1), tmp_path)
    assert record.status == FALSIFIED
    told = "\n".join(record.diagnosis.faults)
    assert words in told, told or record.message


def test_twelve_faults_are_planted() -> None:
    assert len(FAULTS) == 12
    assert peephole.TestedPeephole.states == ("h", "c")
