"""Planted faults in derivatives: each is falsified in seconds, by the gradient that is wrong."""

from __future__ import annotations

import pickle
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gatewise.properties.cases.case import case_from
from gatewise.properties.checking.comparison import Check
from gatewise.properties.checking.derivatives import offered
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.loading import load_subject
from gatewise.properties.subjects.protocol import Subject, Unsupported

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
    ("WrongUnderCreateGraph", "LSTM", "gradients_with_create_graph", "gradient of "),
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
    """The subject, put to claims in this process, so that its time counts."""
    return replace(load_subject(f"{BROKEN}:{name}", kind), trusted=True)


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
    case = case_from(record.case)
    with pytest.raises(AssertionError):
        plan.prop.claim(plan.subject, case, Check())
    # The same case, shrunk, must leave a correct subject alone.
    plan.prop.claim(BUILTIN[f"gatewise.impl.{kind}"], case, Check())


FAMILIES = ("gradients", "autograd", "transforms")


def records_of(name: str, kind: str) -> dict[str, Record]:
    found = plans([of(name, kind)], ["cpu"], ["float32"])
    return {p.prop.name: run(p, profile="quick") for p in found if p.prop.family in FAMILIES}


def test_a_subject_that_computes_in_float64_holds_everywhere() -> None:
    records = records_of("Doubled", "LSTM")
    assert len(records) > 30
    assert {r.message for r in records.values() if not r.passed} == set()
    assert {n for n, r in records.items() if r.status == UNSUPPORTED} <= {"func_vmap"}


def test_a_right_backward_by_hand_holds_and_lacks_transforms_alone() -> None:
    records = records_of("HandWritten", "LSTM")
    assert {r.message for r in records.values() if not r.passed} == set()
    lacking = {n for n, r in records.items() if r.status == UNSUPPORTED}
    assert {"func_grad", "func_vjp", "func_jvp", "per_sample_gradients"} <= lacking
    assert {r.family for n, r in records.items() if n in lacking} == {"transforms"}
    assert {"double_backward", "functional_hvp", "gradients_accumulate"} <= {
        n for n, r in records.items() if r.status == HOLDS
    }
    assert "In order to use an autograd.Function with functorch" in records["func_grad"].message


@pytest.mark.parametrize(
    ("name", "prop", "text"),
    [
        ("WithoutJvp", "func_jvp", "You must implement the jvp function"),
        ("WithoutJvp", "func_jvp_of_grad", "You must implement the jvp function"),
        ("WithoutBatching", "func_vmap", "it does not have vmap support"),
        ("WithoutBatching", "per_sample_gradients", "it does not have vmap support"),
    ],
)
def test_what_a_subject_lacks_is_unsupported_in_torchs_words(
    name: str, prop: str, text: str
) -> None:
    record = run(Plan(CATALOGUE[prop], of(name, "GRU"), "float64"), profile="quick")
    assert record.status == UNSUPPORTED
    assert text in record.message
    beside = run(Plan(CATALOGUE["gradient_of_h_0"], of(name, "GRU"), "float64"), profile="quick")
    assert beside.status == HOLDS


def test_a_lack_that_torch_passes_by_falsifies() -> None:
    """torch.autograd.grad does not run the node that would say "once", and the hvp is wrong."""
    plan = Plan(CATALOGUE["functional_hvp"], of("OnceDifferentiable", "GRU"), "float64")
    record = run(plan, profile="standard")
    assert record.status == FALSIFIED
    assert "second derivative by " in record.message


@pytest.mark.parametrize("prop", ["func_jvp", "func_jvp_of_grad"])
def test_parameters_may_be_registered_in_any_order(prop: str) -> None:
    record = run(Plan(CATALOGUE[prop], of("OtherOrder", "GRU"), "float64"), profile="quick")
    assert (record.status, record.message) == (HOLDS, "")


@pytest.mark.parametrize("prop", ["gradient_of_h_0", "gradients_accumulate", "func_grad"])
def test_a_result_of_another_shape_is_told_before_anything_is_differentiated(prop: str) -> None:
    record = run(Plan(CATALOGUE[prop], of("ExtraAxis", "GRU"), "float64"), profile="quick")
    assert record.status == FALSIFIED
    assert re.fullmatch(r"h_n has shape \(.*\), expected \(.*\)", record.message)


def test_another_exception_under_a_transform_falsifies() -> None:
    plan = Plan(CATALOGUE["func_grad"], of("RaisesUnderTransforms", "GRU"), "float64")
    record = run(plan, profile="quick")
    assert record.status == FALSIFIED
    assert "RuntimeError: the kernel is out of order" in record.message


#: What torch 2.13 says: of LSTM in forward mode, of every layer under vmap, of cuDNN twice and in
#: eval mode, of vmap through control flow, and of a function that is differentiable once.
LACKING = [
    "Trying to use forward AD with mkldnn_rnn_layer that does not support it because it has not "
    "been implemented yet.\nPlease file an issue",
    "Batching rule not implemented for aten::gru.input. We could not generate a fallback.",
    "the derivative for '_cudnn_rnn_backward' is not implemented. Double backwards is not",
    "cudnn RNN backward can only be called in training mode",
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow.",
    "trying to differentiate twice a function that was marked with @once_differentiable",
]


@pytest.mark.parametrize("text", LACKING)
def test_torchs_statement_of_a_lack_is_unsupported(text: str) -> None:
    with pytest.raises(Unsupported) as reason, offered():
        raise NotImplementedError(text)
    assert str(reason.value) == text.splitlines()[0]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("output with shape [1, 4] doesn't match the broadcast shape [2, 1, 4]"),
        NotImplementedError("forward"),
        ValueError(LACKING[0]),
    ],
)
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), offered():
        raise error


def test_another_process_finds_every_claim_by_its_name() -> None:
    for prop in CATALOGUE.values():
        if prop.family in FAMILIES:
            assert pickle.loads(pickle.dumps(prop.claim)) is prop.claim
