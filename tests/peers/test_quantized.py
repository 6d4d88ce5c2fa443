"""torch.ao.nn.quantized.dynamic: what is right, and that the bounds of int8 tell a wrong cell."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch

import gatewise.peers.quantized as peer
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, FLAKY, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.loading import as_subject

LAYERS = ("LSTM", "GRU")
CELLS = ("LSTMCell", "GRUCell", "RNNCell", "ReluRNNCell")


def record(target: Any, prop: str, like: str | None = None, **only: Any) -> Record:
    """The record of a property in float32; `only` narrows the cases."""
    claim = CATALOGUE[prop]
    narrow = replace(claim, constraints={**claim.constraints, **only})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = as_subject(target, like)
        return run(Plan(narrow, subject, "float32"), profile="quick", seed=3)


@pytest.mark.parametrize("dtype", ["Int8", "Float16"])
@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_results_are_right(dtype: str, name: str) -> None:
    # A huge state of a GRU makes a NaN, and a layer of int8 raises on its own NaN.
    only = {"with_state": False} if (dtype, name) == ("Int8", "GRU") else {}
    found = record(f"gatewise.peers.quantized:{dtype}{name}", "equals_reference", **only)
    assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_a_value_that_is_not_finite_leaves_its_row_in_int8(name: str) -> None:
    prop = "nonfinite_value_stays_in_its_row"
    assert record(f"gatewise.peers.quantized:Int8{name}", prop).status == FALSIFIED
    assert record(f"gatewise.peers.quantized:Float16{name}", prop).status == HOLDS


@pytest.mark.parametrize("dtype", ["Int8", "Float16"])
@pytest.mark.parametrize("name", LAYERS)
def test_packed_sequences_are_right(dtype: str, name: str) -> None:
    spec = f"gatewise.peers.quantized:{dtype}{name}"
    found = record(spec, "packed_equals_each_sequence_alone")
    assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("name", [*LAYERS, "LSTMCell", "GRUCell"])
def test_the_bound_of_int8_tells_gates_in_another_order(name: str) -> None:
    own: Any = getattr(peer, f"Int8{name}")

    class Swapped(own):  # type: ignore[misc]
        def forward(self, x: Any, hx: Any = None) -> Any:
            kept = {n: getattr(self, n).data for n in self.names}
            try:
                for n, w in kept.items():
                    getattr(self, n).data = torch.cat(
                        [w.chunk(w.shape[0] // self.sizes[1])[k] for k in self.order(w)]
                    )
                return super().forward(x, hx)
            finally:
                for n, w in kept.items():
                    getattr(self, n).data = w

        def order(self, w: Any) -> list[int]:
            gates = w.shape[0] // self.sizes[1]
            return [1, 0, *range(2, gates)]

    assert record(Swapped, "equals_reference", f"Int8{name}").status == FALSIFIED


@pytest.mark.parametrize("name", LAYERS)
def test_the_bound_of_float16_tells_weights_that_were_not_rounded(name: str) -> None:
    """torch.nn's layer with the same weights, but for their rounding, is outside."""

    class Plain(getattr(torch.nn, name)):  # type: ignore[misc]
        gatewise_unsupported = peer._GAPS

    assert record(Plain, "equals_reference", f"Float16{name}").status == FALSIFIED


@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_a_weight_of_nan_becomes_a_number_in_float16(name: str) -> None:
    found = record(f"gatewise.peers.quantized:Float16{name}", "nan_weight_reaches_its_unit")
    assert found.status == FALSIFIED
    assert "NaN are lost" in found.message


@pytest.mark.parametrize("spec", ["Int8LSTM", "Int8GRU", "Float16LSTM", "Float16GRU"])
def test_a_state_of_too_many_rows_is_taken(spec: str) -> None:
    found = record(f"gatewise.peers.quantized:{spec}", "state_of_wrong_batch_is_refused")
    assert found.status == FALSIFIED
    assert "a row more, packed unsorted" in found.message


@pytest.mark.parametrize(
    "spec", ["Int8LSTMCell", "Int8RNNCell", "Float16LSTMCell", "Float16RNNCell"]
)
def test_a_state_with_a_dimension_more_is_taken(spec: str) -> None:
    sizes = {"hidden_size": 2, "batch": 2}  # equal, so that the state fits the results
    found = record(f"gatewise.peers.quantized:{spec}", "state_of_wrong_rank_is_refused", **sizes)
    # It reads past an end, so the same call may end in another way when it is put again.
    assert found.status in (FALSIFIED, FLAKY)
    assert "accepted" in found.message or "SIGSEGV" in found.message


def test_what_is_not_offered_is_said() -> None:
    found = record("gatewise.peers.quantized:Int8LSTM", "nan_weight_reaches_its_unit")
    assert (found.status, found.message) == (UNSUPPORTED, "an integer is never NaN")
