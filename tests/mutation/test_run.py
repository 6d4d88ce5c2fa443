"""The report of the mutation run: an interrupt loses nothing, and nothing is run twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import run
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
    assert put == [(NAME, "standard", 0)]


def test_to_go_on_needs_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--resume"])
    with pytest.raises(SystemExit):
        run.main()
    assert "--resume: --report must name the folder" in capsys.readouterr().err
