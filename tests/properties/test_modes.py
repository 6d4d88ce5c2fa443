"""Modes, life cycle and weights: each planted fault is falsified by a message that names it.

Seen by one family alone, of all at the standard profile: `WrongInInference` by modes,
`LoadsLeniently` and `WithoutHooks` by life_cycle, `NormalInit` by weights.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatewise import impl
from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.checking.uniformity import check_uniform, furthest
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.life_cycle import chosen
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, KNOWN_ISSUE, Record
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.loading import load_subject
from gatewise.properties.subjects.protocol import Subject

BROKEN = str(Path(__file__).with_name("broken_modes.py"))

TRAINING = "training_and_evaluation_give_the_same"
DEEP, STORED = "deep_copy_is_equal_and_independent", "stored_module_is_equal_and_independent"
HOOKS = "hooks_run_once_and_may_replace_the_result"
UNIFORM = "initial_weights_are_uniform"

#: Subject, property, precision, and what the message says.
FAULTS = [
    ("WrongInEval", TRAINING, "float32", "in evaluation mode: output"),
    ("WrongInInference", "grad_modes_give_the_same", "float64", "with inference: h"),
    ("CoarseUnderAutocast", "autocast_stays_within_the_low_bound", "bfloat16", "under autocast: h"),
    ("FrozenUnderAutocast", "autocast_trains", "bfloat16", "weight_hh has a gradient is False"),
    ("CastsFloat64", "autocast_leaves_float64_alone", "float64", "under autocast: h"),
    (
        "TruncatesOnConversion",
        "converted_module_computes_in_its_dtype",
        "float16",
        r"weight_ih after \.to\(dtype\) is the rounded weight is False",
    ),
    (
        "AlwaysFloat32",
        "construction_follows_the_dtype",
        "float64",
        "dtype of weight_ih_l0 by default dtype is torch.float32, expected torch.float64",
    ),
    ("ZerosOfTheDefault", "call_ignores_the_defaults", "float32", "device meta"),
    ("CopySharesWeights", DEEP, "float32", "of the copy by copy.deepcopy shares storage is True"),
    ("PickleDropsBias", STORED, "float32", "bias_hh_l0 of the copy by .* same bits is False"),
    ("LoadsNoBias", "loaded_weights_are_used", "float32", "weights copied: h"),
    (
        "LoadsLeniently",
        "load_state_dict_is_strict",
        "float32",
        "names weight_ih, which is missing, and says 'nothing'",
    ),
    ("HoldsWeakly", "parameters_may_be_swapped", "float32", "it has weakref associated with it"),
    ("ReadsOnMeta", "meta_module_gives_shapes_then_computes", "float32", "on meta tensors"),
    ("WithoutHooks", HOOKS, "float32", r"the hooks that ran is \[\], expected"),
    ("WithoutHooks", "pre_hook_may_replace_the_input", "float32", "with a pre-hook .* zeros: out"),
    ("SilentOnBias", "repr_names_what_differs", "float32", r"bias in SilentOnBias\(.*\) is None"),
    ("BiasIfThere", "deleted_weight_is_missed", "float32", "was deleted raises is False"),
    ("CachesWeights", "weight_updates_are_seen", "float64", "weights in place: h"),
    ("BreaksTies", "tied_weights_stay_tied", "float32", "after deepcopy is False"),
    ("HalfTied", "tied_weights_gather_their_gradients", "float64", "tied to it, gradient of"),
    ("ReadsOriginals", "parametrized_weights_are_used", "float32", "with weight_ih doubled: h"),
    ("KeepsWeightAndGraph", "parametrized_module_may_be_copied", "float32", "deepcopy protocol"),
    (
        "EvaluatesAgain",
        "cached_parametrization_is_evaluated_once",
        "float32",
        r"evaluations of weight_.h within parametrize.cached\(\) is 2, expected 1",
    ),
    ("ThawsWeights", "frozen_weights_stay", "float32", "has a gradient is True, expected False"),
    ("NormalInit", UNIFORM, "float32", r"weight_ih_l0: sup\|Fₙ − F\| = 0\.0\d+ from U"),
    ("WideInit", UNIFORM, "float32", r"weight_ih_l0: sup\|Fₙ − F\| = 0\.25 from U"),
    ("OneSeedForAll", UNIFORM, "float32", "begin with the same draws is True"),
]


def falsified(name: str, prop: str, precision: str) -> Record:
    plan = Plan(CATALOGUE[prop], replace(load_subject(f"{BROKEN}:{name}"), trusted=True), precision)
    return run(plan, profile="standard", seed=1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "prop", "precision", "said"), FAULTS)
def test_a_planted_fault_is_falsified_and_named(
    name: str, prop: str, precision: str, said: str
) -> None:
    record = falsified(name, prop, precision)
    assert record.status == FALSIFIED
    assert re.search(said, record.message)


@pytest.mark.parametrize(
    ("prop", "subject"),
    [
        ("parameters_may_be_swapped", "torch.nn.GRU"),
        ("deleted_weight_is_missed", "torch.nn.LSTM"),
        ("parametrized_module_may_be_copied", "torch.nn.RNN"),
        ("repr_names_what_differs", "torch.nn.RNN"),
    ],
)
def test_torchs_own_layers_are_known_and_ours_are_held_to_the_claim(
    prop: str, subject: str
) -> None:
    theirs = run(Plan(CATALOGUE[prop], BUILTIN[subject], "float32"), profile="quick", seed=2)
    own = BUILTIN[subject.replace("torch.nn", "gatewise.impl")]
    ours = run(Plan(CATALOGUE[prop], own, "float32"), profile="quick", seed=2)
    assert (theirs.status, ours.status) == (KNOWN_ISSUE, "holds")


def test_uniform_draws_pass_and_the_bound_is_massarts() -> None:
    """2·exp(−2nε²) is α at ε, and the empirical distance of uniform draws is within."""
    assert round(2 * np.exp(-2 * 100 * furthest(100) ** 2) * 1e15, 6) == 1
    generator = torch.Generator().manual_seed(5)
    for n in (1, 2, 40, 5000):
        check = Check()
        check_uniform(check, "w", torch.rand(n, generator=generator) - 0.5, 0.5, 2.0**-24)
        assert check.comparisons == 1
        assert 0 < check.worst < 1


def test_a_sample_beyond_the_range_or_in_one_place_is_not_uniform() -> None:
    for sample in (torch.full((100,), 0.3), 2 * torch.linspace(-1, 1, 300), torch.zeros(80)):
        with pytest.raises(Mismatch, match=r"w: sup\|Fₙ − F\| = 0\.\d+ from U\(−1, 1\)"):
            check_uniform(Check(), "w", sample, 1.0, 0.0)


@pytest.mark.parametrize("name", ["MyLSTM2", "LSTM4_1", "Lstm32x64"])
@pytest.mark.parametrize("like", ["LSTM", "LSTMCell"])
def test_the_digits_of_a_classs_name_are_no_sizes(name: str, like: str) -> None:
    factory = type(name, (getattr(impl, like),), {})
    plan = Plan(CATALOGUE["repr_names_what_differs"], Subject("mine", like, factory), "float32")
    assert run(plan, profile="quick", seed=2).status == "holds"


def test_a_size_that_the_repr_leaves_out_is_seen_whatever_the_name() -> None:
    def without_sizes(self: Any) -> str:
        return "2 layers"

    factory = type("MyLSTM2", (impl.LSTM,), {"extra_repr": without_sizes})
    plan = Plan(CATALOGUE["repr_names_what_differs"], Subject("mine", "LSTM", factory), "float32")
    record = run(plan, profile="quick", seed=2)
    assert record.status == "falsified"
    assert "the sizes in MyLSTM2(2 layers) is [2], expected" in record.message


class _SkipsZeros(impl.RNNCell):
    """Does not read weight_hh without a state, which would multiply it by zeros."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if hx is not None:
            return super().forward(input, hx)
        return torch.tanh(input @ self.weight_ih.T)


class _ReadsPast(_SkipsZeros):
    """Reads a parametrized weight past its parametrization."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        own = self.parametrizations.weight_ih.original
        return torch.tanh(input @ own.T)


def test_a_weight_that_meets_zeros_alone_need_not_be_read() -> None:
    claim = CATALOGUE["cached_parametrization_is_evaluated_once"].claim
    without = Case("RNN", cell=True, hidden_size=6, bias=False, batch=3, with_state=False)
    names = set()
    for seed in range(8):
        case = without.but(weights="spread", inputs="spread", seed=seed)
        claim(Subject("mine", "RNNCell", _SkipsZeros), case, Check())
        names.add(chosen(case))
        if chosen(case) == "weight_ih":
            with pytest.raises(Mismatch, match="with its only value: h"):
                claim(Subject("mine", "RNNCell", _ReadsPast), case, Check())
    assert names == {"weight_ih", "weight_hh"}
