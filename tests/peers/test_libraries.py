"""Recurrent networks of libraries that people use: what holds, and which property finds a fault.

A library that is not installed is a visible skip.  `docs/found.toml` has the faults.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace
from typing import Any

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.loading import load_subject

#: Module of peers → the packages whose absence is a skip.
NEEDS = {
    "torchrl": ("torchrl", "tensordict"),
    "speechbrain": ("speechbrain", "torchaudio"),
    "pytorch_forecasting": ("pytorch_forecasting",),
    "geometric_temporal": ("torch_geometric_temporal", "torch_geometric", "torch_sparse"),
    "ncps": ("ncps",),
}

#: Subject → the class that it stands in for, where the values are right.
RIGHT = {
    "torchrl:LSTM": "LSTM",
    "torchrl:GRU": "GRU",
    "torchrl:LSTMCell": "LSTMCell",
    "torchrl:GRUCell": "GRUCell",
    "speechbrain:RNN": "RNN",
    "speechbrain:ReluRNN": "RNN",
    "speechbrain:LSTM": "LSTM",
    "speechbrain:GRU": "GRU",
    "speechbrain:LiGRU": "SbLiGRU",
    "pytorch_forecasting:LSTM": "LSTM",
    "pytorch_forecasting:GRU": "GRU",
    "pytorch_forecasting:SLSTM": "PfSLSTM",
    "geometric_temporal:GConvGRU": "GRUCell",
    "geometric_temporal:GConvLSTM": "TgtGConvLSTMCell",
    "geometric_temporal:GCLSTM": "TgtGCLSTMCell",
    "ncps:LSTMCell": "NcpsLSTMCell",
}


def record(spec: str, like: str, prop: str, precision: str = "float32", **only: Any) -> Record:
    """The record of a property on `gatewise.peers.SPEC`; `only` narrows the cases."""
    for package in NEEDS[spec.partition(":")[0]]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return record_of(f"gatewise.peers.{spec}", like, prop, precision, **only)


def record_of(spec: str, like: str, prop: str, precision: str, **only: Any) -> Record:
    """The record of a property on a subject that is there."""
    claim = CATALOGUE[prop]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = load_subject(spec, like)
        narrow = replace(claim, constraints={**claim.constraints, **only})
        return run(Plan(narrow, subject, precision), profile="quick", seed=3)


@pytest.mark.parametrize("spec", RIGHT)
def test_values_and_gradients_are_right(spec: str) -> None:
    declared = RIGHT[spec].startswith(("Sb", "Tgt", "Ncps"))
    gradient = "gradient_of_own_weights" if declared else "gradient_of_weight_hh"
    if spec == "pytorch_forecasting:SLSTM":  # its last states have none
        gradient = "gradients_through_the_output_alone"
    for prop in ("equals_reference", gradient):
        found = record(spec, RIGHT[spec], prop)
        assert found.status == HOLDS, found.message


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_pytorch_forecasting_takes_lengths_as_torch_packs(name: str) -> None:
    for prop in ("packed_equals_each_sequence_alone", "final_states_are_at_the_true_end"):
        assert record(f"pytorch_forecasting:{name}", name, prop).status == HOLDS


def test_pytorch_forecasting_slstm_detaches_its_last_states() -> None:
    prop = "gradients_through_the_hidden_state_alone"
    assert record("pytorch_forecasting:SLSTM", "PfSLSTM", prop).status == FALSIFIED


def test_pytorch_forecasting_slstm_makes_its_states_in_float32() -> None:
    found = record("pytorch_forecasting:SLSTM", "PfSLSTM", "missing_state_is_zero", "float64")
    assert found.status == FALSIFIED
    assert "dtype" in found.message


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_torchrl_has_another_default_of_batch_first(name: str) -> None:
    record(f"torchrl:{name}", name, "count_is_exact")  # skips where the package is absent
    found = record_of(
        f"torchrl.modules:{name}", name, "equals_reference", "float32", forms=("dense",)
    )
    assert found.status == FALSIFIED


def test_torchrl_lstm_leaves_proj_size_out() -> None:
    found = record("torchrl:ProjectedLSTM", "LSTM", "equals_reference", time=1)
    assert found.status == FALSIFIED
    assert "has shape" in found.message


@pytest.mark.parametrize(
    "spec",
    [
        "torchrl:LSTM layers",
        "torchrl:LSTM batch",
        "torchrl:LSTM width",
        "torchrl:LSTMCell batch",
        "torchrl:LSTMCell width",
        "torchrl:GRUCell batch",
    ],
)
def test_torchrl_takes_states_of_wrong_sizes(spec: str) -> None:
    subject, size = spec.split()
    name = subject.partition(":")[2]
    found = record(subject, name, f"state_of_wrong_{size}_is_refused")
    assert found.status == FALSIFIED
    assert "accepted" in found.message


def test_torchrl_gru_refuses_states_of_wrong_sizes() -> None:
    for size in ("layers", "batch", "width"):
        assert record("torchrl:GRU", "GRU", f"state_of_wrong_{size}_is_refused").status == HOLDS


def test_torchrl_lstm_cell_takes_states_that_are_not_two() -> None:
    found = record("torchrl:LSTMCell", "LSTMCell", "arguments_of_wrong_type_are_refused")
    assert found.status == FALSIFIED
    assert "a call with hx: " in found.message


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_speechbrain_cuts_relative_lengths(name: str) -> None:
    found = record(f"speechbrain:{name}", name, "every_length_is_taken_as_it_is")
    assert found.status == FALSIFIED
    assert record(f"speechbrain:{name}", name, "padded_numbers_do_not_matter").status == HOLDS


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_pytorch_forecasting_is_wrong_about_rows_of_length_zero(name: str) -> None:
    spec, prop = f"pytorch_forecasting:Lengths{name}", "a_row_of_length_zero_keeps_its_state"
    assert record(spec, name, "every_length_is_taken_as_it_is").status == HOLDS
    assert record(spec, name, prop).status == FALSIFIED


def test_speechbrain_ligru_mixes_its_last_states_in_both_directions() -> None:
    for prop in ("batch_permutation", "final_state_is_a_slice_of_the_output"):
        found = record("speechbrain:BidirectionalLiGRU", "SbLiGRU", prop, bidirectional=True)
        assert found.status == FALSIFIED
        assert found.message.startswith("h_n")


def test_speechbrain_ligru_in_both_directions_takes_states_of_one_batch() -> None:
    only: dict[str, Any] = {"bidirectional": True, "batch": 2}
    found = record("speechbrain:StatefulLiGRU", "SbLiGRU", "missing_state_is_zero", **only)
    assert found.status == FALSIFIED
    assert "is invalid for input of size" in found.message


def test_speechbrain_ligru_has_a_norm_where_none_is_asked_for() -> None:
    found = record("speechbrain:PlainLiGRU", "SbPlainLiGRU", "equals_reference")
    assert found.status == FALSIFIED


@pytest.mark.parametrize("prop", ["call_ignores_the_defaults", "calls_of_any_kind_may_come_before"])
def test_speechbrain_ligru_draws_its_masks_in_the_mode_of_the_call(prop: str) -> None:
    found = record("speechbrain:LiGRU", "SbLiGRU", prop, training=True, batch=2)
    assert found.status == FALSIFIED


@pytest.mark.parametrize("name", ["GConvLSTM", "GCLSTM"])
def test_geometric_temporal_keeps_a_bias(name: str) -> None:
    subject = f"geometric_temporal:{name}OptionalBias"
    found = record(subject, f"Tgt{name}Cell", "names_and_shapes", bias=False)
    assert found.status == FALSIFIED
    assert "bias" in found.message


@pytest.mark.parametrize("name", ["GConvGRU", "GConvLSTM", "GCLSTM"])
def test_geometric_temporal_makes_its_states_in_float32(name: str) -> None:
    spec = f"geometric_temporal:{name}"
    found = record(spec, RIGHT[spec], "equals_reference", "float64", with_state=False)
    assert found.status == FALSIFIED
    assert "dtype" in found.message


@pytest.mark.parametrize("name", ["GConvLSTM", "GCLSTM"])
def test_geometric_temporal_makes_parameters_beside_the_default_device(name: str) -> None:
    prop = "meta_module_gives_shapes_then_computes"
    found = record(f"geometric_temporal:{name}", f"Tgt{name}Cell", prop)
    assert found.status == FALSIFIED
    assert "'cpu'" in found.message
