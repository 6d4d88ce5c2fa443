"""For a pytest file of your own: one test for each property of your cells.

import gatewise as gw

@gw.parametrize([MyLSTM])
def test_my_lstm(check):
    check()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest

from gatewise.properties.precisions import WIDE
from gatewise.properties.reporting.explanation import explain
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, chosen
from gatewise.properties.running.records import UNSUPPORTED, Record
from gatewise.properties.session import diagnosed


@dataclass(frozen=True)
class PropertyCheck:
    """One property on one subject in one precision; call it to run it."""

    plan: Plan
    profile: str
    seed: int
    report: Path

    def __call__(self) -> Record:
        """Run the property and return its record.

        Raises `AssertionError` with the explanation where the property does not hold, and
        `unittest.SkipTest` with the reason where the subject does not offer it.
        """
        record = run(self.plan, profile=self.profile, seed=self.seed)
        if record.status == UNSUPPORTED:
            raise SkipTest(f"unsupported: {record.message}")
        if not record.passed:
            record = diagnosed(self.plan, record, self.report / "scripts")
            again = f"seed={self.seed}"
            raise AssertionError(explain(self.plan, record, self.seed, self.profile, again))
        return record

    def __repr__(self) -> str:
        return f"PropertyCheck({self.plan.id})"


def parametrize(
    subjects: Iterable[Any],
    *,
    like: str | None = None,
    properties: Iterable[str] | None = None,
    precisions: Iterable[str] = WIDE,
    profile: str = "standard",
    seed: int = 0,
    report: str | Path = "gatewise-report",
) -> pytest.MarkDecorator:
    """Parametrize a test with one argument, `check`, over the properties of several subjects.

    A test that calls its `check` fails where the property does not hold, and is skipped with the
    reason where the subject does not offer it.  The other arguments are those of
    `check_conformance`; `report` is the folder for the scripts of falsified properties.

    Raises `ValueError`, one line, for an argument that cannot be used.
    """
    plans = chosen(subjects, like, properties, precisions)
    checks = [PropertyCheck(plan, profile, seed, Path(report)) for plan in plans]
    return pytest.mark.parametrize("check", checks, ids=[p.id for p in plans])
