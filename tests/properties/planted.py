"""Puts a wrong subject to one property."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from torch import nn

from gatewise.properties.cases.case import case_from
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.put import put
from gatewise.properties.running.records import FALSIFIED
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Subject


def subject_of(factory: Callable[..., nn.Module], kind: str = "LSTM") -> Subject:
    """The wrong class as a subject."""
    return Subject(f"wrong.{factory.__name__}", kind, factory)


def assert_falsified(
    factory: Callable[..., nn.Module], prop: str, message: str, kind: str = "LSTM"
) -> None:
    """Require that the property is falsified within the standard profile by a message that fits.

    The smallest case must fail on the wrong subject again, and leave torch.nn's alone.
    """
    plan = Plan(CATALOGUE[prop], subject_of(factory, kind), "float32")
    record = run(plan, profile="standard", seed=1)
    assert record.status == FALSIFIED, record
    assert re.search(message, record.message), record.message
    case = case_from(record.case)
    with pytest.raises(Exception, match=message):
        put(plan, case, Check())
    put(Plan(plan.prop, BUILTIN[f"torch.nn.{kind}"], "float32"), case, Check())
