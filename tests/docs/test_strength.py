"""docs/strength.md is made from the record of a run on the mutants that there are today."""

from __future__ import annotations

from pathlib import Path

from tests.mutation import strength
from tests.mutation.all import MUTANTS
from tests.mutation.registry import FAULT_CLASSES
from tests.mutation.strength_page import sentences

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_has_the_figures_of_the_record() -> None:
    assert sentences() in README.read_text(encoding="utf-8")


def test_the_record_names_exactly_the_mutants() -> None:
    head, *records = strength.lines_of(strength.RECORD)
    assert {r["mutant"]: r["class"] for r in records} == {
        name: mutant.fault_class for name, mutant in MUTANTS.items()
    }
    assert len(records) == len(MUTANTS)
    assert head["classes"] == list(FAULT_CLASSES)
    assert all(list(r["checks"]) == list(strength.COLUMNS) for r in records)


def test_this_suite_kills_more_than_any_other_check() -> None:
    _, *records = strength.lines_of(strength.RECORD)
    killed = {
        c: {r["mutant"] for r in records if r["checks"][c] and r["checks"][c]["killed"]}
        for c in strength.COLUMNS
    }
    for check in strength.COLUMNS[1:]:
        assert len(killed[check]) < len(killed[strength.SUITE])
