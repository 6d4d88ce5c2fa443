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
    # A float64 cell without a state raises, and a state makes reverse gradients wrong.
    only = {"with_state": name.endswith("Cell")}
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
    assert "gradient of" in found.message


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
    assert "is finite is False" in found.message
    assert record("GRUCell", "saturated_gates_give_finite_gradients").status == HOLDS


@pytest.mark.parametrize("name", LAYERS)
def test_padding_of_nan_reaches_a_final_state(name: str) -> None:
    import gatewise.peers.paddle as peer

    own = getattr(peer, f"Biased{name}")
    over_nan = type(f"OverNaN{name}", (own,), {"padding": float("nan")})
    claim = CATALOGUE["final_states_are_at_the_true_end"]
    claim = replace(claim, constraints={**claim.constraints, "nonlinearity": "tanh"})
    for target, status in ((own, HOLDS), (over_nan, FALSIFIED)):
        found = run(Plan(claim, as_subject(target), "float32"), profile="quick", seed=3)
        assert found.status == status
    assert "nan" in found.message


def test_an_empty_batch_gives_bias_gradients_of_a_simple_rnn_from_nowhere() -> None:
    found = record("BiasedSimpleRNN", "empty_batch_has_zero_gradients")
    assert found.status == FALSIFIED


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_an_empty_batch_has_no_backward_pass_in_a_cell(name: str) -> None:
    found = record(name, "empty_batch_has_zero_gradients")
    assert found.status == FALSIFIED
    assert "nullptr" in found.message


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_a_float64_cell_without_a_state_raises(name: str) -> None:
    assert record(name, "missing_state_is_zero", "float64").status == FALSIFIED
