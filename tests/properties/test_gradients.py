"""Planted faults in derivatives: each is falsified in seconds, by the gradient that is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from properties.catalogue import CATALOGUE
from properties.comparison import Check
from properties.conformance import Plan, run
from properties.records import FALSIFIED
from properties.strategies.cases import Case
from properties.subjects.builtin import BUILTIN
from properties.subjects.loading import load_subject
from properties.subjects.protocol import Subject

BROKEN = str(Path(__file__).with_name("broken_gradients.py"))

#: Subject, kind, the property that speaks of the fault, and what its message says.
PLANTED = [
    ("WrongInput", "LSTM", "gradient_of_input", "gradient of input"),
    ("DetachedH0", "LSTM", "gradient_of_h_0", "gradient of h_0"),
    ("DetachedCell", "LSTM", "gradient_of_c_0", "gradient of c_0"),
    ("WrongWeightIh", "LSTM", "gradient_of_weight_ih", "gradient of weight_ih_l"),
    ("WrongWeightHh", "LSTM", "gradient_of_weight_hh", "gradient of weight_hh_l"),
    ("WrongBiasIh", "LSTM", "gradient_of_bias_ih", "gradient of bias_ih_l"),
    ("DroppedBiasHh", "LSTM", "gradient_of_bias_hh", "gradient of bias_hh_l0 (None)"),
    ("WrongWeightHr", "LSTM", "gradient_of_weight_hr", "gradient of weight_hr_l"),
    ("DetachedOutput", "LSTM", "gradients_through_the_output_alone", "(None)"),
    ("DetachedHn", "LSTM", "gradients_through_the_hidden_state_alone", "(None)"),
    ("DetachedCn", "LSTM", "gradients_through_the_cell_state_alone", "(None)"),
    ("CutAfterEightSteps", "LSTM", "gradients_flow_through_all_steps", "gradient of "),
    ("DetachedPacked", "LSTM", "no_gradient_flows_into_padding", "gradient of input"),
    ("ClampedRNN", "RNN", "relu_has_slope_zero_at_zero", "gradient of "),
    ("OverflowingGates", "GRU", "saturated_gates_give_finite_gradients", " is finite is False"),
    ("WrongWeightHh", "LSTM", "gradients_equal_those_of_the_unrolled_cell", "of weight_hh_l0"),
    ("OverwrittenGrad", "LSTM", "gradients_accumulate", "accumulated gradient of "),
    ("SpoiltBuffer", "LSTM", "retained_graph_gives_the_gradient_again", "second gradient of "),
    ("WrongWhereFrozen", "LSTM", "only_what_requires_a_gradient_gets_one", "gradient of bias_ih_l"),
    ("DenseUpstreamOnly", "LSTM", "upstream_may_be_non_contiguous", " upstream, gradient of "),
    ("OwnUpstreamOnly", "LSTM", "upstream_may_be_expanded", " upstream, gradient of "),
    ("DetachedInEval", "LSTM", "gradients_in_eval_mode", "_l0 (None)"),
    ("WrongUnderCreateGraph", "LSTM", "gradients_with_create_graph", "gradient of weight_ih_l"),
    ("ConstantBackward", "GRU", "double_backward", "second derivative by "),
    ("ConstantBackward", "GRU", "functional_hvp", "second derivative by "),
    ("ConstantBackward", "GRU", "func_jvp_of_grad", "second derivative by "),
    ("OwnWeights", "LSTM", "functional_call_uses_the_weights_given", "output"),
    ("WrongTransforms", "GRU", "func_grad", "func.grad by weight_hh_l"),
    ("WrongTransforms", "GRU", "func_vjp", "func.vjp by weight_hh_l"),
    ("WrongJvp", "GRU", "func_jvp", "func.jvp of "),
    ("WrongTransforms", "GRU", "func_jacrev", " by weight_hh_l"),
    ("WrongBatch", "GRU", "func_vmap", "output"),
    ("WrongTransforms", "GRU", "per_sample_gradients", "gradient of weight_hh_l"),
]


def of(name: str, kind: str) -> Subject:
    return load_subject(f"{BROKEN}:{name}", kind)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(("name", "kind", "prop", "says"), PLANTED)
def test_a_planted_fault_is_falsified_by_name(
    name: str, kind: str, prop: str, says: str, precision: str
) -> None:
    start = time.process_time()
    plan = Plan(CATALOGUE[prop], of(name, kind), precision)
    record = run(plan, profile="standard", seed=1)
    assert time.process_time() - start < 10
    assert (record.status, says in record.message) == (FALSIFIED, True), record.message
    case = eval(record.case, {"Case": Case})
    with pytest.raises(AssertionError):
        plan.prop.claim(plan.subject, case, Check())
    # The same case, shrunk, must leave a correct subject alone.
    plan.prop.claim(BUILTIN[f"impl.{kind}"], case, Check())
