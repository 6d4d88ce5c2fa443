"""`gatewise compare` and `gatewise merge`: what differs between runs, and damaged files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gatewise import cli
from gatewise.properties.checking.comparison import BINS, bin_of
from gatewise.properties.reporting.comparing import compare
from gatewise.properties.running.record_file import NAME, RunRecords, head, read, write
from gatewise.properties.running.records import FALSIFIED, HOLDS, KNOWN_ISSUE, Record

HEAD = head({"torch": "2.13.0", "processor": "x", "gatewise": "0.1.0"}, {"seed": 1})


def record(name: str, seed: int = 0, spread: int = 4, status: str = HOLDS) -> Record:
    """A record with 60 cases whose error/bound is drawn from `spread` bins below 1/8."""
    drawn = random.Random(f"{name} {seed}")
    histogram = [0] * BINS
    for _ in range(60):
        histogram[BINS - 4 - drawn.randrange(spread)] += 1
    return Record(
        "torch.nn.LSTM",
        "cpu",
        "float32",
        name,
        "agreement",
        status,
        seed,
        cases=60,
        comparisons=60,
        histogram=tuple(histogram),
        subject_seconds=1.0,
        reference_seconds=2.0,
    )


NAMES = [f"claim_{k}" for k in range(200)]


def test_two_seeds_of_the_same_code_differ_in_nothing() -> None:
    found = compare([record(n, 1) for n in NAMES], [record(n, 2) for n in NAMES])
    assert found.lines() == []


def test_a_new_fault_is_worse_and_a_mended_one_better() -> None:
    before = [record("a"), record("b", status=FALSIFIED), record("c"), record("only_before")]
    after = [
        replace(record("a", status=FALSIFIED), message="output[0]: got 1\nand more"),
        record("b"),
        record("c", status=KNOWN_ISSUE),
    ]
    found = compare(before, after)
    assert found.worse == ["torch.nn.LSTM-cpu-float32-a: holds, now falsified: output[0]: got 1"]
    assert found.better == ["torch.nn.LSTM-cpu-float32-b: falsified, now holds"]
    assert len(found.others) == 2
    assert compare(after, before).better[0].startswith("torch.nn.LSTM-cpu-float32-a: falsified")


@pytest.mark.parametrize("worse", [True, False])
def test_an_error_that_moved_by_more_than_chance_is_named(worse: bool) -> None:
    low = [record(n, 1) for n in NAMES]
    moved = record(NAMES[7], 2)
    moved = replace(moved, histogram=(*moved.histogram[3:], 0, 0, 0))
    high = [record(n, 2) if n != NAMES[7] else moved for n in NAMES]
    found = compare(high, low) if worse else compare(low, high)
    lines = found.worse if worse else found.better
    assert len(lines) == 1
    assert NAMES[7] in lines[0]
    assert not (found.better if worse else found.worse)


def test_a_slower_subject_is_named_whatever_the_machine() -> None:
    before = [record(n) for n in NAMES[:5]]
    slow_machine = [replace(r, subject_seconds=3.0, reference_seconds=6.0) for r in before]
    assert compare(before, slow_machine).lines() == []
    slow_subject = [replace(r, subject_seconds=6.0, reference_seconds=6.0) for r in before]
    found = compare(before, slow_subject)
    assert "family agreement" in found.worse[0]
    assert "2.00 times as long" in found.worse[0]
    assert compare(slow_subject, before).better
    # One slow call, of what a first call prepares, is no slower subject.
    once = [replace(before[0], subject_seconds=60.0), *before[1:]]
    assert compare(before, once).lines() == []


def test_bins_of_a_ratio() -> None:
    assert [bin_of(r) for r in (0.0, 2.0**-40, 2.0**-24, 0.5, 0.999, 1.0)] == [
        *(0, 0, 0, BINS - 1, BINS - 1),
        BINS - 1,
    ]
    assert bin_of(0.4999) == BINS - 2


def test_the_command_compares_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a", [RunRecords(HEAD, [record("x")])])
    b = write(tmp_path / "b", [RunRecords(HEAD, [record("x", status=FALSIFIED)])])
    assert cli.main(["compare", str(a), str(a)]) == 0
    assert "0 worse, 0 better, 0 other differences" in capsys.readouterr().out
    assert cli.main(["compare", str(a), str(b)]) == 1
    assert "worse: torch.nn.LSTM-cpu-float32-x: holds, now falsified" in capsys.readouterr().out
    assert cli.main(["compare", str(a), str(tmp_path / "none")]) == 4
    assert "none: No such file or directory" in capsys.readouterr().err


def test_a_damaged_file_is_named_by_line_and_the_rest_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(tmp_path / "whole", [RunRecords(HEAD, [record("x"), record("y")])])
    text = whole.read_text(encoding="utf-8")
    cut = tmp_path / "cut.jsonl"
    cut.write_text(text[: len(text) - 40], encoding="utf-8")
    old = tmp_path / "old.jsonl"
    old.write_text(json.dumps({**HEAD, "gatewise_records": 99}) + "\n", encoding="utf-8")
    other = tmp_path / "other.jsonl"
    other.write_text("words\n", encoding="utf-8")
    odd = tmp_path / "odd.jsonl"
    odd.write_text(json.dumps(HEAD) + '\n{"subject": 1}\n[]\n', encoding="utf-8")
    runs, problems = read([whole, cut, old, other, odd])
    assert [len(r.records) for r in runs] == [2, 1, 0]
    assert problems == [
        f"{cut}:3: this is not JSON; the line may be cut short",
        f"{old}:1: records of version 99; expected 1",
        f"{other}:1: this is not JSON; the line may be cut short",
        f"{odd}:2: this is no record of version 1",
        f"{odd}:3: this is no record of version 1",
    ]
    out = tmp_path / "out"
    assert cli.main(["merge", str(whole), str(cut), "-o", str(out)]) == 3
    assert [len(r.records) for r in read([out / NAME])[0]] == [2, 1]
    assert cli.main(["merge", str(old), "-o", str(out)]) == 4
    assert cli.main(["merge", str(whole), "-o", str(whole)]) == 4
    assert "expected a folder that can be written" in capsys.readouterr().err


GRU = """
import torch
from torch import nn


class MyGRU(nn.GRU):
    def forward(self, input, hx=None):
        for _ in range({turns}):
            output, state = super().forward(input, hx)
        return output, state * {factor}
"""


def test_a_planted_slowdown_and_a_planted_fault_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commits = {"main": (1, 1.0), "again": (1, 1.0), "slow": (6, 1.0), "wrong": (1, 1.001)}
    for seed, (name, (turns, factor)) in enumerate(commits.items()):
        text = GRU.format(turns=turns, factor=factor)
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        options = ["--family", "agreement", "--profile", "quick", "--seed", str(seed)]
        command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", "mine.py:MyGRU"]
        subprocess.run([*command, *options, "--report", name], check=False, capture_output=True)
    capsys.readouterr()

    def status(name: str) -> int:
        return cli.main(["compare", "main/records.jsonl", f"{name}/records.jsonl"])

    assert status("again") == 0
    assert "0 worse, 0 better, 0 other differences" in capsys.readouterr().out
    assert status("slow") == 1
    assert "family agreement: a call takes" in capsys.readouterr().out
    assert status("wrong") == 1
    assert "equals_reference: holds, now falsified: h_n" in capsys.readouterr().out
