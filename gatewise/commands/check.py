"""The command `gatewise check`: the verdicts on one or several implementations."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from .statuses import ERROR, FOUND, GOOD, INTERRUPTED, USAGE

#: Options of the command that mean what they mean under pytest.
_SHARED = (
    *("--like", "--level", "--family", "--property", "--precision", "--device"),
    *("--shard", "--report", "--database", "--case-timeout"),
)
#: Causes that are printed when they are found.
_SHOWN = 5


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    from gatewise.properties.options import DEFAULT_PROFILE, OPTIONS
    from gatewise.properties.running.profiles import EXAMPLES
    from gatewise.properties.session import DEFAULT_REPORT

    parser = commands.add_parser(
        "check",
        help="decide whether an implementation is right",
        description="Puts a few cases of every property first, and then all of them. The exit "
        f"status is {GOOD} where everything up to --level holds, {FOUND} where something does not, "
        f"{INTERRUPTED} after an interrupt, {ERROR} where Gatewise itself failed, and {USAGE} for "
        "an option that cannot be used.",
    )
    parser.add_argument(
        "subjects",
        metavar="SUBJECT",
        nargs="*",
        help=OPTIONS["--subject"]["help"].replace("repeat for several ", "several "),
    )
    for flag in _SHARED:
        parser.add_argument(flag, **OPTIONS[flag])
    parser.add_argument(
        "--profile",
        metavar="PROFILE",
        help=f"how many cases: one of {', '.join(EXAMPLES)} (default: {DEFAULT_PROFILE})",
    )
    parser.add_argument(
        "--seed", metavar="SEED", help="of all cases (default: from versions, devices and commit)"
    )
    parser.add_argument("--jobs", metavar="N", help="processes that work (default: one a core)")
    parser.add_argument("--json", action="store_true", help="print records alone, one a line")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit's XML to this file as well")
    parser.add_argument(
        "--fail-fast", action="store_true", help="end at the first that does not hold"
    )
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        help="end after so long, and say what was left (default: none)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run whose records are in --report: what it decided is not put again",
    )
    parser.set_defaults(run=run, report=DEFAULT_REPORT)


def run(given: argparse.Namespace) -> int:
    """Check the subjects; returns the exit status."""
    from gatewise.properties import options
    from gatewise.properties.conducting import prepared

    flags = {f"--{name.replace('_', '-')}": value for name, value in vars(given).items()}
    flags["--subject"] = given.subjects
    try:
        session = options.configure(flags)
        options.check_database(session)
        jobs = _jobs(given.jobs)
        limit = options.seconds("--time-limit", given.time_limit, float("inf"))
        if not session.plans():
            raise options.UsageError("no property that was chosen is claimed of these subjects")
        asked = {k: v for k, v in vars(given).items() if k not in ("run", "command", "resume")}
        asked["commit"] = options.commit()
        conducted = prepared(session, asked, given.resume)
    except options.UsageError as error:
        print(f"gatewise check: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(
            f"gatewise check: --report {given.report!r}: {error.strerror or error}; expected a "
            "folder that can be written",
            file=sys.stderr,
        )
        return USAGE
    return _conducted(conducted, flags, jobs, limit, given)


def _conducted(
    conducted: Any, flags: dict[str, Any], jobs: int, limit: float, given: argparse.Namespace
) -> int:
    from gatewise.properties.conducting import FAIL_FAST, steps
    from gatewise.properties.conducting import INTERRUPTED as BY_HAND
    from gatewise.properties.reporting.ending import ending

    show = _Json() if given.json else _Text(conducted)
    why = ""
    try:
        with (
            _signals() as asked,
            closing(
                steps(conducted, flags, jobs=jobs, fail_fast=given.fail_fast, seconds=limit)
            ) as walk,
        ):
            for step in walk:
                show.step(step)
                if asked:
                    why = BY_HAND
                    break
    finally:
        show.stop()
        ended = len(conducted.schedule.final) == len(conducted.schedule.plans)
        if not why and not ended:
            why = FAIL_FAST if given.fail_fast else f"for --time-limit {limit:g}"
        before = list(conducted.schedule.final)
        conducted.close(why)
    records = conducted.records
    problem = _for_services(conducted.run, records, given)
    show.end([r for r in records if r.id not in before], ending(records, why))
    if conducted.file is not None and conducted.file.problem:
        problem = conducted.file.problem
    if problem:
        print(f"gatewise check: {problem}", file=sys.stderr)
    return _status(conducted.run, records, why == BY_HAND, bool(problem))


def _for_services(session: Any, records: list[Any], given: argparse.Namespace) -> str:
    """Write what continuous-integration services read; a line for what could not be written."""
    from gatewise.properties.reporting import github
    from gatewise.properties.reporting.causes import most_telling_first
    from gatewise.properties.reporting.junit import write_junit

    try:
        if given.junit is not None:
            write_junit(Path(given.junit), records, session.counts)
        if github.runs_there():
            github.write_summary(records)
    except OSError as error:
        return f"{error.filename}: {error.strerror or error}"
    if github.runs_there() and not given.json:
        for line in github.error_lines(filter(session.counts, most_telling_first(records))):
            print(line)
    return ""


def _status(session: Any, records: list[Any], interrupted: bool, lost: bool) -> int:
    from gatewise.properties.running.records import ERROR as OWN_ERROR

    wrong = [r for r in records if not r.passed and session.counts(r)]
    if interrupted:
        return INTERRUPTED
    if any(r.status != OWN_ERROR for r in wrong):
        return FOUND
    return ERROR if wrong or lost else GOOD


class _Text:
    """What a person reads: a header, the causes as they are found, and the end."""

    def __init__(self, conducted: Any) -> None:
        from gatewise.properties.reporting.progress import Progress

        self.conducted = conducted
        self.progress = Progress(len(conducted.schedule.plans))
        self.progress.line(conducted.run.header("--seed "))
        known = len(conducted.schedule.final)
        if known:
            self.progress.line(f"{known} of {len(conducted.schedule.plans)} are decided already")
        self.causes: set[str] = set()
        self.wrong = 0

    def step(self, step: Any) -> None:
        """Show a record that does not hold where its cause is new, and how far the run is."""
        from gatewise.properties.reporting.causes import cause_of
        from gatewise.properties.reporting.ending import found_line

        schedule, record = self.conducted.schedule, step.record
        if record is not None and not record.passed and self.conducted.run.counts(record):
            self.wrong += 1
            cause = cause_of(record)
            if cause not in self.causes and len(self.causes) < _SHOWN:
                for line in found_line(record, cause):
                    self.progress.line(line)
            self.causes.add(cause)
        now = f"{record.name} in {record.precision}" if record is not None else schedule.now
        self.progress.show(schedule.share, len(schedule.final), self.wrong, now)

    def stop(self) -> None:
        """Take the progress away."""
        self.progress.stop()

    def end(self, left: list[Any], lines: list[str]) -> None:
        """Print the end."""
        for line in lines:
            print(line)
        file = self.conducted.file
        if file is not None:
            print(f"records: {file.path}; {page_line(file.path)}")


def page_line(path: Path) -> str:
    """Make the page of a file of records beside it, and say where it is, or why there is none."""
    from gatewise.properties.reporting.page.making import missing, write
    from gatewise.properties.running.record_file import read

    reason = missing()
    if reason:
        return reason
    try:
        return f"page: {write(path.parent, read([path])[0])}"
    except OSError as error:
        return f"no page: {path.parent}: {error.strerror or error}"


class _Json:
    """What a machine reads: one record a line."""

    def step(self, step: Any) -> None:
        """Print a record."""
        if step.record is not None:
            print(json.dumps(step.record.as_dict()), flush=True)

    def stop(self) -> None:
        """Nothing is to be taken away."""

    def end(self, left: list[Any], lines: list[str]) -> None:
        """Print the records of what did not run in full."""
        for record in left:
            print(json.dumps(record.as_dict()))


def _jobs(stated: str | None) -> int:
    from gatewise.properties.options import UsageError

    if stated is None:
        return os.cpu_count() or 1
    if not stated.isdigit() or int(stated) < 1:
        raise UsageError(f"--jobs {stated!r}: expected a number of processes, 1 or more")
    return int(stated)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that asked for an end within this block: Ctrl-C and SIGTERM.

    They are noted and not raised: an exception in a callback of the collector would be lost.
    """
    asked: list[int] = []
    ends = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, frame: asked.append(n)) for number in ends]
    try:
        yield asked
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)
