"""Options, profiles and the summary of a run; what they mean is decided in `properties`."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

# One thread for each worker: set before torch is imported, since its pools read it once.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest

if importlib.util.find_spec("gatewise.reference") is None:
    raise pytest.UsageError("gatewise is not installed here: python -m pip install -e .")

from gatewise.properties import session
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import Record

RUN = pytest.StashKey[session.Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gatewise", "Gatewise: what is checked, where, and in which precision")
    for flag, description in session.OPTIONS.items():
        group.addoption(flag, **description)


@pytest.hookimpl(tryfirst=True)  # before Hypothesis's plugin, which loads the named profile
def pytest_configure(config: pytest.Config) -> None:
    flags = [*session.OPTIONS, "--hypothesis-profile", "--hypothesis-seed"]
    given = {flag: config.getoption(flag, None) for flag in flags}
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        given["--hypothesis-seed"] = worker["gatewise_seed"]
    try:
        config.stash[RUN] = session.configure(given)
    except session.UsageError as error:
        raise pytest.UsageError(str(error)) from None


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
def outcome(request: pytest.FixtureRequest, plan: Plan) -> tuple[Record, str]:
    """The record of a plan and its explanation; the record goes to the summary."""
    record, text = request.config.stash[RUN].run(plan)
    request.node.user_properties.append(("gatewise", record.as_dict()))
    return record, text


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    kinds = ("passed", "failed", "skipped", "error")
    reports = [r for kind in kinds for r in terminalreporter.getreports(kind)]
    lines = config.stash[RUN].summarise(
        (r.nodeid, dict(r.user_properties).get("gatewise"), r.outcome)
        for r in reports
        if hasattr(r, "user_properties")
    )
    if lines:
        terminalreporter.section("gatewise")
        for line in lines:
            terminalreporter.write_line(line)
