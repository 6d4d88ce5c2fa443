"""The mutation run: which mutants are killed, by what and how soon, and which subjects survive.

Usage: python -m tests.mutation.run [--profile standard] [--names TEXT] [--full] [--seeds 10]
       [--jobs 2] [--report DIR] [--resume] [--level contract] [--only correct]

Every mutant is put to the properties until one does not hold, to a few cases of each first and
then to all; every correct subject to all of them up to its level, with each seed.  --level is the
strictest level of claims that are put to any of them.  --only runs the mutants alone, or the
correct subjects alone.  --full prints the matrix mutant × property as well, at the profile
`quick`, and the properties that kill nothing.  An interrupt prints what was found so far.  The
report has each verdict as soon as it is found, and --resume goes on from there, in a run with the
same options on the same code.  The status is 1 where a mutant survives without an explanation, or
where a correct subject is falsified.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.levels import HARDENING, LEVELS
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import plans
from gatewise.properties.running.profiles import EXAMPLES

from .all import MUTANTS
from .correct import CORRECT
from .kill import Verdict, first_kill, start_up
from .registry import FAULT_CLASSES
from .strength import lines_of


def hunt(name: str, profile: str, seed: int, level: str) -> Verdict:
    """The first property that kills a mutant."""
    return first_kill(MUTANTS[name].subject, profile=profile, seed=seed, level=level)


def alarm(name: str, profile: str, seed: int, level: str) -> Verdict:
    """The first property that a correct subject falsifies, up to its level and the one given."""
    correct = CORRECT[name]
    verdict = first_kill(
        correct.subject,
        profile=profile,
        seed=seed,
        precisions=correct.precisions,
        level=min(correct.level, level, key=list(LEVELS).index),
        glance=False,
    )
    return Verdict(**{**asdict(verdict), "name": f"{name} seed {seed}"})


def row(name: str, profile: str, seed: int) -> tuple[str, list[str]]:
    """Every property that kills a mutant, in float64 or float32."""
    found = dict.fromkeys(
        plan.prop.name
        for plan in plans([MUTANTS[name].subject], ["cpu"], ["float64", "float32"])
        if not run(plan, profile=profile, seed=seed).passed
    )
    return name, list(found)


def parallel(
    task: Callable[..., Any], calls: Iterable[tuple[Any, ...]], jobs: int
) -> Iterator[Any]:
    """Results as they come, each from a process of its own; an interrupt keeps what came.

    A wrong subject may leave anything behind in its process.  Each is forked, where the system
    forks, from one that has imported what a run needs.
    """
    ways = get_all_start_methods()
    context = get_context("forkserver" if "forkserver" in ways else "spawn")
    context.set_forkserver_preload(["tests.mutation.run", "gatewise.properties.session"])
    pool = ProcessPoolExecutor(jobs, context, _single_thread, max_tasks_per_child=1)
    try:
        for done in as_completed([pool.submit(task, *call) for call in calls]):
            yield done.result()
    except KeyboardInterrupt:
        print("interrupted; what was found so far:", flush=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _single_thread() -> None:
    torch.set_num_threads(1)


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def score(verdicts: list[Verdict], begin: float) -> list[str]:
    """Lines of the score: by class of faults, then the times to kill with the start-up."""
    lines = [f"{'faults':15}  mutants  killed"]
    for fault_class in FAULT_CLASSES:
        own = [v for v in verdicts if MUTANTS[_plain(v)].fault_class == fault_class]
        lines.append(f"{fault_class:15}  {len(own):7}  {sum(v.killed for v in own):6}")
    times = [v.seconds + begin for v in verdicts if v.killed]
    lines.append(f"{sum(v.killed for v in verdicts)} of {len(verdicts)} mutants killed")
    if times:
        lines.append(
            f"seconds to kill, start-up of {begin:.1f} included: median "
            f"{statistics.median(times):.1f}, 95th percentile {percentile(times, 0.95):.1f}, "
            f"largest {max(times):.1f}"
        )
    for verdict in verdicts:
        if not verdict.killed:
            why = MUTANTS[_plain(verdict)].explained or "unexplained"
            lines.append(f"survives: {_plain(verdict)} ({why})")
    return lines


def _plain(verdict: Verdict) -> str:
    return verdict.name.removeprefix("mutant.")


def matrix(rows: dict[str, list[str]]) -> list[str]:
    """The matrix mutant × property, properties numbered, and those that kill nothing."""
    names = list(CATALOGUE)
    lines = [f"{i:3} {name}" for i, name in enumerate(names)]
    for name in sorted(rows):
        lines.append(f"{name:48} {' '.join(str(names.index(p)) for p in rows[name])}")
    idle = [n for n in names if not any(n in found for found in rows.values())]
    lines.append(
        f"{len(idle)} of {len(names)} properties kill nothing: {', '.join(idle) or 'none'}"
    )
    return lines


class Report:
    """The verdicts in DIR/mutation.jsonl, one a line; nowhere where no folder is given."""

    def __init__(self, folder: Path | None, resume: bool) -> None:
        self.path = folder and folder / "mutation.jsonl"
        self.found: list[Verdict] = []
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if resume:
            self.found = [
                Verdict(**{k: v for k, v in line.items() if k != "kills"})
                for line in lines_of(self.path)
            ]
        else:
            self.path.write_text("", encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        """Add a verdict."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def rewrite(self, verdicts: list[Verdict], rows: dict[str, list[str]]) -> None:
        """The same verdicts, each mutant's with all properties that kill it."""
        if self.path is not None:
            self.path.write_text("", encoding="utf-8")
            for v in verdicts:
                kills = {"kills": rows[_plain(v)]} if _plain(v) in rows else {}
                self.write({**asdict(v), **kills})


