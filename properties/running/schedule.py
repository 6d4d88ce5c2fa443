"""Puts the plans of a run to its subjects: a glance at each first, then the rest in full."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .glance import GLANCE, as_faults_show, is_whole
from .plans import Plan
from .records import CRASHED, NOT_RUN, VACUOUS, Record
from .sandbox import ended
from .workers import Ended, Start, Workers

#: A job for a worker: the id of a plan, and whether it is a glance.
Job = tuple[str, bool]

#: About how many times as long as a glance a full run takes.
_FULL = 8

#: Seconds between two looks at the clock while jobs are being done.
_TICK = 0.2


@dataclass(frozen=True)
class Step:
    """A record that is there, with the explanation that a person reads when it does not hold.

    `record` is None where nothing happened: so whoever shows progress can show the time.
    """

    record: Record | None = None
    text: str = ""


class Schedule:
    """The order of the jobs of a run, and what is known so far.

    A property that does not hold at a glance runs in full at once.  What was left when the run
    ended has the record of its glance, or one that says why it was not run.  `now` is the name of
    the property that was begun last.
    """

    def __init__(self, plans: Iterable[Plan], profile: str, seed: int) -> None:
        ordered = as_faults_show(plans)
        self.profile = profile
        self.seed = seed
        self.plans = {p.id: p for p in ordered}
        self.final: dict[str, Record] = {}
        self._glanced: dict[str, Record] = {}
        self._urgent: deque[Job] = deque()
        self._glances: deque[Job] = deque((p.id, True) for p in ordered)
        self._rest: deque[Job] = deque()
        self._died: set[Job] = set()
        self.now = ""

    def next(self) -> Job | None:
        """The job that comes next, or None."""
        for queue in (self._urgent, self._glances, self._rest):
            if queue:
                job = queue.popleft()
                self.now = self.plans[job[0]].prop.name
                return job
        return None

    def put(self, job: Job, result: Any) -> Step:
        """Take the result of a job; the step has a record where it is final."""
        id_, glance = job
        if isinstance(result, Ended):
            if job not in self._died:  # once may be the machine's doing
                self._died.add(job)
                self._urgent.append(job)
                return Step()
            record, text = self._crashed(id_, result), ""
        else:
            record, text = result
        plan = self.plans[id_]
        if glance and record.status != CRASHED:
            if record.passed and is_whole(plan, self.profile):
                self.final[id_] = record
                return Step(record)
            if record.passed or record.status == VACUOUS:
                self._glanced[id_] = record
                self._rest.append((id_, False))
            else:
                self._urgent.append((id_, False))
            return Step()
        self.final[id_] = record
        return Step(record, text)

    @property
    def share(self) -> float:
        """About how much of the work is done, from 0 to 1."""
        looked = len(self._glanced.keys() | self.final.keys())
        whole = len(self.plans) * (1 + _FULL)
        return (looked + _FULL * len(self.final)) / whole if whole else 1.0

    def left(self, why: str) -> list[Record]:
        """Records of what did not run, or not in full; `why` says what ended the run."""
        found = []
        for id_, plan in self.plans.items():
            if id_ in self.final:
                continue
            glanced = self._glanced.get(id_)
            if glanced is not None and glanced.status != VACUOUS:
                note = f"{GLANCE} cases alone, {why}"
                message = "; ".join(filter(None, [glanced.message, note]))
                record = replace(glanced, message=message)
            else:
                record = replace(plan.record(NOT_RUN, self.seed), message=f"not run, {why}")
            self.final[id_] = record
            found.append(record)
        return found

    def _crashed(self, id_: str, result: Ended) -> Record:
        record = self.plans[id_].record(CRASHED, self.seed)
        how = "the process of the run ended" if result.code is None else ended(result.code)
        return replace(record, message=f"twice on this property, {how}")


def conduct(
    schedule: Schedule,
    start: Start,
    given: Any,
    *,
    jobs: int,
    method: str,
    until: Callable[[Record], bool] = lambda record: False,
    seconds: float = float("inf"),
) -> Generator[Step, None, None]:
    """Do the jobs of a schedule in `jobs` processes, and yield a step for each record.

    It ends when nothing is left, after `seconds`, or after the first record of which `until` is
    true.  `start`, `given` and `method` are those of `Workers`.
    """
    deadline = time.monotonic() + seconds
    with Workers(start, given, jobs, method) as workers:
        while True:
            while workers.free and (job := schedule.next()) is not None:
                workers.put(job)
            if not workers.busy:
                return
            for finished, result in workers.done(_TICK):
                step = schedule.put(finished, result)
                yield step
                if step.record is not None and until(step.record):
                    return
            if time.monotonic() > deadline:
                return
            yield Step()
