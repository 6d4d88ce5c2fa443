"""A run in worker processes, without pytest: what `gatewise check` does.

A worker resolves the same options to the same run, unless it is a fork and has the run already.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from .options import configure
from .reporting.explanation import check_command
from .resuming import decided
from .running.engine import own_error
from .running.glance import GLANCE
from .running.heap import freeze
from .running.plans import Plan
from .running.record_file import RecordFile
from .running.records import ERROR, Record
from .running.sandbox import method
from .running.schedule import BOTH, EDGES, FEW, WHOLE, Done, Job, Schedule, Step, conduct
from .session import Run

#: Why a run may end before all is done, as a record says it.
FAIL_FAST = "because the run ended at the first that does not hold"
INTERRUPTED = "because the run was interrupted"


@dataclass
class Conducted:
    """A run as it goes: its schedule, and the file of its records where there is one."""

    run: Run
    schedule: Schedule
    file: RecordFile | None = None

    def close(self, why: str) -> None:
        """Record what did not run, for the reason `why`, and end the file."""
        for record in self.schedule.left(why):
            if self.file is not None:
                self.file.add(record)
        if self.file is not None:
            self.file.close(self.run.place)

    @property
    def records(self) -> list[Record]:
        """The records that are there, in the order of the plans."""
        final = self.schedule.final
        return [final[id_] for id_ in self.run.by_id if id_ in final]


def prepared(run: Run, options: Mapping[str, Any], resume: bool = False) -> Conducted:
    """A run that can begin.

    With `resume` it goes on from the records in its report folder, if there are any.  Raises
    `UsageError`, one line, where these are of a run with other options or versions, and `OSError`
    where the folder cannot be written.
    """
    known = decided(run, options) if resume else []
    schedule = Schedule(run.plans(), run.profile, run.seed, known)
    return Conducted(run, schedule, run.opened(known, **options))


def steps(
    conducted: Conducted,
    given: Mapping[str, Any],
    *,
    jobs: int,
    fail_fast: bool = False,
    seconds: float = float("inf"),
) -> Generator[Step, None, None]:
    """Put every property, in `jobs` processes; a step for each record, which is written first.

    `given` are the options that made the run.  `seconds` limits the time, and with `fail_fast` the
    run ends at the first record that decides the exit status.
    """
    run = conducted.run
    ways = {method(device) for device in run.devices}
    way = ways.pop() if len(ways) == 1 else "spawn"
    made: Any = run if way == "fork" else dict(given)

    def ends(record: Record) -> bool:
        return fail_fast and not record.passed and run.counts(record)

    walk = conduct(
        conducted.schedule, worker, made, jobs=jobs, method=way, until=ends, seconds=seconds
    )
    with closing(walk):
        for step in walk:
            if step.record is not None and conducted.file is not None:
                conducted.file.add(step.record)
            yield step


def worker(given: Run | Mapping[str, Any]) -> Callable[[Job], Done]:
    """What a worker process does with a job."""
    run = given if isinstance(given, Run) else configure(given)

    def do(job: Job) -> Done:
        freeze()
        id_, part = job
        plan = run.by_id[id_]
        try:
            if part in (FEW, EDGES, BOTH):
                return _glance(run, plan, part)
            record, text = run.run(plan, check_command(plan, run.seed), edges=part == WHOLE)
            return Done(record, text=text)
        except Exception as error:
            return Done(replace(plan.record(ERROR, run.seed), message=own_error(error)))

    return do


def _glance(run: Run, plan: Plan, part: str) -> Done:
    """A few drawn cases, those at the edges, or both, one after the other."""
    if part == EDGES:
        return Done(run.record(plan, shrink=False, drawn=False))
    done = Done(run.record(plan, most=GLANCE, shrink=False, edges=False))
    if part == BOTH and done.good and plan.has_edges:
        return replace(done, edges=run.record(plan, shrink=False, drawn=False))
    return done