def main() -> int:
    """Run, print, and return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=sorted(EXAMPLES), default="standard")
    parser.add_argument("--names", default="", help="only those whose name has this text")
    parser.add_argument("--full", action="store_true", help="the matrix mutant × property too")
    parser.add_argument("--seeds", type=int, default=1, help="seeds for the correct subjects")
    parser.add_argument("--seed", type=int, default=0, help="seed for the mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="folder for mutation.jsonl")
    parser.add_argument("--resume", action="store_true", help="what the report has is not run")
    parser.add_argument("--level", choices=LEVELS, default=HARDENING, help="of the claims")
    parser.add_argument("--only", choices=["mutants", "correct"], default="", help="what runs")
    args = parser.parse_args()
    if args.resume and args.report is None:
        parser.error("--resume: --report must name the folder of the run to go on with")
    report = Report(args.report, args.resume)
    begin = start_up()
    chosen = [n for n in MUTANTS if args.names in n and args.only != "correct"]
    verdicts = [v for v in report.found if _plain(v) in MUTANTS]
    clock = time.perf_counter()
    found = {_plain(v) for v in verdicts}
    calls: list[tuple[Any, ...]] = [
        (n, args.profile, args.seed, args.level) for n in chosen if n not in found
    ]
    for verdict in parallel(hunt, calls, args.jobs):
        verdicts.append(verdict)
        report.write(asdict(verdict))
        by = f"{verdict.killed_by} in {verdict.precision}" if verdict.killed else "SURVIVES"
        print(f"{_plain(verdict):48} {verdict.seconds + begin:6.1f} s  {by}", flush=True)
    alarms = [v for v in report.found if _plain(v) not in MUTANTS]
    found = {v.name for v in alarms}
    calls = [
        (n, args.profile, s, args.level)
        for s in range(args.seeds)
        for n in CORRECT
        if args.names in n and args.only != "mutants" and f"{n} seed {s}" not in found
    ]
    for verdict in parallel(alarm, calls, args.jobs):
        alarms.append(verdict)
        report.write(asdict(verdict))
        by = f"FALSE ALARM of {verdict.killed_by}" if verdict.killed else "survives"
        print(f"{verdict.name:48} {verdict.seconds:6.1f} s  {by}", flush=True)
    rows: dict[str, list[str]] = {}
    if args.full:
        rows = dict(parallel(row, [(n, "quick", args.seed) for n in chosen], args.jobs))
        print("\n".join(matrix(rows)))
        report.rewrite([*verdicts, *alarms], rows)
    if chosen:
        print("\n".join(score(verdicts, begin)))
    false = [v for v in alarms if v.killed]
    print(f"{len(false)} of {len(alarms)} runs of correct subjects gave a false alarm")
    print(f"{sum(v.comparisons for v in alarms)} arrays of correct subjects were compared")
    for v in false:
        print(f"{v.name}: {v.killed_by} in {v.precision}: {v.message}\n  {v.case}")
    print(f"{time.perf_counter() - clock:.0f} s")
    unexplained = [v for v in verdicts if not v.killed and not MUTANTS[_plain(v)].explained]
    return 1 if unexplained or false else 0


if __name__ == "__main__":
    sys.exit(main())
