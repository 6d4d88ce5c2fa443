"""How a mutant is killed: by which property, in which precision, after how many seconds.

Most faults show in the first few cases of some property, which may be the last in the order of a
run.  So a hunt first glances at all of them, and then runs them in full.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gatewise.properties.levels import HARDENING, counts
from gatewise.properties.precisions import PLAIN
from gatewise.properties.running.engine import run
from gatewise.properties.running.glance import GLANCE, in_rounds
from gatewise.properties.running.plans import plans
from gatewise.properties.running.records import VACUOUS
from gatewise.properties.subjects.protocol import Subject

ROOT = Path(__file__).resolve().parents[2]
PRECISIONS = tuple(PLAIN)


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
    comparisons: int = 0

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
    level: str = HARDENING,
    glance: bool = True,
) -> Verdict:
    """Put the properties to a subject until one does not hold.

    `families` restricts them, and so does `level`, the strictest level of claims that are put.
    Each is put in its first precision before any is in its second,
    to GLANCE cases of each first where `glance` is set, and then to all.  Seconds are those until
    a case failed: it is not shrunk, and the interpreter's start is not included.
    """
    wanted, start, comparisons = set(families), time.perf_counter(), 0
    found = in_rounds(plans([subject], [subject.device], list(precisions)))
    chosen = [
        p for p in found if counts(p.prop.level, level) and (not wanted or p.prop.family in wanted)
    ]
    for most in (GLANCE, None) if glance else (None,):
        for plan in chosen:
            record = run(plan, profile=profile, seed=seed, most=most, shrink=False)
            if most and record.status == VACUOUS:  # so few cases may hold nothing to compare
                continue
            comparisons += record.comparisons
            if not record.passed:
                return Verdict(
                    plan.subject.name,
                    record.name,
                    record.precision,
                    record.status,
                    record.message,
                    record.case,
                    time.perf_counter() - start,
                    comparisons,
                )
    return Verdict(subject.name, seconds=time.perf_counter() - start, comparisons=comparisons)


def start_up(times: int = 3) -> float:
    """Median seconds that an interpreter takes to import what a run needs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        code = "import pytest, gatewise.properties.session"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[times // 2]
