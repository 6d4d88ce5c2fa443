"""`gatewise check --resume`: a run that was killed goes on, and ends with the same verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gatewise.properties.running.record_file import read
from gatewise.properties.running.records import NOT_RUN

#: A right subject, and one that a few properties falsify.
FILE = """
import torch

class Right(torch.nn.RNNCell):
    pass

class Wrong(torch.nn.RNNCell):
    def forward(self, x, h=None):
        return super().forward(x, h) if self.nonlinearity == "tanh" else super().forward(x)
"""
OPTIONS = ["--family", "agreement", "--family", "composition", "--family", "invariance"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the subjects."""
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    return tmp_path


def begun(folder: Path, *more: str, name: str = "Right", report: str = "out") -> Any:
    """A process of `gatewise check` on one worker."""
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", f"mine.py:{name}"]
    options = [*OPTIONS, "--profile", "quick", "--jobs", "1", "--report", report, *more]
    return subprocess.Popen(
        [*command, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def done(folder: Path, *more: str, **how: str) -> tuple[int, str, str]:
    """The exit status and the two outputs."""
    process = begun(folder, *more, **how)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def verdicts(folder: Path, report: str = "out") -> dict[str, Any]:
    """Id → what a record says, without its times and the places of scripts."""
    (run, *more), problems = read([folder / report / "records.jsonl"])
    assert (more, problems) == ([], [])
    left = ("seconds", "subject_seconds", "reference_seconds", "script")
    found = [r.as_dict() | dict.fromkeys(left) for r in run.records]
    return {r.id: d for r, d in zip(run.records, found, strict=True)}


def size(folder: Path) -> int:
    """The bytes of the records that are there."""
    path = folder / "out" / "records.jsonl"
    return path.stat().st_size if path.exists() else 0


def test_a_run_that_is_killed_ten_times_ends_with_the_same_verdicts(folder: Path) -> None:
    rng = random.Random(7)
    for _ in range(10):
        process = begun(folder, "--seed", "5", "--resume", name="Wrong")
        # At any moment of a run: after so many more bytes of records, and a little later.
        enough = size(folder) + rng.randint(0, 6000)
        while process.poll() is None and size(folder) <= enough:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    status, out, err = done(folder, "--seed", "5", "--resume", name="Wrong")
    assert status == 1, err
    assert "are decided already" in out + err
    # In a folder of its own, since a case that failed is remembered, and put first.
    (folder / "other").mkdir()
    (folder / "other" / "mine.py").write_text(FILE, encoding="utf-8")
    status, *_ = done(folder / "other", "--seed", "5", name="Wrong")
    assert status == 1
    resumed, whole = verdicts(folder), verdicts(folder / "other")
    assert {i: r["status"] for i, r in resumed.items()} == {
        i: r["status"] for i, r in whole.items()
    }
    right = [i for i, r in whole.items() if r["status"] == "holds"]
    assert {i: resumed[i] for i in right} == {i: whole[i] for i in right}
    assert 0 < len(right) < len(whole)


def test_what_a_time_limit_left_is_run(folder: Path) -> None:
    done(folder, "--seed", "5", "--time-limit", "0.01")
    assert NOT_RUN in {r["status"] for r in verdicts(folder).values()}
    status, _, err = done(folder, "--seed", "5", "--resume")
    assert status == 0, err
    whole = verdicts(folder)
    assert {r["status"] for r in whole.values()} == {"holds"}
    # All is decided now: nothing is put again.
    status, out, err = done(folder, "--seed", "5", "--resume")
    assert status == 0
    assert f"{len(whole)} of {len(whole)} are decided already" in out + err
    assert verdicts(folder) == whole


def test_a_run_of_other_options_is_one_line_and_loses_nothing(folder: Path) -> None:
    done(folder, "--seed", "5", "--property", "equals_reference")
    path = folder / "out" / "records.jsonl"
    before = path.read_bytes()
    for more, name, line in (
        (["--seed", "6"], "Right", "is of a run with seed 5, and this one has 6"),
        (["--seed", "5"], "Wrong", "is of a run with subjects ['mine.py:Right'], and this one"),
        (["--seed", "5", "--device", "cpu"], "Right", "with device None, and this one has 'cpu'"),
    ):
        status, out, err = done(folder, "--resume", *more, name=name)
        assert (status, out) == (4, "")
        assert err.startswith("gatewise check: --resume: out/records.jsonl ")
        assert line in err
        assert err.count("\n") == 1
        assert path.read_bytes() == before
    first, *rest = before.decode().splitlines()
    other = json.loads(first)
    other["environment"]["torch"] = "2.0.0"
    path.write_text("\n".join([json.dumps(other), *rest]), encoding="utf-8")
    status, _, err = done(folder, "--resume", "--seed", "5")
    assert status == 4
    assert "is of a run with torch '2.0.0', and this one has " in err


def test_without_records_it_begins(folder: Path) -> None:
    status, out, _ = done(folder, "--seed", "5", "--property", "equals_reference", "--resume")
    assert status == 0
    assert "decided already" not in out
