"""A session: options resolved to plans, one seed, and the summary.  Needs no pytest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from .cases.case import Case, case_from
from .checking.comparison import Check
from .devices import available
from .environment import environment
from .families.catalogue import CATALOGUE
from .levels import CONTRACT, HARDENING, counts
from .reporting.causes import common_causes, most_telling_first
from .reporting.constructor import constructor_faults
from .reporting.diagnosis import diagnose
from .reporting.explanation import diagnosis_lines, explain
from .reporting.faults_of_claims import told_faults
from .reporting.script import script
from .reporting.verdicts import verdicts
from .running.databases import FOLDER, database
from .running.engine import run
from .running.glance import GLANCED
from .running.plans import Plan, plans
from .running.profiles import seed_of
from .running.put import apart
from .running.record_file import RecordFile, head
from .running.records import CRASHED, Diagnosis, Record, not_offered, summary
from .running.sandbox.parent import CASE_TIMEOUT, Death
from .running.whole_files import write_whole
from .subjects.builtin import BUILTIN
from .subjects.protocol import Subject

DEFAULT_REPORT = "gatewise-report"


@dataclass(frozen=True)
class Run:
    """The resolved options of one session."""

    subjects: tuple[Subject, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    profile: str
    seed: int
    report: Path | None = None
    level: str | None = None
    chosen: frozenset[str] | None = None
    show: int | None = 10
    shard: tuple[int, int] = (1, 1)
    database: str = FOLDER
    case_timeout: float = CASE_TIMEOUT

    @cached_property
    def by_id(self) -> dict[str, Plan]:
        """Every plan of the session by its id."""
        every = plans(self.subjects, self.devices, self.precisions)
        named = [p for p in every if self.chosen is None or p.prop.name in self.chosen]
        own, parts = self.shard
        # The seed of a plan is a hash of its id, so each part has plans of every family.
        return {p.id: p for p in named if seed_of(0, p.id) % parts == own - 1}

    def shown(self, records: Iterable[Record]) -> list[Record]:
        """The records that a person reads in full, of all of a run, the most telling first."""
        return [r for r in most_telling_first(records) if self.counts(r)][: self.show]

    def counts(self, record: Record) -> bool:
        """Whether what a record says decides the exit status.

        `level` says up to where; unless it is stated, that is all for a built-in subject, and the
        contract for any other.
        """
        limit = self.level or (HARDENING if record.subject in BUILTIN else CONTRACT)
        return counts(record.level, limit)

    def plans(self) -> list[Plan]:
        """Every plan of the session."""
        return list(self.by_id.values())

    def header(self, option: str = "--hypothesis-seed=") -> str:
        """What a run states before it starts; `option` is that which takes the seed."""
        gpu = "" if len(available()) > 1 else "; no CUDA device"
        count = len(self.subjects)
        what = self.subjects[0].name if count == 1 else f"{count} subjects"
        own, parts = self.shard
        shard = f"shard {own}/{parts}; " if parts > 1 else ""
        return (
            f"gatewise: {what} on {', '.join(self.devices)}{gpu}; "
            f"precisions {', '.join(self.precisions)}; profile {self.profile}; {shard}"
            f"seed {self.seed} ({option}{self.seed} reproduces); "
            f"torch {torch.__version__}"
        )

    def run(self, plan: Plan, again: str = "", *, edges: bool = True) -> tuple[Record, str]:
        """A plan's record, and the explanation that a person reads when it does not hold.

        `again` is the command that puts this property once more, unless it is that of pytest.
        `edges` is that of `engine.run`.
        """
        record = self.record(plan, edges=edges)
        if record.passed:
            return record, ""
        record = diagnosed(plan, record, self.scripts, self.case_timeout)
        return record, explain(plan, record, self.seed, self.profile, again)

    def record(self, plan: Plan, **how: Any) -> Record:
        """A plan's record without a diagnosis; `how` are options of `engine.run`."""
        torch.set_num_threads(1)
        return run(
            plan,
            profile=self.profile,
            seed=self.seed,
            database=database(self.database),
            case_timeout=self.case_timeout,
            **how,
        )

    @property
    def scripts(self) -> Path:
        """The folder of the scripts that show what was falsified; made when there is one."""
        return (self.report or Path(DEFAULT_REPORT)) / "scripts"

    def head(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The first line of a file of records; `options` are those that it states."""
        return head(environment(), {**options, "seed": self.seed, "profile": self.profile})

    def opened(self, kept: Iterable[Record] = (), **options: Any) -> RecordFile | None:
        """A file for the records in the report folder, where there is one; it begins with `kept`.

        `options` are those that its first line states.  Raises `OSError` where the file cannot be
        written.
        """
        if self.report is None:
            return None
        return RecordFile(self.report, self.head(options), kept)

    def place(self, record: Record) -> int:
        """The place of a record in the order of the plans."""
        return self._places[record.id]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {id_: place for place, id_ in enumerate(self.by_id)}

    def summarise(
        self,
        outcomes: Iterable[tuple[str, Mapping[str, Any] | None, str]],
        file: RecordFile | None = None,
    ) -> list[str]:
        """Lines for a terminal from (test id, record or None, outcome) of each test.

        A plan that failed without leaving a record killed its process.  `file` has the records that
        tests have left; the others are added, and it is closed.
        """
        records = []
        for node, stored, outcome in outcomes:
            plan = self.by_id.get(node.partition("[")[2].removesuffix("]").removesuffix(GLANCED))
            if stored is not None:
                records.append(Record.of(stored))
            elif plan is not None and outcome in ("failed", "error"):
                records.append(plan.record(CRASHED, self.seed))
                if file is not None:
                    file.add(records[-1])
        if file is not None:
            file.close(self.place)
        if not records:
            return []
        records.sort(key=self.place)  # parallel workers report in any order
        lines = [file.problem] if file is not None and file.problem else []
        lines += summary(records)
        left = len(self.by_id) - len(records)
        ran = f"{len(records)} of {len(self.by_id)} properties × precisions were run"
        lines.append(ran + (f"; {left} were not selected or not reached" if left else ""))
        lines += not_offered(records)
        lines += common_causes(records)
        lines += verdicts(r for r in records if r.subject not in BUILTIN)
        return lines + self._listed(most_telling_first(records))

    def _listed(self, wrong: list[Record]) -> list[str]:
        """A line for each of those that count and of the remarks, up to as many as are shown."""
        lines = []
        for decides in (True, False):
            own = [r for r in wrong if self.counts(r) == decides]
            lines += [
                f"{r.status if decides else f'remark at {r.level}'}: {r.id}"
                for r in own[: self.show]
            ]
            left = own[len(own[: self.show]) :]
            statuses = Counter(r.status for r in left)
            counted = ", ".join(f"{n} {status}" for status, n in statuses.items())
            what = "more" if decides else "more remarks"
            lines += [f"and {what}, {counted}: --show all lists them"] if left else []
        return lines


def diagnosed(plan: Plan, record: Record, folder: Path, timeout: float = CASE_TIMEOUT) -> Record:
    """A falsified record with the diagnosis of its case, and a script of it written to `folder`."""
    if not record.case:
        return record
    case = case_from(record.case)
    name = re.sub(r"[^\w.+-]+", "_", plan.id) + ".py"
    found, text = record.diagnosis, ""
    if not found.note:
        look = partial(_look, plan.prop.name, name, record.message, timeout / 2)
        try:
            found, text = apart(plan, look, case, Check(), timeout)
        except Death as death:
            found = Diagnosis(note=f"during the diagnosis, {death}")
    if not text:
        lines = [record.message, *diagnosis_lines(found)]
        text = script(plan.subject, case, plan.prop, name, lines, called=False)
    path = folder / name
    try:
        write_whole(path, text)
    except OSError as error:  # a full disk takes nothing from the verdict
        note = f"its script could not be written: {path}: {error.strerror or error}"
        return replace(record, diagnosis=found, message=f"{record.message}\n{note}")
    return replace(record, diagnosis=found, script=str(path))


def _look(
    prop: str,
    name: str,
    message: str,
    seconds: float,
    subject: Subject,
    case: Case,
    check: Check,
) -> tuple[Diagnosis, str]:
    """The diagnosis of a case and its script, which call the subject; put as a claim is.

    The diagnosis takes no more than some `seconds`, so that it leaves what is known by then.
    """
    found = diagnose(subject, case, CATALOGUE[prop].family, seconds)
    faults = found.faults or told_faults(prop, message)
    found = replace(found, faults=faults, constructor=constructor_faults(subject, case))
    lines = [message, *diagnosis_lines(found)]
    return found, script(subject, case, CATALOGUE[prop], name, lines)
