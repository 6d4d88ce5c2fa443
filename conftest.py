"""Options, profiles and the summary of a run; what they mean is decided in `properties`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

# One thread for each worker: set before torch is imported, since its pools read it once.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest

if importlib.util.find_spec("gatewise.reference") is None:
    raise pytest.UsageError("gatewise is not installed here: python -m pip install -e .")

from gatewise.properties import options, session
from gatewise.properties.reporting.causes import cause_of
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import Record

RUN = pytest.StashKey[session.Run]()


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
    except options.UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if worker is None:
        config.pluginmanager.register(FirstOfEachCause(config))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["gatewise_seed"] = str(node.config.stash[RUN].seed)


def pytest_report_header(config: pytest.Config) -> str:
    return config.stash[RUN].header()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "plan" in metafunc.fixturenames:
        plans = metafunc.config.stash[RUN].plans()
        metafunc.parametrize("plan", plans, ids=[p.id for p in plans])


@pytest.fixture
def outcome(request: pytest.FixtureRequest, plan: Plan) -> tuple[Record, str, bool]:
    """The record of a plan, its explanation, and whether it decides the exit status."""
    run = request.config.stash[RUN]
    record, text = run.run(plan)
    request.node.user_properties.append(("gatewise", record.as_dict()))
    return record, text, run.counts(record)


def record_of(report: Any) -> Record | None:
    """The record that a test has left with its report."""
    stored = dict(getattr(report, "user_properties", ())).get("gatewise")
    return None if stored is None else Record.of(stored)


class FirstOfEachCause:
    """Prints a falsified property when it happens, if its cause is new.

    A run that a signal or a time limit ends prints no summary.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seen: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = record_of(report) if report.when == "call" and report.failed else None
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if record is None or reporter is None or cause_of(record) in self.seen:
            return
        self.seen.add(cause_of(record))
        reporter.ensure_newline()
        reporter.write_line(f"{record.status}: {record.id}: {record.message.partition(chr(10))[0]}")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the one that prints the failures
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    run = config.stash[RUN]
    kinds = ("passed", "failed", "skipped", "xfailed", "error")
    reports = [r for kind in kinds for r in terminalreporter.getreports(kind)]
    lines = run.summarise(
        (r.nodeid, dict(r.user_properties).get("gatewise"), r.outcome)
        for r in reports
        if hasattr(r, "user_properties")
    )
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
