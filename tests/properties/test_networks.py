"""Wrong networks are falsified by what they break; every property of three families kills one."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.tutorial import counts, gates, networks
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.put import put
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED
from gatewise.properties.subjects.builtin import BUILTIN, CARRYING_TAGGER
from gatewise.properties.subjects.networks import subject
from gatewise.properties.subjects.protocol import Subject
from tests.properties import broken_networks as broken

GRU, LSTM, RNN = "SharedGRUCell", "SharedLSTMCell", "SharedRNNCell"
OWN_GRU, OWN_LSTM, OWN_RNN = "IndependentGRUCell", "IndependentLSTMCell", "IndependentRNNCell"

#: Kind, wrong network, the properties that must falsify it, and what each message must name.
WRONG: list[tuple[str, Any, dict[str, str]]] = [
    (
        GRU,
        broken.GRUNotInverted,
        {
            "equals_reference": "h[",
            "gru_is_the_original_with_z_inverted": "h[",
            "gru_of_one_unit_is_torchs": "h[",
            "split_weights_are_the_same_map": "h[",
            "z_at_zero_keeps_the_state": "h[",
        },
    ),
    (
        OWN_GRU,
        broken.IndependentGRUNotInverted,
        {
            "equal_gates_give_the_shared_cell": "h[",
            "z_at_zero_keeps_the_state": "h[",
            "z_at_one_takes_the_candidate": "h[",
        },
    ),
    (
        GRU,
        broken.GRUResetAfter,
        {"equals_reference": "h[", "gru_is_the_original_with_z_inverted": "h["},
    ),
    (OWN_GRU, broken.IndependentGRUResetAfter, {"gru_is_the_original_with_z_inverted": "h["}),
    (
        OWN_GRU,
        broken.GRUGatesByTheirLabels,
        {"z_at_zero_keeps_the_state": "h[", "gru_is_the_original_with_z_inverted": "h["},
    ),
    (OWN_GRU, broken.GRUWithoutReset, {"r_at_zero_cuts_the_recurrence": "h["}),
    (GRU, broken.GRUOfSoftsign, {"shared_gru_gate_at_one_gives_one": "expected 1"}),
    (OWN_GRU, broken.GRUOfTwoLayers, {"gru_gates_are_three_rnns": "#gates is"}),
    (
        LSTM,
        broken.LSTMWithAnotherOutputGate,
        {
            "equals_reference": "h[",
            "gates_are_one": "h' = f∘tanh(c')[",
            "equals_torch_cell_with_stacked_weights": "h[",
        },
    ),
    (
        LSTM,
        broken.LSTMCoupled,
        {
            "gates_are_one": "c' = f∘tanh(σ⁻¹(f))[",
            "forget_gate_at_zero_empties_the_cell": "c[",
            "shared_gate_at_one_adds_one": "c[",
            "shared_gate_scales_cell_and_candidate": "c[",
        },
    ),
    (OWN_LSTM, broken.IndependentLSTMCoupled, {"equal_gates_give_the_shared_cell": "h["}),
    (
        OWN_LSTM,
        broken.LSTMWithoutForgetGate,
        {
            "forget_gate_at_zero_erases_the_old_cell": "c[",
            "cell_decays_at_the_forget_gates_rate": "c[",
        },
    ),
    (
        OWN_LSTM,
        broken.LSTMWithSwappedGates,
        {
            "forget_gate_at_one_keeps_the_cell": "c[",
            "equals_torch_cell_with_stacked_weights": "h[",
        },
    ),
    (OWN_LSTM, broken.LSTMOfThreeLayers, {"lstm_gates_are_four_rnns": "#gates is"}),
    (LSTM, broken.LSTMWithoutABias, {"shared_gates_are_one_rnn": "#gates is"}),
    (RNN, broken.RNNOfHiddenFirst, {"split_weights_are_the_same_map": "h["}),
    (RNN, broken.RNNWithTanh, {"rnn_superposes": "h[", "equals_reference": "h["}),
    (
        OWN_RNN,
        broken.RNNWithoutTanh,
        {"rnn_state_is_bounded_by_one": "h[", "equals_torch_cell_with_stacked_weights": "h["},
    ),
    (RNN, broken.RNNOverTheBatch, {"log_probabilities_sum_to_one": "Σ exp(y)["}),
    (RNN, broken.RNNOfProbabilities, {"log_probabilities_sum_to_one": "Σ exp(y)["}),
    (RNN, broken.RNNOfTheNewState, {"equals_reference": "output["}),
    (
        "Tagger",
        broken.TaggerThatKeepsItsState,
        {
            "reset_forgets_earlier_sentences": "output after another sentence[",
            "earlier_sentences_do_not_matter": "output after another sentence[",
            "a_second_backward_works": "the second backward raises is 'RuntimeError'",
        },
    ),
    ("Tagger", broken.TaggerOfNeighbours, {"tagger_is_word_by_word": "output["}),
    ("LSTM", broken.LSTMOfOneCellState, {"states_have_one_shape": "shape of c_n is"}),
    (
        "LSTM",
        broken.LSTMOfNarrowCellState,
        {"projection_narrows_the_hidden_state_alone": "'c_n': ("},
    ),
    (
        "LSTM",
        broken.LSTMOfOneBias,
        {"each_parameter_is_a_multiple_of_the_rnns": "the number of elements by name is"},
    ),
    ("GRU", broken.GRUOfTwoStates, {"number_of_states": "result h_n is a tuple of 2"}),
]
EACH = [
    (kind, wrong, prop, text) for kind, wrong, killers in WRONG for prop, text in killers.items()
]


def plan(kind: str, factory: Any, prop: str) -> Plan:
    return Plan(CATALOGUE[prop], subject(factory.__name__, kind, factory), "float32")


@pytest.mark.parametrize(
    ("kind", "wrong", "prop", "text"), EACH, ids=[f"{w.__name__}-{p}" for _, w, p, _ in EACH]
)
def test_a_wrong_network_is_falsified_by_what_it_breaks(
    kind: str, wrong: Any, prop: str, text: str
) -> None:
    found = plan(kind, wrong, prop)
    assert kind in found.prop.of
    record = run(found, profile="standard", seed=3)
    assert record.status == FALSIFIED
    assert text in record.message
    # The same case leaves the right network alone.
    case = case_from(record.case)
    put(Plan(found.prop, right(kind), "float32"), case, Check())


def right(kind: str) -> Subject:
    """The first built-in subject of a kind."""
    return next(s for s in BUILTIN.values() if s.like == kind)


def test_every_property_of_the_three_families_kills_a_wrong_network() -> None:
    killing = {prop for *_, prop, _ in EACH}
    for family in (networks, gates, counts):
        assert {p.name for p in family.FAMILY.properties} - killing == set()


@pytest.mark.parametrize(
    "prop", ["reset_forgets_earlier_sentences", "log_probabilities_sum_to_one", "equals_reference"]
)
def test_a_carrying_tagger_is_right_once_reset(prop: str) -> None:
    assert run(Plan(CATALOGUE[prop], CARRYING_TAGGER, "float32"), seed=3).status == HOLDS


class PlainTagger(nn.Module):
    """A right tagger that keeps no state, has no reset and is of other parts."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.whole = right("Tagger").factory(*sizes)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return self.whole.named_parameters(*args, **kwargs)

    def forward(self, sentence: Any) -> Any:
        return self.whole(sentence)


