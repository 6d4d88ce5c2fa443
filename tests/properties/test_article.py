"""The article's claims: each row of docs/article.md is a test, and a refuted one has a witness."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path

import pytest

from gatewise.properties.cases.case import case_from
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.catalogue import CATALOGUE, properties_for
from gatewise.properties.families.tutorial import as_stated
from gatewise.properties.reporting.article import (
    CLAIMS,
    DEPARTS,
    REFUTED,
    Claim,
    Row,
    brief,
    record,
)
from gatewise.properties.running.engine import run
from gatewise.properties.running.put import put
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.builtin import BUILTIN, CARRYING_TAGGER

PAGE = Path(__file__).resolve().parents[2] / "docs" / "article.md"
ROWS = list({row.plan.id: row for claim in CLAIMS for row in claim.rows}.values())
REFUTED_ROWS = [row for row in ROWS if row.status == FALSIFIED]


BY_ID = {row.plan.id: row for row in ROWS}


@cache
def _found(row_id: str) -> Record:
    return record(BY_ID[row_id])


def found(row: Row) -> Record:
    """The record of a row, run once."""
    return _found(row.plan.id)


def name(row: Row) -> str:
    return row.plan.id


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_verdict(row: Row) -> None:
    got = found(row)
    assert got.status == row.status, got.message
    assert got.comparisons > 0
    if row.status == FALSIFIED:
        case = case_from(got.case)
        with pytest.raises(AssertionError):
            put(row.plan, case, Check())


@pytest.mark.parametrize("row", REFUTED_ROWS, ids=name)
def test_a_refutation_says_what_differs(row: Row) -> None:
    """By an exact fact, or by two numbers that differ in the digits that every machine gives."""
    text = brief(found(row).message)
    compared = re.search(r"(?:got|is) (.+), expected (.+)$", text)
    assert compared is not None
    assert compared[1] != compared[2]
    for number in re.findall(r"-?\d+\.\d+", text):
        assert len(number.lstrip("-0.").replace(".", "")) <= 4


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.says)
def test_the_verdict_of_a_claim_is_that_of_its_rows(claim: Claim) -> None:
    statuses = {row.status for row in claim.rows}
    assert claim.verdict in (HOLDS, DEPARTS, REFUTED)
    if claim.verdict == HOLDS:
        assert statuses == {HOLDS}
    else:
        assert statuses == {HOLDS, FALSIFIED}
        assert claim.because


def test_the_page_names_every_row_and_no_other() -> None:
    ids = re.findall(r"^\| `(\S+-cpu-float32-\S+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert sorted(ids) == sorted(row.plan.id for claim in CLAIMS for row in claim.rows)


def test_what_holds_is_claimed_by_the_catalogue_of_every_subject_of_a_run() -> None:
    """So the id of such a row is one of tests/conformance as well; no refuted row's is."""
    by_label = {row.plan.id for row in ROWS if row.plan.prop in as_stated.FAMILY.properties}
    for row in ROWS:
        plan = row.plan
        claimed = plan.prop in properties_for(plan.subject.like, plan.precision)
        of_a_run = plan.subject.name in BUILTIN and plan.id not in by_label
        if of_a_run:
            assert claimed == (row.status == HOLDS), plan.id


def test_claims_stated_literally_are_not_in_the_catalogue() -> None:
    assert not {p.name for p in as_stated.FAMILY.properties} & set(CATALOGUE)
    assert CARRYING_TAGGER.name not in BUILTIN


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("row", REFUTED_ROWS, ids=name)
def test_a_smallest_witness_is_the_same_from_every_seed(row: Row, seed: int) -> None:
    """Else another version of Hypothesis would make another page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert run(row.plan, profile="standard", seed=seed).case == found(row).case


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("#gates is 3, expected 12", "#gates is 3, expected 12"),
        ("c[0, 0]: got 1, expected 0, error 1 > bound 2e-38 = 5 ×", "c[0, 0]: got 1, expected 0"),
        ("h[0]: got 0.123456, expected 0.5, error 0.3 >", "h[0]: got 0.123, expected 0.5"),
        ("h[0]: got 0.99991, expected 1, error 9e-05", "h[0]: got 0.9999, expected 1"),
        ("h[0]: got -1.52e-05, expected 0.25, error 0.25", "h[0]: got -1.52e-05, expected 0.25"),
    ],
)
def test_a_message_is_cut_to_what_every_machine_gives(message: str, short: str) -> None:
    assert brief(message) == short
