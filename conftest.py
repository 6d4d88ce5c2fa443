"""Options, profiles and the summary of a run; what they mean is decided in `properties`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

if importlib.util.find_spec("gatewise.reference") is None:
    raise pytest.UsageError("gatewise is not installed here: python -m pip install -e .")

from gatewise.commands.variables import set_variables

set_variables()  # before torch is imported

from gatewise.properties import options, session
from gatewise.properties.reporting.causes import cause_of
from gatewise.properties.reporting.printable import printable
from gatewise.properties.running.glance import GLANCE, GLANCED, as_faults_show
from gatewise.properties.running.heap import freeze
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.record_file import RecordFile
from gatewise.properties.running.records import HOLDS, VACUOUS, Record

RUN = pytest.StashKey[session.Run]()
#: The file of records where there is one; not in a worker of pytest-xdist.
FILE = pytest.StashKey[RecordFile | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gatewise", "Gatewise: what is checked, where, and in which precision")
    for flag, description in options.OPTIONS.items():
        group.addoption(flag, **description)


@pytest.hookimpl(tryfirst=True)  # before Hypothesis's plugin, which loads the named profile
def pytest_configure(config: pytest.Config) -> None:
    flags = [*options.OPTIONS, "--hypothesis-profile", "--hypothesis-seed"]
    given = {flag: config.getoption(flag, None) for flag in flags}
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        given["--hypothesis-seed"] = worker["gatewise_seed"]
    try:
        config.stash[RUN] = options.configure(given)
        if worker is None:
            options.check_database(config.stash[RUN])
    except options.UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if worker is None:
        try:
            config.stash[FILE] = config.stash[RUN].opened(command=config.invocation_params.args)
        except OSError as error:
            folder = config.stash[RUN].report
            raise pytest.UsageError(
                f"--report {str(folder)!r}: {error.strerror}; expected a folder that can be written"
            ) from None
        config.pluginmanager.register(AsItGoes(config))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["gatewise_seed"] = str(node.config.stash[RUN].seed)


def pytest_report_header(config: pytest.Config) -> str:
    return config.stash[RUN].header()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "plan" in metafunc.fixturenames:
        plans = metafunc.config.stash[RUN].plans()
        # Under -x a glance at every property comes first: a fault shows in its first few cases.
        looks = as_faults_show(plans) if metafunc.config.getoption("maxfail") == 1 else []
        ids = [p.id + GLANCED for p in looks] + [p.id for p in plans]
        metafunc.parametrize("plan", [*map(Glance, looks), *plans], ids=ids)


@dataclass(frozen=True)
class Glance:
    """A plan of which a few cases are put."""

    plan: Plan


def pytest_runtest_setup() -> None:
    freeze()


@pytest.fixture
def outcome(request: pytest.FixtureRequest, plan: Plan | Glance) -> tuple[Record, str, bool]:
    """The record of a plan, its explanation, and whether it decides the exit status.

    A glance that finds something runs the plan in full; another one leaves no record with its test.
    """
    run = request.config.stash[RUN]
    if isinstance(plan, Glance):
        record = run.record(plan.plan, most=GLANCE, shrink=False)
        if record.passed or record.status == VACUOUS or not run.counts(record):
            return replace(record, status=HOLDS), "", True
        plan = plan.plan
    record, text = run.run(plan)
    request.node.user_properties.append(("gatewise", record.as_dict()))
    return record, text, run.counts(record)


def record_of(report: Any) -> Record | None:
    """The record that a test has left with its report."""
    stored = dict(getattr(report, "user_properties", ())).get("gatewise")
    return None if stored is None else Record.of(stored)


class AsItGoes:
    """Writes each record when it is there, and prints a falsified property if its cause is new.

    A run that a signal or a time limit ends prints no summary.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seen: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = record_of(report) if report.when == "call" else None
        file, reporter = (
            self.config.stash[FILE],
            self.config.pluginmanager.get_plugin("terminalreporter"),
        )
        if record is not None and file is not None:
            file.add(record)
        if record is None or not report.failed or reporter is None:
            return
        if cause_of(record) in self.seen:
            return
        self.seen.add(cause_of(record))
        reporter.ensure_newline()
        reporter.write_line(f"{record.status}: {record.id}: {printable(record.message)}")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the one that prints the failures
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    run = config.stash[RUN]
    kinds = ("passed", "failed", "skipped", "xfailed", "error")
    reports = [r for kind in kinds for r in terminalreporter.getreports(kind)]
    outcomes = (
        (r.nodeid, dict(r.user_properties).get("gatewise"), r.outcome)
        for r in reports
        if hasattr(r, "user_properties")
    )
    lines = run.summarise(outcomes, config.stash[FILE])
    failed = terminalreporter.stats.get("failed", [])
    own = {r.id: report for report in failed if (r := record_of(report)) is not None}
    found = [r for r in map(record_of, reports) if r is not None]
    first = [own[r.id] for r in run.shown(found) if r.id in own]
    others = [report for report in failed if record_of(report) is None]
    if failed:
        terminalreporter.stats["failed"] = others + first
    yield
    if lines:
        terminalreporter.section("gatewise")
        for line in lines:
            terminalreporter.write_line(line)
        if len(first) < len(own):
            left = len(own) - len(first)
            terminalreporter.write_line(f"{left} more are not shown in full; --show all shows them")
    if failed:
        terminalreporter.stats["failed"] = failed
