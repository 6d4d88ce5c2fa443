"""Properties as the parameters of one's own test: what `pytest.mark.parametrize` takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import SkipTest

from .conformance import explain, run
from .plans import Plan, chosen
from .records import UNSUPPORTED, Record
from .session import diagnosed


@dataclass(frozen=True)
class PropertyCheck:
    """One property on one subject in one precision; call it to run it."""

    plan: Plan
    profile: str
    seed: int
    report: Path

    def __call__(self) -> Record:
        """The record where nothing is amiss.

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


def checks_for(
    subjects: Iterable[Any],
    *,
    like: str | None = None,
    properties: Iterable[str] | None = None,
    precisions: Iterable[str] = ("float64", "float32"),
    profile: str = "standard",
    seed: int = 0,
    report: str | Path = "gatewise-report",
) -> dict[str, Any]:
    """Keyword arguments of `pytest.mark.parametrize` for a test with one argument, `check`.

    The arguments are those of `check_conformance`, for several subjects, and so is what it raises;
    `report` is the folder for the scripts that show what was falsified.
    """
    plans = chosen(subjects, like, properties, precisions)
    checks = [PropertyCheck(plan, profile, seed, Path(report)) for plan in plans]
    return {"argnames": "check", "argvalues": checks, "ids": [p.id for p in plans]}
