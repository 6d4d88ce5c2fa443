"""The diagnosis names the fault of gradients, autograd, dropout, packing and life cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from gatewise import impl
from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.reporting.diagnosis import diagnose
from gatewise.properties.reporting.explanation import diagnosis_lines
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, FLAKY, Diagnosis
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.protocol import Subject

from . import wrong_backward
from .all import MUTANTS
from .registry import CLASSES

ANY_UPSTREAM = "gradients_are_right_for_any_upstream"
OVERWRITTEN = "overwritten_tensors_never_spoil_a_gradient"
EDITED = "output_may_be_edited_on_every_path_alike"
FREED = "second_backward_needs_a_retained_graph"
HOOKS = "full_backward_hooks_run_for_every_result"
MASKED = "gradients_equal_reference_given_their_mask"

#: Mutant, property, words of the first named fault; and words of the condition, if there is one.
GRADIENTS = (
    ("LSTM-weight-hh-off-by-1e-3", "gradient_of_weight_hh", "weight_hh multiplied by 1.001"),
    ("GRU-weight-ih-not-trained", "gradient_of_weight_ih", "the gradient of weight_ih dropped"),
    ("RNN-bias-hh-gradient-dropped", "gradient_of_bias_hh", "the gradient of bias_hh dropped"),
    ("LSTMCell-bias-ih-gradient-doubled", "gradient_of_bias_ih", "bias_ih multiplied by 2"),
    ("GRU-input-detached", "gradient_of_input", "the gradient of input multiplied by 0.999"),
    ("LSTM-h0-detached", "gradient_of_h_0", "the gradient of h_0 dropped"),
    ("LSTM-projection-not-trained", "gradient_of_weight_hr", "weight_hr dropped"),
    ("LSTM-another-gates-delta", "gradient_of_bias_ih", "in the order o g f i, and not i f g o"),
    ("LSTM-cell-path-detached", "gradient_of_c_0", "no gradient from c_t to c_(t−1), nor to c_0"),
    ("LSTM-recurrent-gradient-dropped", "gradient_of_h_0", "no gradient from h_t to h_(t−1), nor"),
    ("GRUCell-update-gate-detached", "gradient_of_input", "no gradient through the update gate"),
    ("RNN-bptt-cut-after-8", "gradients_flow_through_all_steps", "cut after every 8 steps"),
    (
        "LSTM-final-state-detached",
        "gradients_through_the_hidden_state_alone",
        "the gradient of h_n dropped",
    ),
    ("GRU-dense-upstream-only", "upstream_may_be_non_contiguous", "output multiplied by 0.5"),
    ("GRU-gradients-overwritten", "gradients_accumulate", "overwrites the .grad of the weights"),
    ("LSTMCell-second-derivative-wrong", "double_backward", "second derivative that is wrong"),
    ("LSTM-upstream-clipped-by-norm", ANY_UPSTREAM, "norm of an upstream gradient cut to 1000"),
    ("GRU-zero-upstream-ends-the-pass", ANY_UPSTREAM, "every gradient dropped"),
    ("LSTMCell-cell-gradient-dropped-beside-zero", ANY_UPSTREAM, "the gradient of c dropped"),
    ("GRU-sum-taken-for-a-mean", ANY_UPSTREAM, "divided by its number of elements"),
    ("GRUCell-state-gradient-clipped", ANY_UPSTREAM, "the gradient of h_t cut to ±100"),
    ("LSTM-eval-backward-of-the-last-call", "gradients_in_eval_mode", "multiplied by 0.5"),
)
GRAPHS = (
    ("GRUCell-weight-hh-on-ctx", OVERWRITTEN, "reads weight_hh as it is then"),
    ("LSTM-hidden-state-on-ctx", OVERWRITTEN, "reads h_0 as it is then"),
    ("GRU-input-on-ctx", OVERWRITTEN, "reads input as it is then"),
    ("RNN-inner-graph-retained", FREED, "a graph that a backward pass does not free"),
    ("LSTM-last-results-kept", "graph_is_freed", "keeps input, h_0, c_0 alive"),
    ("GRU-packed-saves-its-output", EDITED, "on some paths alone: packed an edit raises"),
    ("RNN-hooks-see-the-output-alone", HOOKS, "does not run where the loss uses h_n alone"),
    ("LSTM-masked-nan", "anomaly_mode_finds_nothing", "a NaN in the backward pass"),
    ("GRUCell-in-place-step", "gradient_of_input", "a tensor changed in place"),
    ("GRUCell-frozen-weights-fail", "only_what_requires_a_gradient_gets_one", "requires none"),
    ("RNNCell-relu-slope-at-zero", "relu_has_slope_zero_at_zero", "a slope of relu at 0"),
    ("GRUCell-copy-shares-weights", "deep_copy_is_equal_and_independent", "shared with the copy"),
)
DROPOUT = (
    ("GRU-drops-in-eval", "evaluation_drops_nothing", "dropped in evaluation"),
    ("RNN-never-drops", "survivors_are_scaled", "nothing dropped in training"),
    ("LSTM-not-scaled", "survivors_are_scaled", "survivors not scaled by 1/(1−p)"),
    ("GRU-same-mask-every-call", "each_call_draws_its_mask", "the same mask at every call"),
    (
        "GRU-one-mask-for-a-row",
        "units_are_dropped_independently",
        "one mask for all units of a row",
    ),
    ("RNN-rate-inverted", "survivors_are_scaled", "p taken for the rate that is kept"),
    ("RNN-rate-halved", "survivors_are_scaled", "half of the rate dropped"),
    ("GRU-after-the-last-layer", "single_layer_drops_nothing", "dropped after the last layer too"),
    ("GRU-on-the-input", "survivors_are_scaled", "the input dropped too"),
    ("LSTM-backward-not-masked", "backward_uses_the_forward_mask", "no mask in the backward pass"),
    ("RNN-another-mask-in-backward", "backward_uses_the_forward_mask", "another mask in the backw"),
    (
        "LSTM-all-dropped-is-nan",
        "certain_dropout_silences_between_layers",
        "probability 1 gives NaN",
    ),
    ("GRU-rate-kept-from-construction", "probability_may_be_changed", "set after construction"),
    ("GRU-dropout-cuts-the-recurrence", MASKED, "no gradient from h_t to h_(t−1), nor to h_0"),
    ("GRU-dropout-scales-the-recurrence", MASKED, "multiplied by 1/(1−p) at every step"),
    ("RNN-mask-of-an-own-stream", "checkpointing_keeps_the_mask", "another mask where checkpoint"),
    ("GRU-dropout-zeroes-weight-hh", "dropout_modifies_no_argument", "changes weight_hh_l0"),
)
STATES = (
    ("LSTM-initial-state-not-sorted", "equals_reference", "states not sorted with the rows"),
    ("GRU-final-state-in-sorted-order", "equals_reference", "left in the order of the sorted rows"),
    ("GRU-every-layer-starts-as-the-first", "equals_reference", "from the states of the first"),
    ("LSTM-no-state-means-ones", "equals_reference", "no state is not zeros"),
    ("LSTM-clipped-cell", "equals_reference", "c cut at 1"),
    ("GRU-final-state-of-the-step-before", "equals_reference", "one step before the end"),
    ("RNN-eval-keeps-the-state", "evaluation_batches_are_independent", "from the last state"),
)
#: The same for subjects that are no mutants.
WRONG = (
    ("CnDropped", "LSTM", "gradients_through_the_cell_state_alone", "the gradient of c_n dropped"),
    ("WeightHhFromTheNewState", "RNN", "gradient_of_weight_hh", "from h_t in place of h_(t−1)"),
    ("TransposedBackwards", "RNN", "gradient_of_h_0", "weights transposed in the backward pass"),
    ("OneMaskBackwards", "GRU", MASKED, "one mask for all steps in the backward pass"),
    ("NoGradientBelow", "GRU", "gradient_of_input", "no gradient from a layer to the one below"),
    ("ReverseInputDetached", "LSTM", "gradient_of_input", "the reverse direction's gradient of"),
    ("MeanOverTheBatch", "LSTMCell", "gradient_of_weight_ih", "divided by the batch size"),
    ("CAt3", "LSTM", "equals_reference", "c cut at 3"),
)


def found(subject: Subject, prop: str, folder: Path) -> Diagnosis:
    """The diagnosis of the failing case of a property, of the first seed that draws one."""
    plan = Plan(CATALOGUE[prop], subject, "float32")
    for seed in range(1, 5):
        record = run(plan, profile="standard", seed=seed)
        if record.status in (FALSIFIED, FLAKY):
            return diagnosed(plan, record, folder).diagnosis
    raise AssertionError(f"{subject.name}: {prop} {record.status}")


@pytest.mark.parametrize(("name", "prop", "words"), [*GRADIENTS, *GRAPHS, *DROPOUT, *STATES])
def test_the_fault_of_a_mutant_is_named(name: str, prop: str, words: str, tmp_path: Path) -> None:
    faults = found(MUTANTS[name].subject, prop, tmp_path).faults
    assert words in "; or ".join(faults)
    assert len(faults) <= 2


@pytest.mark.parametrize(("name", "like", "prop", "words"), WRONG)
def test_the_fault_of_a_wrong_subject_is_named(
    name: str, like: str, prop: str, words: str, tmp_path: Path
) -> None:
    subject = Subject(name, like, getattr(wrong_backward, name))
    assert words in "; or ".join(found(subject, prop, tmp_path).faults)


def test_if_no_fault_fits_the_first_place_is_told() -> None:
    subject = Subject("OneRow", "LSTM", wrong_backward.OneRow)
    case = Case("LSTM", input_size=2, hidden_size=3, batch=2, time=3)
    assert diagnosis_lines(diagnose(subject, case)) == [
        "gradient of weight_hh_l0 differs first in gate f, row 2, column 0"
    ]


def options(like: str) -> list[Case]:
    """A few cases of a class, of which each has another form."""
    kind, cell = like.removesuffix("Cell"), like.endswith("Cell")
    case = Case(kind, cell=cell, input_size=2, hidden_size=3, batch=2, time=1 if cell else 3)
    if cell:
        return [case, case.but(batch=None, with_state=False)]
    return [
        case.but(num_layers=2, bidirectional=True),
        case.but(lengths=(1, 3), with_state=False, precision="float64"),
    ]


@pytest.mark.parametrize("like", CLASSES)
@pytest.mark.parametrize("module", [nn, impl], ids=["torch.nn", "impl"])
def test_a_right_subject_has_no_diagnosis(module: Any, like: str) -> None:
    subject = Subject(like, like, getattr(module, like))
    families = [""] if like.endswith("Cell") else ["", "dropout"]
    for case in options(like):
        for family in families:
            assert diagnose(subject, case, family) == Diagnosis()
