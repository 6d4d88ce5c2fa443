"""How a mutant is killed: by which property, in which precision, after how many seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from properties.conformance import run
from properties.plans import Plan, plans
from properties.subjects.protocol import Subject

ROOT = Path(__file__).resolve().parents[2]
PRECISIONS = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Verdict:
    """What a run of the properties on one subject found first; empty names where nothing was."""

    name: str
    killed_by: str = ""
    precision: str = ""
    status: str = ""
    message: str = ""
    case: str = ""
    seconds: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether a property did not hold."""
        return bool(self.killed_by)


def first_kill(
    subject: Subject,
    *,
    profile: str = "standard",
    seed: int = 0,
    precisions: Iterable[str] = PRECISIONS,
    families: Iterable[str] = (),
) -> Verdict:
    """Put the properties to a subject, in the order of a run, until one does not hold.

    `families` restricts them.  Seconds do not include the interpreter's start.
    """
    wanted, start = set(families), time.perf_counter()
    for plan in plans([subject], [subject.device], list(precisions)):
        if wanted and plan.prop.family not in wanted:
            continue
        verdict = _verdict(plan, profile, seed)
        if verdict is not None:
            return Verdict(**{**verdict, "seconds": time.perf_counter() - start})
    return Verdict(subject.name, seconds=time.perf_counter() - start)


def _verdict(plan: Plan, profile: str, seed: int) -> dict[str, str] | None:
    record = run(plan, profile=profile, seed=seed)
    if record.passed:
        return None
    return {
        "name": plan.subject.name,
        "killed_by": record.name,
        "precision": record.precision,
        "status": record.status,
        "message": record.message,
        "case": record.case,
    }


def start_up(times: int = 3) -> float:
    """Median seconds that an interpreter takes to import what a run needs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        code = "import pytest, properties.session"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[times // 2]
