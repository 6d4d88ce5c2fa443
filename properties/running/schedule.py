"""Puts the plans of a run to its subjects: a glance at each first, then the rest in full."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from .glance import AFTER_MOST, FIRST, GLANCE, as_faults_show, is_whole, places
from .plans import Plan
from .records import CRASHED, ERROR, NOT_RUN, VACUOUS, Record, joined
from .sandbox import ended
from .workers import Ended, Start, Workers

#: The parts of a run of a property.  A glance is a few drawn cases and all at the edges.  In the
#: family that comes first it is in two parts, since it has many edges.
FEW, EDGES, BOTH = "few", "edges", "both"
#: After a good glance all drawn cases; after a bad one everything, with the smallest failing case.
REST, WHOLE = "rest", "whole"
#: A job for a worker: the id of a plan, and the part that is put.
Job = tuple[str, str]


@dataclass(frozen=True)
class Done:
    """The result of a job: a record, and after a glance that of the edges where there are any.

    `text` explains a record that does not hold.
    """

    record: Record
    edges: Record | None = None
    text: str = ""

    @property
    def whole(self) -> Record:
        """One record of both."""
        return self.record if self.edges is None else joined(self.record, self.edges)

    @property
    def good(self) -> bool:
        """Whether nothing is amiss; a few cases may hold nothing to compare."""
        parts = [self.record] if self.edges is None else [self.record, self.edges]
        return all(r.passed or r.status == VACUOUS for r in parts)


#: About how many times as long as a glance a full run takes.
_FULL = 8

#: How the message of a record begins, or goes on, that is one of a glance alone.
_FEW_ALONE = f"{GLANCE} cases alone"


def in_full(record: Record) -> bool:
    """Whether a run decided a property: it did not end before, and nothing of ours failed."""
    return record.status not in (NOT_RUN, CRASHED, ERROR) and _FEW_ALONE not in record.message


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
    What `known` has records of is not put.
    """

    def __init__(
        self, plans: Iterable[Plan], profile: str, seed: int, known: Iterable[Record] = ()
    ) -> None:
        ordered = as_faults_show(plans)
        self.profile = profile
        self.seed = seed
        self.plans = {p.id: p for p in ordered}
        self.final: dict[str, Record] = {r.id: r for r in known}
        ordered = [p for p in ordered if p.id not in self.final]
        self._glanced: dict[str, Done] = {}
        self._parts: dict[Job, Done] = {}
        self._bad: set[str] = set()
        self._urgent: deque[Job] = deque()
        self._glances: deque[Job] = deque(_glances(ordered))
        self._rest: deque[Job] = deque()
        self._died: set[Job] = set()
        self.now = ""

    def next(self) -> Job | None:
        """The job that comes next, or None."""
        for queue in (self._urgent, self._glances, self._rest):
            while queue:
                job = queue.popleft()
                if job[1] == EDGES and job[0] in self._bad:  # it runs in full, or did
                    continue
                self.now = self.plans[job[0]].prop.name
                return job
        return None

    def put(self, job: Job, result: Any) -> Step:
        """Take the result of a job; the step has a record where it is final."""
        id_, part = job
        if isinstance(result, Ended):
            if job not in self._died:  # once may be the machine's doing
                self._died.add(job)
                self._urgent.append(job)
                return Step()
            self._bad.add(id_)
            self.final[id_] = self._crashed(id_, result)
            return Step(self.final[id_])
        done: Done = result
        if part in (REST, WHOLE):
            glanced = self._glanced.get(id_)
            if part == REST and glanced is not None and done.good:
                done = replace(done, edges=glanced.edges)
            self.final[id_] = done.whole
            return Step(done.whole, done.text)
        if not done.good:
            if id_ not in self._bad:
                self._bad.add(id_)
                self._urgent.append((id_, WHOLE))
            return Step()
        if part in (FEW, EDGES):
            self._parts[job] = done
            few, edges = (self._parts.get((id_, one)) for one in (FEW, EDGES))
            if few is None or edges is None:
                return Step()
            done = replace(few, edges=edges.record)
        if done.whole.passed and is_whole(self.plans[id_], self.profile):
            self.final[id_] = done.whole
            return Step(done.whole)
        self._glanced[id_] = done
        self._rest.append((id_, REST))
        return Step()

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
            glanced = self._glanced.get(id_) or self._parts.get((id_, FEW))
            if glanced is not None and glanced.whole.status != VACUOUS:
                edges = "" if glanced.edges is None else ", and those at the edges"
                note = f"{_FEW_ALONE}{edges}, {why}"
                message = "; ".join(filter(None, [glanced.whole.message, note]))
                record = replace(glanced.whole, message=message)
            else:
                record = replace(plan.record(NOT_RUN, self.seed), message=f"not run, {why}")
            self.final[id_] = record
            found.append(record)
        return found

    def _crashed(self, id_: str, result: Ended) -> Record:
        record = self.plans[id_].record(CRASHED, self.seed)
        how = "the process of the run ended" if result.code is None else ended(result.code)
        return replace(record, message=f"twice on this property, {how}")


def _glances(ordered: list[Plan]) -> list[Job]:
    """The jobs of all glances, in the order in which faults show."""
    place, jobs = places(ordered), []
    for plan in ordered:
        if plan.prop.family == FIRST and plan.has_edges:
            jobs.append((place[plan.id], (plan.id, FEW)))
            jobs.append((AFTER_MOST, (plan.id, EDGES)))
        else:
            jobs.append((place[plan.id], (plan.id, BOTH)))
    return [job for _, job in sorted(jobs, key=itemgetter(0))]


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
