"""The report of the mutation run: an interrupt loses nothing, and nothing is run twice."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.properties.running.glance import in_rounds
from gatewise.properties.running.plans import plans
from gatewise.properties.subjects.builtin import BUILTIN
from tests.mutation import alone, run
from tests.mutation.kill import Verdict

NAME = "LSTMCell-input-and-forget-swapped"


def status(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> int:
    given = ["run", "--names", NAME, "--report", str(folder), *options]
    monkeypatch.setattr(sys, "argv", given)
    monkeypatch.setattr(run, "start_up", lambda: 1.0)
    return run.main()


def test_a_run_that_was_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put: list[tuple[Any, ...]] = []

    def one(task: Any, calls: Any, jobs: int) -> Any:
        for call in calls:
            put.append(call)
            yield Verdict(f"mutant.{call[0]}", "equals_reference", "float32", "falsified")

    monkeypatch.setattr(run, "parallel", one)
    for options in ([], ["--resume"]):
        assert status(monkeypatch, tmp_path, *options) == 0
        lines = (tmp_path / "mutation.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["name"] for line in lines] == [f"mutant.{NAME}"]
        assert "1 of 1 mutants killed" in capsys.readouterr().out
    assert put == [(NAME, "standard", 0, "hardening")]


def test_to_go_on_needs_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--resume"])
    with pytest.raises(SystemExit):
        run.main()
    assert "--resume: --report must name the folder" in capsys.readouterr().err


def own_process(number: int) -> tuple[int, int]:
    """Its argument, and which process had it."""
    return number, os.getpid()


def test_each_subject_of_a_run_has_a_process_of_its_own() -> None:
    found = dict(run.parallel(own_process, [(n,) for n in range(3)], 2))
    assert sorted(found) == [0, 1, 2]
    assert len({os.getpid(), *found.values()}) == 4


def test_a_hunt_puts_each_property_in_one_precision_before_any_in_two() -> None:
    found = list(plans([BUILTIN["gatewise.impl.RNN"]], ["cpu"], ["float64", "float32"]))
    names = [p.prop.name for p in in_rounds(found)]
    once = len(set(names))
    assert sorted(names) == sorted(p.prop.name for p in found)
    assert len(set(names[:once])) == once < len(names)


def test_the_command_puts_every_lone_mutant_or_those_of_the_families_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put: list[str] = []

    def one(task: Any, calls: Any, jobs: int) -> Any:
        for name, profile in calls:
            assert profile == "standard"
            put.append(name)
            yield name, {"memory": ["memory_grows_linearly_in_time"]}

    monkeypatch.setattr(alone, "parallel", one)
    monkeypatch.setattr(sys, "argv", ["alone"])
    assert alone.main() == 1  # the mutants of all other families are not of the family memory
    assert put == list(alone.ALONE.values())
    monkeypatch.setattr(sys, "argv", ["alone", "memory"])
    assert alone.main() == 0
    assert put[-1] == alone.ALONE["memory"]
    monkeypatch.setattr(sys, "argv", ["alone", "graph_is_freed"])
    assert alone.main() == 1  # another claim sees its mutant here
    assert put[-1] == alone.ALONE_CLAIM["graph_is_freed"]
    monkeypatch.setattr(sys, "argv", ["alone", "colour"])
    with pytest.raises(SystemExit):
        alone.main()
    assert "NAME 'colour': expected one of agreement" in capsys.readouterr().err
