"""Claims about the autograd graph see what a graph keeps; upstream gradients are of each regime."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.checking.comparison import Check
from gatewise.properties.checking.oracle import UPSTREAM_REGIMES, upstream_arrays
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Property
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Unsupported
from tests.mutation.all import MUTANTS

#: Property, a mutant that it must falsify, and what the message says.
FAULTS = [
    ("gradients_are_right_for_any_upstream", "GRU-state-gradient-clipped", "scaled loss: grad"),
    ("gradients_are_right_for_any_upstream", "LSTM-zero-upstream-ends-the-pass", "one element"),
    ("gradients_are_right_for_any_upstream", "LSTMCell-tiny-upstream-flushed", "regime tiny"),
    ("gradients_are_right_for_any_upstream", "GRU-sum-taken-for-a-mean", "of the regime ones"),
    ("overwritten_tensors_never_spoil_a_gradient", "GRU-weight-hh-on-ctx", "weight_hh was over"),
    ("overwritten_tensors_never_spoil_a_gradient", "RNN-input-on-ctx", "after input was overw"),
    ("overwritten_tensors_never_spoil_a_gradient", "RNNCell-result-on-ctx", "after h was overwr"),
    ("saved_tensor_hooks_see_what_backward_reads", "GRU-hidden-state-on-ctx", "hooks that copy"),
    ("second_backward_needs_a_retained_graph", "RNN-inner-graph-retained", "retain_graph raises"),
    ("graph_is_freed", "GRUCell-copies-on-ctx", "live after backward is ['input'"),
    ("graph_is_freed", "LSTM-last-results-kept", "live after results deleted is ['input'"),
    ("output_may_be_edited_on_every_path_alike", "RNN-packed-saves-its-output", "packed, is"),
    ("full_backward_hooks_run_for_every_result", "GRU-hooks-see-the-output-alone", "h_n alone"),
    ("full_backward_hooks_run_for_every_result", "LSTMCell-hook-gets-half-the-gradient", "got as"),
    ("anomaly_mode_finds_nothing", "GRU-masked-nan", "returned nan values"),
]


def record_of(name: str, mutant: str, precision: str = "float32") -> Record:
    return run(Plan(CATALOGUE[name], MUTANTS[mutant].subject, precision), profile="quick", seed=1)


@pytest.mark.parametrize(("name", "mutant", "says"), FAULTS)
def test_a_fault_of_the_graph_is_falsified_and_named(name: str, mutant: str, says: str) -> None:
    record = record_of(name, mutant)
    assert (record.status, says in record.message) == (FALSIFIED, True), record.message
    # The same case, shrunk, must leave a correct subject alone.
    subject = BUILTIN[f"gatewise.impl.{mutant.split('-')[0]}"]
    CATALOGUE[name].claim(subject, case_from(record.case), Check())


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("regime", UPSTREAM_REGIMES)
def test_upstream_gradients_are_finite_exact_and_of_their_regime(
    regime: str, precision: str
) -> None:
    case = Case("LSTM", hidden_size=5, batch=4, time=6, seed=3, precision=precision)
    fmt, found = case.rounding.storage, upstream_arrays(case, regime)
    assert set(found) == {"output", "h_n", "c_n"}
    u = np.concatenate([a.ravel() for a in found.values()])
    assert np.isfinite(u).all()
    assert (fmt.round(u) == u).all()
    largest, nonzero = np.abs(u).max(), np.count_nonzero(u)
    assert {
        "ones": (u == 1).all(),
        "one element": nonzero == 1,
        "tiny": nonzero == u.size and fmt.eta < largest < 0.1,
        "scaled loss": nonzero == u.size and largest > 4096,
        "mixed": nonzero == u.size and largest > 100 * np.abs(u).min(),
        "zeros": nonzero == 0,
    }[regime]


def test_every_tensor_of_a_call_is_overwritten_in_turn() -> None:
    check = Check()
    prop: Property = CATALOGUE["overwritten_tensors_never_spoil_a_gradient"]
    prop.claim(BUILTIN["torch.nn.LSTM"], Case("LSTM", hidden_size=2, batch=2, time=2), check)
    weights = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    assert check.comparisons >= len(("input", "h_0", "c_0", *weights, "output", "h_n", "c_n"))


def test_hooks_on_a_nested_result_are_no_fault_of_the_subject() -> None:
    name = "full_backward_hooks_run_for_every_result"
    record = run(Plan(CATALOGUE[name], BUILTIN["gatewise.impl.LSTM"], "float32"), profile="quick")
    assert record.status == HOLDS
    case = Case("LSTM", batch=2, time=2, variant="c_n")
    with pytest.raises(Unsupported, match="full backward hooks of nested results"):
        CATALOGUE[name].claim(BUILTIN["gatewise.impl.LSTM"], case, Check())
    CATALOGUE[name].claim(BUILTIN["gatewise.impl.LSTM"], case.but(variant="output"), Check())
