"""The correct subjects: how many they are, and that a few properties accuse none of a dozen."""

from __future__ import annotations

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.levels import CONTRACT, HARDENING
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import HOLDS, UNSUPPORTED
from gatewise.properties.subjects.capabilities import check_names

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
