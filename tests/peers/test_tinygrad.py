"""tinygrad's LSTMCell, where tinygrad is installed."""

from __future__ import annotations

import importlib.util

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.loading import as_subject

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tinygrad") is None, reason="tinygrad is not installed"
)


def record(prop: str) -> Record:
    """The record of a property in float32."""
    subject = as_subject("gatewise.peers.tinygrad:LSTMCell")
    return run(Plan(CATALOGUE[prop], subject, "float32"), profile="quick", seed=3)


@pytest.mark.parametrize("prop", ["equals_reference", "gradient_of_weight_hh", "gradient_of_input"])
def test_results_and_gradients_are_right(prop: str) -> None:
    found = record(prop)
    assert found.status == HOLDS
    assert found.message.startswith("all cases have the shape (")


@pytest.mark.parametrize(
    "prop", ["small_gates_keep_relative_accuracy", "saturated_gates_give_finite_gradients"]
)
def test_a_fault_is_found(prop: str) -> None:
    assert record(prop).status == FALSIFIED
