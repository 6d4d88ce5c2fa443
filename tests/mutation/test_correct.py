"""The correct subjects: how many they are, and that a few properties accuse none of a dozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.levels import CONTRACT, HARDENING
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED
from gatewise.properties.subjects.capabilities import check_names
from gatewise.properties.subjects.protocol import Subject

from .correct import CORRECT
from .correct_registry import add
from .kill import first_kill

#: Subjects of different files, kinds and ways to call, each of which takes few seconds.
CHOSEN = (
    "RNN-getattr-with-default",
    "RNN-packed-by-padding",
    "RNN-state-by-keyword",
    "RNNCell-einsum-of-both",
    "RNNCell-numpy-function",
    "LSTM-packed-by-masks",
    "LSTM-scripted-step",
    "LSTM-one-sigma-for-all-gates",
    "LSTMCell-sigma-by-tanh",
    "LSTM-cells-renamed-in-the-state-dict",
    "LSTMCell-own-function",
    "LSTMCell-compiled-by-eager",
    "GRU-refuses-in-the-call",
    "GRU-wrapper-renames-the-state-dict",
    "GRUCell-addmm-addcmul",
)
PROPERTIES = (
    "equals_reference",
    "gradient_of_weight_hh",
    "packed_equals_each_sequence_alone",
    "repeated_call_gives_the_same_bits",
    "deep_copy_is_equal_and_independent",
    "functional_call_uses_the_weights_given",
)


def test_there_are_many() -> None:
    assert len(CORRECT) >= 86
    assert sum(c.level == CONTRACT for c in CORRECT.values()) >= 40
    assert len({c.subject.factory for c in CORRECT.values()}) >= 86


def test_each_states_its_gaps_by_names_that_exist() -> None:
    claims = {n for p in CATALOGUE.values() for n in (p.name, p.family)}
    for name, correct in CORRECT.items():
        check_names(name, correct.subject.unsupported, claims)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="LSTM-one-layer"):
        add("one-layer", "LSTM", CORRECT["LSTM-one-layer"].subject.factory)


def test_only_claims_up_to_the_level_are_put() -> None:
    """A subject that refuses nothing is killed by a claim at the level hardening alone."""
    subject = CORRECT["RNN-getattr-with-default"].subject
    put = {"profile": "quick", "precisions": ("float32",), "families": ("rejection",)}
    assert first_kill(subject, **put, level=HARDENING).killed
    assert not first_kill(subject, **put, level=CONTRACT).killed


@pytest.mark.parametrize("name", CHOSEN)
def test_no_false_alarm(name: str) -> None:
    for prop in (CATALOGUE[p] for p in PROPERTIES):
        subject = CORRECT[name].subject
        if prop.claimed_of(subject.like, "cpu"):
            record = run(Plan(prop, subject, "float32"), profile="quick", seed=1)
            assert record.status in (HOLDS, UNSUPPORTED), f"{record.message}\n{record.case}"


META = "meta_module_gives_shapes_then_computes"
ONNX = "onnx_torchscript_equals_reference"

#: Properties that once falsified a correct subject, with the subject, precision and profile.
_MENDED = [
    ("LSTM-preallocated-outputs", "func_vmap", "float32", "quick"),
    ("LSTM-preallocated-outputs", "per_sample_gradients", "float64", "quick"),
    ("GRU-wrapper-renames-the-state-dict", META, "float32", "standard"),
    ("LSTM-cells-renamed-in-the-state-dict", META, "float32", "standard"),
    ("RNNCell-wrapped-cell-with-properties", META, "float32", "standard"),
    ("GRU-wrapper-renames-the-state-dict", ONNX, "float32", "quick"),
    ("LSTMCell-compiled-by-eager", ONNX, "float32", "quick"),
    ("LSTM-cells-renamed-in-the-state-dict", "two_threads_get_the_same_bits", "float32", "quick"),
    ("RNNCell-einsum-of-both", "autocast_trains", "float16", "standard"),
    ("LSTM-setting-at-import", "autocast_trains", "float16", "standard"),
    ("RNNCell-unit-by-unit", "parametrized_weights_are_used", "float32", "standard"),
]


@pytest.mark.parametrize(("name", "prop", "precision", "profile"), _MENDED)
def test_a_false_alarm_that_was_mended(name: str, prop: str, precision: str, profile: str) -> None:
    plan = Plan(CATALOGUE[prop], CORRECT[name].subject, precision)
    for seed in range(1, 5):
        record = run(plan, profile=profile, seed=seed)
        assert record.status in (HOLDS, UNSUPPORTED), f"{record.message}\n{record.case}"


def test_a_function_of_the_weights_is_called_by_two_threads() -> None:
    """It holds no weights that a call could exchange, so the claim is put to it."""
    prop = CATALOGUE["two_threads_get_the_same_bits"]
    for name in ("GRUCell-function", "RNNCell-numpy-function"):
        record = run(Plan(prop, CORRECT[name].subject, "float32"), profile="quick", seed=1)
        assert record.status == HOLDS, record.message


class Detached(nn.RNNCell):
    """Gives W_hh no gradient, whatever the state."""

    def forward(self, input: Tensor, hx: Any = None) -> Tensor:
        h = input.new_zeros(*input.shape[:-1], self.hidden_size) if hx is None else hx
        x = linear(input, self.weight_ih, self.bias_ih)
        z = x + linear(h, self.weight_hh.detach(), self.bias_hh)
        return torch.tanh(z) if self.nonlinearity == "tanh" else torch.relu(z)


@pytest.mark.parametrize("prop", ["autocast_trains", "parametrized_weights_are_used"])
def test_a_weight_without_any_gradient_is_still_falsified(prop: str) -> None:
    precision = "bfloat16" if prop == "autocast_trains" else "float32"
    plan = Plan(CATALOGUE[prop], Subject("wrong", "RNNCell", Detached), precision)
    assert run(plan, profile="standard", seed=1).status == FALSIFIED
