"""Going on with a run that ended early: its records say what is decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .options import UsageError
from .running.record_file import NAME, read
from .running.records import Record
from .running.schedule import in_full
from .session import Run

#: Options that change no verdict, and so may be others in the run that goes on.
_FREE = frozenset(
    (
        *("report", "jobs", "json", "junit", "fail_fast", "time_limit"),
        *("level", "family", "property", "precision", "database"),
    )
)
#: The versions that decide what is drawn, and what a subject computes.
_VERSIONS = ("gatewise", "python", "torch", "numpy", "hypothesis", "cuda")


def decided(run: Run, options: Mapping[str, Any]) -> list[Record]:
    """The records in the report folder that a run with these options need not make again.

    There are none where there is no file.  Raises `UsageError`, one line, where the file is of a
    run with other options, or of other versions; the file stays as it is.
    """
    if run.report is None:
        raise UsageError("--resume: expected --report with the folder of the run to go on with")
    path = run.report / NAME
    if not path.exists():
        return []
    runs, problems = read([path])
    if not runs:
        raise UsageError(f"--resume: {problems[0] if problems else f'{path} is empty'}")
    if len(runs) > 1:
        raise UsageError(f"--resume: {path} has the records of {len(runs)} runs; expected one")
    now = json.loads(json.dumps(run.head(options)))
    for part, names in (("run", {*now["run"]} - _FREE), ("environment", {*_VERSIONS})):
        for name in sorted(names):
            old, new = (h[part].get(name) for h in (runs[0].head, now))
            if old != new:
                raise UsageError(
                    f"--resume: {path} is of a run with {name.replace('_', '-')} {old!r}, and this "
                    f"one has {new!r}; expected the same, or another --report"
                )
    last = {r.id: r for r in runs[0].records if r.id in run.by_id and in_full(r)}
    return list(last.values())
