"""Paddle's layers and cells, where Paddle is installed: what is right, and each fault by its name.

The faults are those of docs/found.toml; a release that mends one fails its test here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.loading import as_subject

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("paddle") is None, reason="paddlepaddle is not installed"
)

LAYERS = ("LSTM", "GRU", "SimpleRNN")


def record(name: str, prop: str, precision: str = "float32", **only: Any) -> Record:
    """The record of a property of `peers.paddle:NAME`; `only` narrows the cases."""
    claim = CATALOGUE[prop]
    narrow = replace(claim, constraints={**claim.constraints, **only})
    subject = as_subject(f"gatewise.peers.paddle:{name}")
    return run(Plan(narrow, subject, precision), profile="quick", seed=3)


@pytest.mark.parametrize("name", [*(f"{n}Cell" for n in LAYERS), *(f"Biased{n}" for n in LAYERS)])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_results_and_gradients_are_right(name: str, precision: str) -> None:
    only = {} if name.endswith("Cell") else {"with_state": False}
    for prop in ("equals_reference", "gradient_of_weight_hh", "gradient_of_input"):
        found = record(name, prop, precision, **only)
        assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_without_biases_ends_the_process(name: str) -> None:
    found = record(name, "equals_reference", bias=False)
    assert found.status == FALSIFIED
    assert "ended the process" in found.message


@pytest.mark.parametrize("name", LAYERS)
def test_a_reverse_gradient_is_wrong(name: str) -> None:
    only = {"bidirectional": True, "forms": ("ragged",), "with_state": True, "proj_size": 0}
    found = record(f"Biased{name}", "gradients_are_right_for_any_upstream", "float64", **only)
    assert found.status == FALSIFIED
    assert "_reverse" in found.message


@pytest.mark.parametrize("name", LAYERS)
def test_all_layers_drop_the_same_units(name: str) -> None:
    only = {"proj_size": 0} if name == "LSTM" else {}
    assert record(f"Biased{name}", "each_layer_draws_its_mask", **only).status == FALSIFIED


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("prop", ["frozen_weights_stay", "gradients_in_eval_mode"])
def test_backward_raises(name: str, prop: str) -> None:
    assert record(f"Biased{name}", prop).status == FALSIFIED


def test_a_closed_reset_gate_makes_gradients_nan() -> None:
    found = record("BiasedGRU", "saturated_gates_give_finite_gradients")
    assert found.status == FALSIFIED
    assert "nan" in found.message
    assert record("GRUCell", "saturated_gates_give_finite_gradients").status == HOLDS


@pytest.mark.parametrize("name", LAYERS)
def test_padding_of_nan_reaches_a_final_state(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import gatewise.peers.paddle as peer

    prop = "packed_equals_each_sequence_alone"
    assert record(f"Biased{name}", prop).status == HOLDS
    monkeypatch.setattr(getattr(peer, f"Biased{name}"), "padding", float("nan"))
    found = record(f"Biased{name}", prop)
    assert found.status == FALSIFIED
    assert "nan" in found.message
