"""The published kinds on modules of both forms: values and gradients lie within the bound."""

from __future__ import annotations

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import HOLDS
from gatewise.reference.classes import CLASSES, DECLARED
from gatewise.reference.kinds import KINDS

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
