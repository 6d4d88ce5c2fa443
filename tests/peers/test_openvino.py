"""OpenVINO's sequences, where OpenVINO is installed; of two sizes, since each shape is compiled."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED
from gatewise.properties.subjects.loading import as_subject

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_results_are_right(name: str) -> None:
    subject = as_subject(f"gatewise.peers.openvino:{name}")
    for prop in ("equals_reference", "packed_equals_each_sequence_alone"):
        claim = CATALOGUE[prop]
        sizes = {"input_size": 3, "hidden_size": 2}
        narrow = replace(claim, constraints={**claim.constraints, **sizes})
        found = run(Plan(narrow, subject, "float32"), profile="quick", seed=3)
        assert (found.status, found.message) == (HOLDS, "")
    empty = run(Plan(CATALOGUE["empty_batch_gives_empty_results"], subject, "float32"), seed=3)
    assert empty.status == FALSIFIED
    assert "ended the process with SIGFPE" in empty.message
    refused = run(Plan(CATALOGUE["equals_reference"], subject, "float64"), profile="quick", seed=3)
    assert (refused.status, refused.message) == (UNSUPPORTED, "the CPU plugin computes in float32")
