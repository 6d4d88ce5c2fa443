"""Dropout between layers of declared kinds: right layers hold, and each planted fault is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.dropout.every_mask import every_mask, tried
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import as_subject
from gatewise.reference.kinds import KINDS

from .modules import layer_of
from .published_in_torch import FORMS

VALUES, GRADIENTS = "some_mask_gives_the_results", "gradients_are_those_of_the_same_mask"
RATE, CALLS = "rate_of_some_mask_is_binomial", "each_call_and_row_draws_some_mask"
CLAIMS = (VALUES, GRADIENTS, RATE, CALLS)


def layer(name: str, form: int = 0) -> Any:
    return layer_of(KINDS[name], FORMS[name][form], f"{name}{form}")


def record_of(factory: Any, name: str, prop: str, precision: str = "float32") -> Record:
    subject = as_subject(factory, name)
    return run(Plan(CATALOGUE[prop], subject, precision), profile="quick", seed=1)


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("name", ["SRU", "LiGRU", "SLSTM", "LayerNormGRU"])
def test_a_right_layer_holds(name: str, form: int) -> None:
    for prop in CLAIMS:
        record = record_of(layer(name, form), name, prop)
        assert record.status == HOLDS, record.message
        assert record.comparisons > record.cases


@pytest.mark.parametrize("precision", ["float64", "float16", "bfloat16"])
def test_a_right_layer_holds_in_every_precision(precision: str) -> None:
    for prop in (VALUES, GRADIENTS):
        record = record_of(layer("CoupledLSTM"), "CoupledLSTM", prop, precision)
        assert record.status == HOLDS, record.message


def test_every_mask_is_tried_once() -> None:
    masks = every_mask(Case("MGU", hidden_size=2, time=2, bidirectional=True, num_layers=2))
    assert masks.shape == (256, 2, 4)
    assert len({m.tobytes() for m in masks}) == 256


def test_masks_are_told_apart_where_their_results_differ() -> None:
    case = Case(
        "MGU",
        hidden_size=2,
        num_layers=2,
        batch=4,
        dropout=0.5,
        weights="spread",
        inputs="spread",
        states="spread",
    )
    assert tried(case).apart().all()
    # A layer without weights has the same results under each mask.
    assert not tried(case.but(weights="zeros")).apart().any()


class Unscaled:
    def between(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) >= self.dropout) if self.training else x


class ScaledByTheRate:
    def between(self, x: Tensor) -> Tensor:
        return torch.dropout(x, self.dropout, self.training) * (1.0 - self.dropout)


class NeverDrops:
    def between(self, x: Tensor) -> Tensor:
        return x


class DropsInPart:
    """What is dropped keeps a hundredth of its value."""

    def between(self, x: Tensor) -> Tensor:
        return torch.dropout(x, self.dropout, self.training) * 0.99 + x * 0.01


class DropsTheLastOutput:
    def forward(self, input: Tensor, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        return torch.dropout(output, self.dropout, self.training), state


class DropsTheFinalStates:
    def forward(self, input: Tensor, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        return output, torch.dropout(state, self.dropout, self.training)


class GradientIsNotDropped:
    def between(self, x: Tensor) -> Tensor:
        dropped = torch.dropout(x, self.dropout, self.training)
        return x + (dropped - x).detach()


class GradientIsNotScaled:
    def between(self, x: Tensor) -> Tensor:
        dropped = torch.dropout(x, self.dropout, self.training)
        kept = x * (dropped != 0)
        return kept + (dropped - kept).detach()


class GradientHasAMaskOfItsOwn:
    def between(self, x: Tensor) -> Tensor:
        dropped, other = (torch.dropout(x, self.dropout, self.training) for _ in range(2))
        return other + (dropped - other).detach()


class RateOfItsOwn:
    """The scale is right for p, and a unit is kept with the probability p."""

    def between(self, x: Tensor) -> Tensor:
        if not self.training or self.dropout in (0.0, 1.0):
            return torch.dropout(x, self.dropout, self.training)
        return x * (torch.rand_like(x) < (1.0 - self.dropout) ** 2) / (1.0 - self.dropout)


class OneMaskForEveryCall:
    def between(self, x: Tensor) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return torch.dropout(x, self.dropout, self.training)


class OneMaskForAllRows:
    def between(self, x: Tensor) -> Tensor:
        ones = torch.ones_like(x[:, :1])
        return x * torch.dropout(ones, self.dropout, self.training)


FAULTS = {
    Unscaled: VALUES,
    ScaledByTheRate: VALUES,
    NeverDrops: VALUES,
    DropsInPart: VALUES,
    DropsTheLastOutput: VALUES,
    DropsTheFinalStates: VALUES,
    GradientIsNotDropped: GRADIENTS,
    GradientIsNotScaled: GRADIENTS,
    GradientHasAMaskOfItsOwn: GRADIENTS,
    RateOfItsOwn: RATE,
    OneMaskForEveryCall: CALLS,
    OneMaskForAllRows: CALLS,
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["MGU", "MinGRU"])
def test_a_planted_fault_is_seen_by_its_claim(fault: type, name: str) -> None:
    wrong = type(fault.__name__, (fault, layer(name)), {})
    record = record_of(wrong, name, FAULTS[fault])
    assert record.status == FALSIFIED, record.message
    # What each mask gives is right where the fault is in how masks are drawn, or in the gradients.
    for prop in {VALUES: (), GRADIENTS: (VALUES,)}.get(FAULTS[fault], (VALUES, GRADIENTS)):
        assert record_of(wrong, name, prop).status == HOLDS


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Unscaled, "survivors not scaled by 1/(1−p)"),
        (NeverDrops, "nothing dropped in training"),
        (ScaledByTheRate, "survivors not scaled by 1/(1−p)"),
        (DropsTheFinalStates, None),
    ],
)
def test_the_diagnosis_names_the_factor(fault: type, named: str | None, tmp_path: Path) -> None:
    subject = as_subject(type(fault.__name__, (fault, layer("MGU")), {}), "MGU")
    plan = Plan(CATALOGUE[VALUES], subject, "float32")
    record = diagnosed(plan, run(plan, profile="quick", seed=1), tmp_path)
    assert record.status == FALSIFIED
    assert "ball under the nearest of" in record.message
    assert record.diagnosis.faults == ((named,) if named else ())
    assert not record.diagnosis.note
