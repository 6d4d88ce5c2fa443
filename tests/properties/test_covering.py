"""Covering arrays: every pair of values is in a row, and a row becomes a case that has it."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest

from gatewise.properties.cases.case import Case
from gatewise.properties.cases.covering import (
    covering,
    options_of_calls,
    pairs,
    rows_of,
    some_rows,
    with_row,
)
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Property
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.reference.classes import CLASSES, DROP_IN

FORMS = ("dense", "unbatched", "ragged")
COVERS = [p for p in CATALOGUE.values() if p.covers]


def test_the_options_of_a_layer_and_of_a_cell() -> None:
    layer = options_of_calls("LSTM", cell=False, forms=FORMS)
    assert layer == {
        "num_layers": (1, 2),
        "bidirectional": (False, True),
        "batch_first": (False, True),
        "bias": (True, False),
        "with_state": (True, False),
        "proj_size": (0, 1),
        "form": FORMS,
        "training": (True, False),
    }
    assert "nonlinearity" in options_of_calls("RNN", cell=True, forms=FORMS)
    cell = options_of_calls("LSTM", cell=True, forms=FORMS)
    assert list(cell) == ["bias", "with_state", "form", "training"]
    assert cell["form"] == ("dense", "unbatched")


@pytest.mark.parametrize("like", sorted(DROP_IN))
@pytest.mark.parametrize("forms", [FORMS, FORMS[:2], FORMS[:1]], ids=len)
def test_every_pair_of_values_is_in_a_row(like: str, forms: tuple[str, ...]) -> None:
    kind, cell = CLASSES[like].kind, CLASSES[like].cell
    options = options_of_calls(kind, cell, forms)
    rows = rows_of(kind, cell, forms)
    held = {pair for row in rows.values() for pair in pairs(row)}
    wanted = {
        ((a, v), (b, w))
        for (a, of_a), (b, of_b) in combinations(options.items(), 2)
        for v, w in product(of_a, of_b)
    }
    assert held == wanted
    assert len(rows) <= 10
    assert len(rows) == len(covering(options))  # no two rows have one name


def test_some_rows_hold_most_pairs() -> None:
    rows = rows_of("LSTM", False, FORMS)
    everything = {pair for row in rows.values() for pair in pairs(row)}
    for first in range(len(rows)):
        chosen = some_rows(rows, first, 4)
        assert len(set(chosen)) == 4
        assert chosen[0] == list(rows)[first]
        held = {pair for name in chosen for pair in pairs(rows[name])}
        assert len(held) > len(everything) * 0.6
        values = {one for name in chosen for one in rows[name].items()}
        assert {one for pair in everything for one in pair} == values
    assert set(some_rows(rows, 3, 99)) == set(rows)
    assert some_rows(rows, 3, 0) == ()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_case_has_the_options_and_the_form_of_its_row(kind: str) -> None:
    for row in rows_of(kind, False, FORMS).values():
        case = with_row(Case(kind, seed=7), row)
        for name, value in row.items():
            if name != "form":
                assert getattr(case, name) == value
        assert case.form == row["form"] or (case.form, row["form"]) == ("equal", "ragged")
        assert min(case.input_size, case.hidden_size, case.batch or 2, case.time) >= 2
        assert case.proj_size < case.hidden_size
        assert case.dropout == (0.5 if case.num_layers == 2 and not case.training else 0.0)
        assert case.input_array.shape == case.input_shape


def swept(prop: Property, like: str, profile: str, seed: int = 5, **gaps: Any) -> list[Case]:
    from dataclasses import replace

    subject = replace(BUILTIN[f"gatewise.impl.{like}"], unsupported=gaps)
    return list(prop.edge_cases(subject, "float32", seed, profile))


@pytest.mark.parametrize("prop", COVERS, ids=lambda p: p.name)
def test_a_run_ends_with_the_rows_or_with_the_part_that_its_profile_has(prop: Property) -> None:
    for like in ("LSTM", "GRUCell"):
        if like not in prop.of:
            continue
        every = [case.variant for case in swept(prop, like, "thorough")]
        assert every == list(prop.variants(like))
        for profile in ("quick", "standard"):
            part = [case.variant for case in swept(prop, like, profile)]
            assert part
            assert set(part) <= set(every)
            assert (len(part) < len(every)) == (profile in prop.portion)
        assert swept(prop, like, "quick", 5) != swept(prop, like, "quick", 6)


def test_what_a_subject_does_not_offer_is_in_no_case() -> None:
    gaps = {"num_layers": "one", "packed": "tensors alone", "state": "none", "proj_size": "none"}
    prop = CATALOGUE["compiled_by_eager_equals_reference"]
    cases = swept(prop, "LSTM", "standard", **gaps)
    for case in cases:
        assert (case.num_layers, case.proj_size, case.with_state) == (1, 0, False)
        assert case.lengths is None
    assert {c.bidirectional for c in cases} == {c.bias for c in cases} == {True, False}
