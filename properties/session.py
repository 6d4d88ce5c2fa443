"""A session: options resolved to plans, one seed, and the summary.  Needs no pytest."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

from gatewise.reference.classes import ALL

from .cases.case import Case, case_from
from .checking.comparison import Check
from .devices import DeviceError, available, resolve, row_of
from .families.catalogue import CATALOGUE
from .precisions import OFFERED, PLAIN
from .reporting.diagnosis import diagnose
from .reporting.explanation import diagnosis_lines, explain
from .reporting.script import script
from .reporting.shared_causes import common_causes
from .running.engine import EXAMPLES, apart, profile_settings, run
from .running.plans import Plan, plans, subject_of
from .running.records import CRASHED, Diagnosis, Record, not_offered, summary
from .running.sandbox.parent import CASE_TIMEOUT, Death
from .subjects.builtin import BUILTIN
from .subjects.loading import AUTO, SubjectError
from .subjects.protocol import Subject

DEFAULT_PROFILE = "standard"
DEFAULT_REPORT = "gatewise-report"

#: Command-line options, as argparse describes them.
OPTIONS: dict[str, dict[str, Any]] = {
    "--subject": {
        "action": "append",
        "metavar": "SPEC",
        "help": "package.module:Name, path/to/file.py:Name, or a built-in name such as "
        "torch.nn.LSTM; repeat for several (default: all built-in subjects)",
    },
    "--like": {
        "metavar": "CLASS",
        "help": "the class that the subjects stand in for, where their name does not say it: "
        f"{', '.join(ALL)}; {AUTO} finds their conventions by probing",
    },
    "--device": {
        "metavar": "DEVICE",
        "help": "cpu, cuda, cuda:1, any other type that torch knows, or all that are here "
        "(default: all)",
    },
    "--precision": {
        "action": "append",
        "metavar": "PRECISION",
        "help": f"one of {', '.join(OFFERED)}; repeat for several (default: {', '.join(PLAIN)})",
    },
    "--case-timeout": {
        "metavar": "SECONDS",
        "help": "stop a case of a subject from --subject, or one that may hang, after so long "
        f"without an answer, and count it as falsified (default: {CASE_TIMEOUT:g}; where the "
        "system tells how long it waited for a core, that is not counted)",
    },
    "--report": {
        "metavar": "DIR",
        "help": "folder for records.jsonl, one line for each property that was run, and for "
        f"scripts that show what was falsified (default: {DEFAULT_REPORT}, scripts alone)",
    },
}


class UsageError(ValueError):
    """An option that cannot be used; the text is one line that says what is accepted."""


@dataclass(frozen=True)
class Run:
    """The resolved options of one session."""

    subjects: tuple[Subject, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    profile: str
    seed: int
    report: Path | None = None
    database: str = field(default=".hypothesis/gatewise")
    case_timeout: float = CASE_TIMEOUT

    @cached_property
    def by_id(self) -> dict[str, Plan]:
        """Every plan of the session by its id."""
        return {p.id: p for p in plans(self.subjects, self.devices, self.precisions)}

    def plans(self) -> list[Plan]:
        """Every plan of the session."""
        return list(self.by_id.values())

    def header(self) -> str:
        """What a run states before it starts."""
        gpu = "" if len(available()) > 1 else "; no CUDA device"
        return (
            f"gatewise: {len(self.subjects)} subjects on {', '.join(self.devices)}{gpu}; "
            f"precisions {', '.join(self.precisions)}; profile {self.profile}; "
            f"seed {self.seed} (--hypothesis-seed={self.seed} reproduces); "
            f"torch {torch.__version__}"
        )

    def run(self, plan: Plan) -> tuple[Record, str]:
        """A plan's record, and the explanation that a person reads when it does not hold."""
        torch.set_num_threads(1)
        base = DirectoryBasedExampleDatabase(self.database)
        record = run(
            plan,
            profile=self.profile,
            seed=self.seed,
            database=base,
            case_timeout=self.case_timeout,
        )
        if record.passed:
            return record, ""
        record = diagnosed(plan, record, self.scripts, self.case_timeout)
        return record, explain(plan, record, self.seed, self.profile)

    @property
    def scripts(self) -> Path:
        """The folder of the scripts that show what was falsified; made when there is one."""
        return (self.report or Path(DEFAULT_REPORT)) / "scripts"

    def summarise(self, outcomes: Iterable[tuple[str, Mapping[str, Any] | None, str]]) -> list[str]:
        """Lines for a terminal from (test id, record or None, outcome) of each test.

        A plan that failed without leaving a record killed its process.  Writes the records to
        the report folder where there is one.
        """
        records = []
        for node, stored, outcome in outcomes:
            plan = self.by_id.get(node.partition("[")[2].removesuffix("]"))
            if stored is not None:
                records.append(Record.of(stored))
            elif plan is not None and outcome in ("failed", "error"):
                p = plan.prop
                s = plan.subject
                records.append(
                    Record(s.name, s.device, plan.precision, p.name, p.family, CRASHED, self.seed)
                )
        if not records:
            return []
        order = {id_: place for place, id_ in enumerate(self.by_id)}
        records.sort(key=lambda r: order[r.id])  # parallel workers report in any order
        if self.report is not None:
            self.report.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(r.as_dict()) + "\n" for r in records)
            (self.report / "records.jsonl").write_text(text, encoding="utf-8")
        lines = summary(records)
        left = len(self.by_id) - len(records)
        ran = f"{len(records)} of {len(self.by_id)} properties × precisions were run"
        lines.append(ran + (f"; {left} were not selected or not reached" if left else ""))
        lines += not_offered(records)
        lines += common_causes(records)
        for record in records:
            if not record.passed:
                lines.append(f"{record.status}: {record.id}")
        return lines