@pytest.mark.parametrize(
    ("prop", "part"),
    [("reset_forgets_earlier_sentences", "reset"), ("tagger_is_word_by_word", "word_embeddings")],
)
def test_what_a_tagger_does_not_offer_is_unsupported_alone(prop: str, part: str) -> None:
    record = run(plan("Tagger", PlainTagger, prop), seed=3)
    assert record.status == UNSUPPORTED
    assert record.message == f"PlainTagger has no '{part}'"
    assert run(plan("Tagger", PlainTagger, "earlier_sentences_do_not_matter"), seed=3).passed


@pytest.mark.parametrize("kind", [GRU, OWN_GRU])
def test_one_minus_sigma_is_no_fault_however_large_the_state(kind: str) -> None:
    """The ball of σ(−a) is narrower than the rounding of 1 − σ(a) beside a state of 30."""
    worst = 0.0
    for seed in range(40):
        case = Case(
            kind.removesuffix("Cell"),
            cell=True,
            input_size=2,
            hidden_size=3,
            output_size=1,
            batch=4,
            weights="spread",
            inputs="spread",
            states="saturating",
            seed=seed,
        )
        check = Check()
        put(
            Plan(CATALOGUE["gru_is_the_original_with_z_inverted"], right(kind), "float32"),
            case,
            check,
        )
        worst = max(worst, check.worst)
    assert 0 < worst <= 1  # some element is rounded, and none past its bound


def test_a_claim_of_nothing_is_vacuous() -> None:
    """Weights near the largest number leave no finite bound."""
    case = Case("SharedRNN", cell=True, output_size=2, weights="huge", inputs="huge", states="huge")
    check = Check()
    put(Plan(CATALOGUE["rnn_superposes"], right(RNN), "float32"), case, check)
    assert (check.comparisons, check.vacuous) == (0, 1)
