"""Shipped adapters against the real packages; a package that is not installed is a visible skip."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace
from typing import Any

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Property
from gatewise.properties.precisions import PLAIN, WIDE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.loading import as_subject

AGREEMENT = CATALOGUE["equals_reference"]

#: Module → the package whose absence is a skip.
NEEDS = {
    "quantizable": "torch",
    "onnx_runtime": "onnxruntime",
    "keras3": "keras",
    "flax_nnx": "flax",
    "opacus": "opacus",
}


def needed(package: str) -> None:
    """Skip where a package is absent; one that is there and fails on import is a failure."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def agreement(spec: str, precision: str, prop: Property = AGREEMENT, **only: Any) -> Record:
    """The record of the agreement of `peers.SPEC`; `only` narrows the cases."""
    needed(NEEDS[spec.partition(":")[0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = as_subject(f"gatewise.peers.{spec}")
        narrow = replace(prop, constraints={**prop.constraints, **only})
        return run(Plan(narrow, subject, precision), profile="quick", seed=3)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "GRUResetBefore", "RNN"])
def test_onnx_runtime_agrees(kind: str) -> None:
    for prop in ("equals_reference", "equals_reference_step_by_step"):
        record = agreement(f"onnx_runtime:{kind}", "float32", CATALOGUE[prop])
        assert (record.status, record.message) == (HOLDS, "")
        assert record.discriminating > 0 or "step" in prop
    refused = agreement(f"onnx_runtime:{kind}", "float64")
    assert (refused.status, refused.message) == (UNSUPPORTED, "the CPU kernels are float32 alone")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_keras_agrees(kind: str) -> None:
    for precision in PLAIN:
        record = agreement(f"keras3:{kind}", precision)
        assert (record.status, record.message) == (HOLDS, "")


@pytest.mark.parametrize("kind", ["GRUResetBefore", "SimpleRNN"])
def test_keras_computes_these_in_float32_whatever_is_asked(kind: str) -> None:
    """keras-team/keras#23704: on the torch backend a float64 matmul is one of float32.

    A release that mends it holds in float64 as well.
    """
    for precision in ("float32", "float16", "bfloat16"):
        record = agreement(f"keras3:{kind}", precision)
        assert (record.status, record.message) == (HOLDS, "")
    record = agreement(f"keras3:{kind}", "float64")
    from gatewise.peers.keras3 import keras

    product = keras.ops.matmul(*[keras.ops.ones((1, 1), "float64") / 3] * 2)
    mended = float(product[0, 0]) == (1 / 3) * (1 / 3)
    assert record.status == (HOLDS if mended else FALSIFIED)


@pytest.mark.parametrize("kind", ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell"])
def test_flax_agrees_in_results_and_gradients(kind: str) -> None:
    """Of one size: XLA compiles every operation anew for each shape."""
    sizes = {"input_size": 3, "hidden_size": 2, "batch": 4, "forms": ("dense",)}
    for prop in ("equals_reference", "gradient_of_weight_hh"):
        for precision in WIDE:
            record = agreement(f"flax_nnx:{kind}", precision, CATALOGUE[prop], **sizes)
            assert (record.status, record.message) == (HOLDS, "")


def test_flax_gru_has_no_candidate_bias() -> None:
    """google/flax#5594: the docstring's b_hn is not there, so it is checked without b_hh."""
    needed("flax")
    from gatewise.peers.flax_nnx import GRUCell, nnx

    cell = nnx.GRUCell(3, 2, rngs=nnx.Rngs(0))
    assert "b_{hn}" in (nnx.GRUCell.__doc__ or "")
    assert cell.dense_h.bias is None
    assert GRUCell.form["biases"] == ("ih",)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_opacus_agrees_in_results_and_gradients(kind: str) -> None:
    for prop in ("equals_reference", "gradient_of_weight_hh", "gradients_accumulate", "func_jvp"):
        record = agreement(f"opacus:{kind}", "float32", CATALOGUE[prop])
        assert record.status == HOLDS
        assert record.message in ("", "proj_size > 0 is not supported")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_opacus_drops_units_of_the_state_at_every_step(kind: str) -> None:
    """torch.nn drops units between layers alone, and none of a state."""
    record = agreement(f"opacus:{kind}", "float32", CATALOGUE["survivors_are_scaled"])
    assert record.status == FALSIFIED
    assert "h_n[0, 0, 0]: got 0, expected 0." in record.message


def test_quantizable_lstm_agrees_in_one_direction() -> None:
    record = agreement("quantizable:LSTM", "float32", bidirectional=False)
    assert (record.status, record.message) == (HOLDS, "")


def test_quantizable_lstm_of_two_bidirectional_layers_has_a_second_layer_too_narrow() -> None:
    """pytorch/pytorch#89357: layer 2 takes H inputs where the two directions give 2H."""
    record = agreement("quantizable:LSTM", "float32", bidirectional=True, num_layers=2)
    assert record.status == FALSIFIED
    assert "'layers.1.layer_fw.cell.igates.weight' has shape (4, 1)" in record.message


def test_quantizable_lstm_without_a_state_takes_float32_alone() -> None:
    """The zeros that it starts from are float32 whatever the input is."""
    record = agreement("quantizable:LSTM", "float64", bidirectional=False, with_state=False)
    assert record.status == FALSIFIED
    assert "mat1 and mat2 must have the same dtype" in record.message