def diagnosed(plan: Plan, record: Record, folder: Path, timeout: float = CASE_TIMEOUT) -> Record:
    """A falsified record with the diagnosis of its case, and a script of it written to `folder`."""
    if not record.case:
        return record
    case = case_from(record.case)
    name = re.sub(r"[^\w.+-]+", "_", plan.id) + ".py"
    found, text = record.diagnosis, ""
    if not found.note:
        look = partial(_look, plan.prop.name, name, record.message)
        try:
            found, text = apart(plan, look, case, Check(), timeout)
        except Death as death:
            found = Diagnosis(note=f"during the diagnosis, {death}")
    if not text:
        lines = [record.message, *diagnosis_lines(found)]
        text = script(plan.subject, case, plan.prop, name, lines, called=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return replace(record, diagnosis=found, script=str(path))


def _look(
    prop: str, name: str, message: str, subject: Subject, case: Case, check: Check
) -> tuple[Diagnosis, str]:
    """The diagnosis of a case and its script, which call the subject; put as a claim is."""
    found = diagnose(subject, case)
    lines = [message, *diagnosis_lines(found)]
    return found, script(subject, case, CATALOGUE[prop], name, lines)


def register_profiles() -> None:
    """Make `--hypothesis-profile quick|standard|thorough` known to Hypothesis."""
    for name in EXAMPLES:
        settings.register_profile(name, profile_settings(name))


def configure(given: Mapping[str, Any]) -> Run:
    """Resolve options by name; raises `UsageError` with one clear line for a bad one."""
    profile = given.get("--hypothesis-profile") or DEFAULT_PROFILE
    if profile not in EXAMPLES:
        raise UsageError(f"--hypothesis-profile {profile!r}: expected {_either(EXAMPLES)}")
    precisions = tuple(dict.fromkeys(given.get("--precision") or PLAIN))
    for precision in precisions:
        if precision not in OFFERED:
            raise UsageError(f"--precision {precision!r}: expected {_either(OFFERED)}")
    try:
        devices = resolve(given.get("--device"))
    except DeviceError as error:
        raise UsageError(str(error)) from error
    _check_precisions(given.get("--precision") or (), devices)
    try:
        subjects = _subjects(given.get("--subject"), given.get("--like"))
    except SubjectError as error:
        raise UsageError(str(error)) from error
    report = given.get("--report")
    stated = given.get("--hypothesis-seed")
    seed = _default_seed(devices) if stated is None else _integer(str(stated))
    register_profiles()
    return Run(
        subjects,
        devices,
        precisions,
        profile,
        seed,
        report and Path(report),
        case_timeout=_seconds("--case-timeout", given.get("--case-timeout"), CASE_TIMEOUT),
    )


def _either(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"


def _check_precisions(stated: Iterable[str], devices: Iterable[str]) -> None:
    """Raise `UsageError` for a stated precision that none of the devices has."""
    had = {device: row_of(device).precisions() for device in devices}
    for precision in stated:
        if not any(precision in names for names in had.values()):
            there = "; ".join(f"{device} has {', '.join(names)}" for device, names in had.items())
            raise UsageError(f"--precision {precision!r}: {there}")


def _subjects(specs: list[str] | None, like: str | None) -> tuple[Subject, ...]:
    if not specs:
        if like is not None:
            raise SubjectError(f"--like {like!r} is given without a --subject")
        return tuple(BUILTIN.values())
    return tuple(subject_of(spec, like) for spec in dict.fromkeys(specs))


def _integer(stated: str) -> int:
    """A seed as given; a word is hashed, since Hypothesis takes words as well."""
    return int(stated) if stated.lstrip("-").isdigit() else _hashed(stated)


def _seconds(option: str, stated: str | None, default: float) -> float:
    """A positive number of seconds."""
    if stated is None:
        return default
    try:
        seconds = float(stated)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{option} {stated!r}: expected a number of seconds above 0")
    return seconds


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _default_seed(devices: Iterable[str]) -> int:
    """A seed that each job of a matrix has for itself: its Python, torch, devices and commit.

    The worker has no part in it, so that a serial run draws what a parallel one did.
    """
    parts = (platform.python_version(), torch.__version__, *devices, _commit())
    return _hashed("/".join(parts))


def _commit() -> str:
    named = os.environ.get("GITHUB_SHA")
    if named:
        return named
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent,
        )
    except OSError:
        return ""
    return done.stdout.strip()
