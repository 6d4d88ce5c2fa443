"""The published kinds on modules of both forms: values and gradients lie within the bound."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import linear, logsigmoid

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.reporting.diagnosis_of_gradients import gradient_diagnosis
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, Diagnosis
from gatewise.properties.subjects.loading import as_subject
from gatewise.reference.classes import CLASSES, DECLARED
from gatewise.reference.kinds import KINDS

from .modules import cell_of
from .published_in_torch import FORMS
from .soundness import subjects

#: Property → the precision that it is put in here.
PUT = {
    "equals_reference": "float32",
    "gradient_of_own_weights": "bfloat16",
    "gradient_of_own_states": "float64",
    "functional_hvp": "float32",
}


def test_every_published_kind_has_two_forms() -> None:
    rows = [KINDS[CLASSES[name].kind] for name in DECLARED]
    assert {k.name for k in rows if k.declared and "published" in k.declared.source} == set(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_both_forms_are_right(name: str) -> None:
    ratios = []
    for subject in subjects(name):
        for prop, precision in PUT.items():
            record = run(Plan(CATALOGUE[prop], subject, precision), profile="quick", seed=1)
            assert record.status == HOLDS, record.message
            ratios.append(record.worst)
    assert 0 < max(ratios) < 1


@pytest.mark.parametrize("name", ["PeepholeLSTM", "SRU", "SLSTM", "ZoneoutLSTM"])
def test_a_right_gradient_has_no_diagnosis(name: str) -> None:
    for subject in subjects(name):
        row = CLASSES[subject.like]
        time = 1 if row.cell else 3
        case = Case(row.kind, cell=row.cell, input_size=3, hidden_size=4, batch=2, time=time)
        assert [d for d in gradient_diagnosis(subject, case) if d != Diagnosis()] == []


def unstable(x: Any, s: Any, w: Any) -> Any:
    """An sLSTM whose normaliser is not divided by exp(m')."""
    h, c, n, m = s
    i, f, z, o = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(4, -1)
    f = logsigmoid(f) + m
    m = torch.maximum(f, i)
    new = torch.exp(i - m)
    c = torch.exp(f - m) * c + new * torch.tanh(z)
    n = torch.exp(f - m) * n + torch.exp(i)
    h = torch.sigmoid(o) * c / n
    return h, (h, c, n, m)


def test_the_stabiliser_of_an_slstm_changes_no_output() -> None:
    prop = CATALOGUE["slstm_output_ignores_the_stabiliser"]
    for subject in subjects("SLSTM"):
        assert run(Plan(prop, subject, "float32"), profile="quick").status == HOLDS
    wrong = as_subject(cell_of(KINDS["SLSTM"], unstable, "Unstable"), "SLSTMCell")
    assert run(Plan(prop, wrong, "float32"), profile="quick").status == FALSIFIED
