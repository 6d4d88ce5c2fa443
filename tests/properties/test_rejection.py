"""Faults of the family rejection, each falsified by the claim that it breaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.rejection.mistakes import (
    LAYER_PATHS,
    Arguments,
    names_it,
    on_path,
    parts,
    spoiled,
)
from gatewise.properties.families.rejection.reads import BAND, banded
from gatewise.properties.running.engine import run
from gatewise.properties.running.known_issues import in_range
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, FLAKY, HOLDS, Record
from gatewise.properties.running.sandbox import parent as sandbox
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Subject

from . import careless


def record_of(
    factory: Any, kind: str, prop: str, seed: int = 1, profile: str = "standard"
) -> Record:
    subject = Subject("mine", kind, factory)
    return run(Plan(CATALOGUE[prop], subject, "float32"), profile=profile, seed=seed)


#: Fault, kind, claim that falls, and words of its message or case.
PLANTED = [
    ("BroadcastsARow", "GRU", "state_of_wrong_batch_is_refused", "h: one row"),
    ("LeavesRowsOut", "GRU", "state_of_wrong_batch_is_refused", "h: a row more, packed"),
    ("LeavesLayersOut", "GRU", "state_of_wrong_layers_is_refused", "h: a layer more"),
    ("ChecksTheWidthOfAStateAlone", "GRU", "input_of_wrong_width_is_refused", "input: "),
    ("FitsWidths", "LSTMCell", "state_of_wrong_width_is_refused", "wide"),
    ("TakesAStateForABatch", "RNNCell", "state_of_wrong_rank_is_refused", "more, unbatched"),
    ("SegfaultsOnRank", "LSTMCell", "state_of_wrong_rank_is_refused", "with SIGSEGV"),
    ("ConvertsDtypes", "GRU", "mixed_dtypes_are_refused", "dtype"),
    ("IgnoresDevices", "GRU", "mixed_devices_are_refused", "h: on meta"),
    ("TakesAnything", "GRU", "arguments_of_wrong_type_are_refused", "input: a"),
    ("ReturnsNothingForNothing", "GRU", "sequence_without_steps_is_refused", "without steps"),
    ("NamesNothing", "GRU", "refusals_name_the_argument", "not name what is wrong: 'invalid"),
    ("Asserts", "GRU", "state_of_wrong_rank_is_refused", "raises AssertionError: hx has another"),
    ("RefusesEverything", "GRU", "state_of_wrong_rank_is_refused", "input is wrong, and so is hx"),
    ("ReadsOneTooMany", "GRU", "nothing_outside_the_arguments_is_read", "got nan, expected"),
    ("ReadsBeforeAWeight", "LSTMCell", "nothing_outside_the_arguments_is_read", "got nan"),
    ("ClampsOptions", "GRU", "wrong_dropout_is_refused", "dropout = "),
    ("TakesAnyNonlinearity", "RNNCell", "unknown_nonlinearity_is_refused", "nonlinearity = "),
    ("RoundsSizes", "LSTM", "wrong_sizes_are_refused", "size = 2.5"),
    ("ProjectsAnyWidth", "LSTM", "wrong_projection_is_refused", "proj_size = hidden_size"),
    ("SaysOnlyThatItFailed", "LSTM", "refusals_name_the_option", "'cannot be made'"),
    ("FollowsBatchSizes", "GRU", "batch_sizes_that_do_not_fit_are_refused", "fewer rows than"),
]


@pytest.mark.parametrize(("name", "kind", "prop", "words"), PLANTED, ids=[p[0] for p in PLANTED])
def test_a_planted_fault_is_falsified(name: str, kind: str, prop: str, words: str) -> None:
    record = record_of(getattr(careless, name), kind, prop)
    assert record.status == FALSIFIED
    assert words in record.message


@pytest.mark.parametrize(
    ("function", "kind", "prop", "variant"),
    [
        (
            careless.sorts_in_silence,
            "Packing",
            "packing_refuses_what_does_not_fit",
            "lengths: shortest first, enforce_sorted=True",
        ),
        (
            careless.cuts_in_silence,
            "Padding",
            "padding_refuses_what_does_not_fit",
            "total_length: one too short",
        ),
    ],
)
def test_a_fault_of_packing_is_falsified_and_torch_is_not(
    function: Any, kind: str, prop: str, variant: str
) -> None:
    claim, case = CATALOGUE[prop].claim, Case("RNN", batch=2, time=3, variant=variant)
    (own,) = [s for s in BUILTIN.values() if s.like == kind]
    claim(own, case, Check())
    with pytest.raises(Mismatch, match="accepted, with"):
        claim(Subject("mine", kind, function), case, Check())


@pytest.mark.parametrize("name", ["NamesNothing", "SaysOnlyThatItFailed"])
def test_what_is_refused_without_a_name_is_refused_all_the_same(name: str) -> None:
    kind = "GRU" if name == "NamesNothing" else "LSTM"
    for prop in ("input_of_wrong_width_is_refused", "wrong_sizes_are_refused"):
        assert record_of(getattr(careless, name), kind, prop).status == HOLDS


def test_a_segfault_does_not_disturb_the_next_property() -> None:
    for prop in ("input_of_wrong_width_is_refused", "equals_reference"):
        assert record_of(careless.SegfaultsOnRank, "LSTMCell", prop).status == HOLDS


def plain_lstm(*args: Any, **kwargs: Any) -> nn.Module:
    """torch.nn.LSTM, of which no entry of the known issues speaks."""
    return nn.LSTM(*args, **kwargs)


def plain_cell(*args: Any, **kwargs: Any) -> nn.Module:
    """torch.nn.LSTMCell, likewise."""
    return nn.LSTMCell(*args, **kwargs)


@pytest.mark.skipif(
    not in_range(torch.__version__, ">=2.13,<2.14"), reason="these are faults of torch 2.13"
)
@pytest.mark.parametrize(
    ("factory", "kind", "prop", "words", "statuses"),
    [
        (plain_lstm, "LSTM", "state_of_wrong_layers_is_refused", "packed", (FALSIFIED,)),
        (plain_lstm, "LSTM", "state_of_wrong_batch_is_refused", "packed", (FALSIFIED,)),
        (plain_lstm, "LSTM", "input_of_wrong_width_is_refused", "packed equal", (FALSIFIED,)),
        # What lies past an end decides whether a later call on the same case fails as well.
        (plain_cell, "LSTMCell", "state_of_wrong_rank_is_refused", "unbatched", (FALSIFIED, FLAKY)),
        (plain_cell, "LSTMCell", "mixed_dtypes_are_refused", "c: of another dtype", (FALSIFIED,)),
    ],
)
def test_faults_of_torch_are_found_without_being_told(
    factory: Any, kind: str, prop: str, words: str, statuses: tuple[str, ...]
) -> None:
    for seed in (1, 2):
        record = record_of(factory, kind, prop, seed, profile="quick")
        assert record.status in statuses
        assert words in case_from(record.case).variant


def test_impl_refuses_with_every_seed() -> None:
    for seed in (11, 12):
        for kind in ("RNN", "LSTMCell"):
            factory = BUILTIN[f"gatewise.impl.{kind}"].factory
            for prop in CATALOGUE.values():
                if prop.family == "rejection" and kind in prop.of:
                    record = record_of(factory, kind, prop.name, seed, profile="quick")
                    assert record.status == HOLDS
                    assert record.cases >= len(prop.variants(kind))  # each at least once


@pytest.mark.parametrize("prop", [p for p in CATALOGUE.values() if p.family == "rejection"])
def test_every_variant_says_what_how_and_where(prop: Any) -> None:
    assert prop.isolated
    for kind in prop.of:
        variants = prop.variants(kind)
        assert len(set(variants)) == len(variants)
        if " = " not in "".join(variants):
            assert all(": " in v for v in variants)


def test_paths_are_what_they_are_called() -> None:
    case = Case("GRU", input_size=2, hidden_size=3, batch=3, time=4, seed=9)
    put = {path: on_path(case, path) for path in LAYER_PATHS}
    assert put["batch_first"].input_shape == (3, 4, 2)
    assert put["unbatched"].input_shape == (4, 2)
    assert put["packed equal"].lengths == (4, 4, 4)
    ragged, unsorted = put["packed ragged"].lengths, put["packed unsorted"].lengths
    assert ragged is not None
    assert ragged[0] == 4
    assert ragged[-1] == 1
    assert list(ragged) == sorted(ragged, reverse=True)
    assert unsorted == ragged[::-1]
    packed = Arguments(BUILTIN["gatewise.impl.GRU"], put["packed unsorted"]).input
    assert packed.sorted_indices is not None


def test_a_spoiled_tensor_differs_in_one_thing() -> None:
    t = torch.arange(24.0).view(2, 3, 4)
    assert spoiled(t, "a dimension fewer").shape == (3, 4)
    assert spoiled(t, "a dimension more").shape == (1, 2, 3, 4)
    assert spoiled(t, "a dimension of its width more").shape == (2, 3, 4, 4)
    assert spoiled(t, "one row").shape == (2, 1, 4)
    assert spoiled(t[:, :1], "one row").shape == (2, 2, 4)  # one would be right
    assert spoiled(t, "a row more").shape == (2, 4, 4)
    assert spoiled(t, "a layer fewer").shape == (1, 3, 4)
    assert spoiled(t, "narrower").shape == (2, 3, 3)
    assert torch.equal(spoiled(t, "a row fewer"), t[:, :2])
    assert parts("h and c: a row more, packed equal") == ("h and c", "a row more", "packed equal")


def test_a_message_names_by_a_word_or_by_all_the_numbers() -> None:
    assert names_it("Expected hidden size (1, 4)", ("hidden",))
    assert names_it("shapes cannot be multiplied (24x6 and 5x12)", ("input",), (6, 5))
    assert not names_it("shapes cannot be multiplied (24x6 and 5x12)", ("input",), (6, 4))
    assert names_it("expected cpu, got meta", ("device",), ("meta", "cpu"))
    assert not names_it("nothing on meta", ("device",), ("meta", "cpu"))
    assert not names_it("no sigmoid here", (), ("sigmoid",))
    assert not names_it("invalid argument", ("input", "hidden"))
    assert not names_it("LSTMCell: wrong", (r"\bcell\b",))


def test_bands_surround_a_tensor() -> None:
    inner = banded(torch.ones(2, 3))
    whole = torch.as_strided(inner, (6 + 2 * BAND,), (1,), 0)
    assert whole.isnan().sum() == 2 * BAND
    assert torch.equal(inner, torch.ones(2, 3))
    sandbox.close()
