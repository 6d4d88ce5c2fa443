"""The options of a run: what each means, and one clear line for a value that cannot be used."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from hypothesis import settings

from gatewise.reference.classes import ALL

from .devices import DeviceError, resolve, row_of
from .families.catalogue import CATALOGUE
from .levels import CONTRACT, LEVELS
from .precisions import OFFERED, PLAIN
from .running.databases import ACCEPTED, FOLDER, DatabaseError, database, reached
from .running.plans import subject_of
from .running.profiles import EXAMPLES, profile_settings
from .running.sandbox.parent import CASE_TIMEOUT
from .session import DEFAULT_REPORT, Run
from .subjects.builtin import BUILTIN
from .subjects.loading import AUTO, SubjectError
from .subjects.protocol import Subject

DEFAULT_PROFILE = "standard"
SHOWN = 10

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
    "--level": {
        "metavar": "LEVEL",
        "help": f"one of {', '.join(LEVELS)}: a property above this level does not decide the exit "
        f"status, and is a remark (default: {CONTRACT}; for built-in subjects none is above)",
    },
    "--family": {
        "action": "append",
        "metavar": "NAME",
        "help": "run the properties of this family alone; a name or a glob such as 'dropout*'; "
        "repeat for several",
    },
    "--property": {
        "action": "append",
        "metavar": "NAME",
        "help": "run this property alone; a name or a glob such as 'gradient_of_*'; repeat for "
        "several",
    },
    "--show": {
        "metavar": "NUMBER",
        "help": f"how many falsified properties are shown in full, or all (default: {SHOWN})",
    },
    "--shard": {
        "metavar": "I/N",
        "help": "put the I-th of N parts of the properties, so that N machines share a run: 1/3, "
        "2/3 and 3/3 together are the whole, and draw what one run draws",
    },
    "--database": {
        "metavar": "PLACE",
        "help": f"where failing cases are remembered, and put first in the next run: {ACCEPTED} "
        f"(default: {FOLDER})",
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


def register_profiles() -> None:
    """Make `--hypothesis-profile quick|standard|thorough` known to Hypothesis."""
    for name in EXAMPLES:
        settings.register_profile(name, profile_settings(name))


def configure(given: Mapping[str, Any]) -> Run:
    """Resolve options by name; raises `UsageError` with one clear line for a bad one.

    The profile and the seed are Hypothesis's options under pytest, `--hypothesis-profile` and
    `--hypothesis-seed`, and `--profile` and `--seed` of the command `gatewise check`.
    """
    stated_as = "--profile" if "--profile" in given else "--hypothesis-profile"
    profile = given.get(stated_as) or DEFAULT_PROFILE
    if profile not in EXAMPLES:
        raise UsageError(f"{stated_as} {profile!r}: expected {_either(EXAMPLES)}")
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
    level = given.get("--level")
    if level is not None and level not in LEVELS:
        raise UsageError(f"--level {level!r}: expected {_either(LEVELS)}")
    chosen = _chosen(given.get("--family") or (), given.get("--property") or ())
    report = given.get("--report")
    stated = given.get("--seed") or given.get("--hypothesis-seed")
    seed = _default_seed(devices) if stated is None else _integer(str(stated))
    register_profiles()
    return Run(
        subjects,
        devices,
        precisions,
        profile,
        seed,
        report and Path(report),
        level=level,
        chosen=chosen,
        shard=_shard(given.get("--shard")),
        show=_shown(given.get("--show")),
        database=_database(given.get("--database"), database),
        case_timeout=seconds("--case-timeout", given.get("--case-timeout"), CASE_TIMEOUT),
    )


def check_database(run: Run) -> None:
    """Ask the server of a run's database, before the run begins.

    Raises `UsageError`, one line, if it does not answer.  A worker does not ask: a run goes on
    without a server that ends later.
    """
    _database(run.database, reached)


def _database(stated: str | None, accepted: Callable[[str], Any]) -> str:
    try:
        accepted(stated or FOLDER)
    except DatabaseError as error:
        raise UsageError(str(error)) from None
    return stated or FOLDER


def _either(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"


def _chosen(families: Iterable[str], names: Iterable[str]) -> frozenset[str] | None:
    """The names of the properties that options choose, or None for all.

    Raises `UsageError` for a name or a glob that is that of no family or property.
    """
    if not families and not names:
        return None
    known = list(dict.fromkeys(p.family for p in CATALOGUE.values()))
    own = {f for glob in families for f in _matching("--family", glob, known)}
    found = {p.name for p in CATALOGUE.values() if p.family in own}
    return frozenset(found.union(*(_matching("--property", glob, CATALOGUE) for glob in names)))


def _matching(option: str, glob: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    found = fnmatch.filter(names, glob)
    if found:
        return found
    near = difflib.get_close_matches(glob, names, 3, 0.4)
    nearest = f"the nearest names are {', '.join(near)}" if near else "no name is near it"
    raise UsageError(f"{option} {glob!r}: there is none of this name; {nearest}")


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


def seconds(option: str, stated: str | None, default: float) -> float:
    """A positive number of seconds; raises `UsageError`."""
    if stated is None:
        return default
    try:
        found = float(stated)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise UsageError(f"{option} {stated!r}: expected a number of seconds above 0")
    return found


def _shown(stated: str | None) -> int | None:
    """A number of properties, or None for all."""
    if stated is None:
        return SHOWN
    if stated != "all" and not stated.isdigit():
        raise UsageError(f"--show {stated!r}: expected a number, or all")
    return None if stated == "all" else int(stated)


def _shard(stated: str | None) -> tuple[int, int]:
    """The number of a part, from 1, and how many parts there are."""
    if stated is None:
        return 1, 1
    own, slash, parts = stated.partition("/")
    if slash and own.isdigit() and parts.isdigit() and 1 <= int(own) <= int(parts):
        return int(own), int(parts)
    raise UsageError(f"--shard {stated!r}: expected I/N with I from 1 to N, such as 2/3")


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _default_seed(devices: Iterable[str]) -> int:
    """A seed that each job of a matrix has for itself: its Python, torch, devices and commit.

    The worker has no part in it, so that a serial run draws what a parallel one did.
    """
    parts = (platform.python_version(), torch.__version__, *devices, commit())
    return _hashed("/".join(parts))


def commit() -> str:
    """The commit of a checkout, or of a job of GitHub; an empty string where there is none."""
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
