"""The command `gatewise check`: its verdicts, its records, and what ends it early."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from gatewise.cli import main
from gatewise.commands.statuses import ERROR
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.glance import GLANCE
from gatewise.properties.running.record_file import SCHEMA

WRONG = """
import torch
from torch import nn


class SwappedLSTM(nn.LSTM):
    def forward(self, input, hx=None):
        own = {n: p.data for n, p in self.named_parameters()}
        for name, p in self.named_parameters():
            if "hr" not in name:
                i, f, g, o = p.data.chunk(4)
                p.data = torch.cat([f, i, g, o])
        try:
            return super().forward(input, hx)
        finally:
            for name, p in self.named_parameters():
                p.data = own[name]


class RightGRU(nn.GRU):
    pass


class LoudGRU(nn.GRU):
    def forward(self, input, hx=None):
        raise ValueError("<b>'\\"\\x1b[31m & \\x00" + "x" * 1_000_000)
"""
FEW = ["--family", "agreement", "--precision", "float32", "--profile", "quick", "--seed", "1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(WRONG, encoding="utf-8")
    return tmp_path


def check(folder: Path, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300, **more
    )


def lines(
    folder: Path, report: str = "gatewise-report"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first line of the records, and the others; each is valid by the schema."""
    path = folder / report / "records.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for line in found:
        validator.validate(line)
    return found[0], found[1:]


def test_a_wrong_class_is_told_with_its_cause_and_a_script(folder: Path) -> None:
    done = check(folder, "mine.py:SwappedLSTM", "--fail-fast", "--jobs", "1")
    assert done.returncode == 1, done.stderr
    assert "consistent with input gate and forget gate swapped" in done.stdout
    scripts = list((folder / "gatewise-report" / "scripts").iterdir())
    assert [str(s.relative_to(folder)) in done.stdout for s in scripts] == [True]
    assert len(done.stdout.splitlines()) <= 25
    again = subprocess.run([sys.executable, str(scripts[0])], cwd=folder, check=False)
    assert again.returncode == 1
    # What did not run is recorded as such.
    head, records = lines(folder)
    statuses = [r["status"] for r in records]
    assert head["run"]["subjects"] == ["mine.py:SwappedLSTM"]
    assert len(records) > 300
    assert statuses.count("falsified") == 1
    assert {"not run", "falsified"} == set(statuses)
    assert all("first that does not hold" in r["message"] for r in records if r["cases"] == 0)


def test_a_right_class_is_put_to_everything_that_was_chosen(folder: Path) -> None:
    done = check(folder, "mine.py:RightGRU", *FEW, "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    _, records = lines(folder)
    wanted = {p.name for p in CATALOGUE.values() if p.family == "agreement" and "GRU" in p.of}
    assert {r["name"] for r in records} == wanted
    assert all(r["status"] == "holds" and r["cases"] > GLANCE for r in records)
    assert all(sum(r["histogram"]) <= r["cases"] and r["worst_at"] for r in records)
    assert all(0 < r["subject_seconds"] + r["reference_seconds"] < r["seconds"] for r in records)
    assert "values: right" in done.stdout


def test_json_is_all_that_is_printed(folder: Path) -> None:
    done = check(folder, "mine.py:RightGRU", *FEW, "--json", "--report", "elsewhere")
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(printed) >= 2
    assert {r["status"] for r in printed} == {"holds"}
    assert done.stderr == ""


def test_a_time_limit_gives_the_verdict_that_the_time_allows(folder: Path) -> None:
    start = time.monotonic()
    done = check(folder, "mine.py:RightGRU", "--time-limit", "4", "--jobs", "1")
    assert time.monotonic() - start < 60
    assert "not all was put, for --time-limit 4" in done.stdout
    _, records = lines(folder)
    assert len(records) > 300
    # A property that was glanced at has that record, and the others say that they did not run.
    left = [r for r in records if "for --time-limit 4" in r["message"]]
    assert {"holds", "not run"} <= {r["status"] for r in left}
    assert all(r["status"] != "not run" for r in records if r not in left)
    assert all(r["cases"] == 0 for r in left if r["status"] == "not run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_loses_nothing(folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", "mine.py:RightGRU"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    path = folder / "gatewise-report" / "records.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size > 3000):
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert "Traceback" not in err
    assert "because the run was interrupted" in out
    _, records = lines(folder)
    assert {"holds", "not run"} <= {r["status"] for r in records}


def test_a_killed_worker_loses_one_try_and_no_record(folder: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", "mine.py:RightGRU", *FEW]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("needs Linux, which names the children of a process")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (own := children.read_text().split()):
        time.sleep(0.02)
    os.kill(int(own[0]), signal.SIGKILL)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert {r["status"] for r in lines(folder)[1]} == {"holds"}


def test_a_full_disk_costs_records_and_no_verdict(folder: Path) -> None:
    resource = pytest.importorskip("resource")

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))

    done = check(folder, "mine.py:RightGRU", *FEW, preexec_fn=small)
    assert done.returncode == 3
    assert "records after that are lost" in done.stderr
    assert "values: right" in done.stdout
    assert "Traceback" not in done.stderr
    head, records = lines(folder)  # each line is whole
    assert head["gatewise_records"]
    assert len(records) < 3
    assert [f.name for f in (folder / "gatewise-report").iterdir()] == ["records.jsonl"]


@pytest.mark.parametrize("kilobytes", [4, 8], ids=["records", "order"])
def test_a_full_file_system_costs_no_whole_line(folder: Path, kilobytes: int) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        done = check(folder, "mine.py:RightGRU", *FEW, "--report", "disk/report")
        _, records = lines(folder, "disk/report")
        files = [f.name for f in (disk / "report").iterdir()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "values: right" in done.stdout
    assert "Traceback" not in done.stderr
    assert files == ["records.jsonl"]
    whole = "all records are there, in the order in which they came"
    assert (whole in done.stderr) == (len(records) == 3)


def test_what_a_subject_prints_is_shown_whole_and_harmless(folder: Path) -> None:
    done = check(folder, "mine.py:LoudGRU", *FEW)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "\x00" not in done.stdout
    assert len(done.stdout) < 20_000
    assert all(len(r["message"]) < 20_000 for r in lines(folder)[1])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["nowhere:LSTM"], "--subject 'nowhere:LSTM': cannot import nowhere"),
        (["--jobs", "0"], "--jobs '0': expected a number of processes, 1 or more"),
        (["--time-limit", "-1"], "--time-limit '-1': expected a number of seconds above 0"),
        (["--profile", "slow"], "--profile 'slow': expected one of quick, standard, thorough"),
        (["--property", "equals_referenc"], "the nearest names are equals_reference"),
        (["--shard", "3/2"], "--shard '3/2': expected I/N with I from 1 to N, such as 2/3"),
        (["--level", "all"], "--level 'all': expected one of values, contract, hardening"),
        (["--report", "mine.py"], "--report 'mine.py': File exists; expected a folder"),
    ],
    ids=["import", "jobs", "time", "profile", "property", "shard", "level", "report"],
)
def test_a_bad_option_is_one_line(folder: Path, options: list[str], line: str) -> None:
    subject = [] if options[0] == "nowhere:LSTM" else ["mine.py:RightGRU"]
    done = check(folder, *subject, *options)
    assert done.returncode == 4
    assert line in done.stderr
    assert "Traceback" not in done.stderr


def test_services_read_what_a_run_found(folder: Path) -> None:
    summary = folder / "summary.md"
    env = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    options = ["--property", "equals_reference*", "--precision", "float32", "--profile", "quick"]
    subjects = ["mine.py:SwappedLSTM", "mine.py:LoudGRU"]
    done = check(folder, *subjects, *options, "--junit", "out/junit.xml", env=env)
    assert done.returncode == 1
    notes = [line for line in done.stdout.splitlines() if line.startswith("::error title=")]
    assert any("input gate and forget gate swapped" in line for line in notes)
    assert len(notes) == len(set(notes)) <= 10
    assert "| mine.py:SwappedLSTM on cpu |" in summary.read_text(encoding="utf-8")
    suites = ElementTree.parse(folder / "out" / "junit.xml").getroot()
    assert {s.get("name") for s in suites} == {f"{name} on cpu" for name in subjects}
    records = lines(folder)[1]
    assert len(suites.findall(".//testcase")) == len(records)
    wrong = [r for r in records if r["status"] == "falsified"]
    assert len(suites.findall(".//failure")) == len(wrong) > 2


def test_two_shards_together_draw_what_one_run_draws(folder: Path) -> None:
    drawn = []
    options = ["mine.py:RightGRU", *FEW[:2], *FEW[4:]]
    for shard in ("1/1", "1/2", "2/2"):
        assert check(folder, *options, "--shard", shard).returncode == 0
        fields = ("name", "precision", "seed", "cases", "worst")
        drawn.append([tuple(r[f] for f in fields) for r in lines(folder)[1]])
    whole, first, second = drawn
    assert first
    assert second
    assert sorted(first + second) == sorted(whole)


def test_an_error_of_gatewise_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gatewise.properties.options.configure", lambda given: {}["no such key"])
    assert main(["check", "torch.nn.RNN"]) == ERROR
    said = capsys.readouterr().err
    assert "KeyError: 'no such key'" in said
    assert "says nothing about a subject" in said
