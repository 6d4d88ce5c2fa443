"""tools/fuzz.py: HypoFuzz collects the properties, finds a planted fault, and it is put again.

`tox run -e fuzz` runs this with the versions of HypoFuzz and Hypothesis that go together.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("hypofuzz", reason="needs HypoFuzz: tox run -e fuzz")

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = """
from torch import nn


class MyRNNCell(nn.RNNCell):
    def forward(self, x, h=None):
        h = super().forward(x, h)
        return h + 0.125 if x.dim() == 2 and len(x) >= 3 else h
"""


def fuzz(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(ROOT / "tools" / "fuzz.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_property_that_is_chosen_is_collected() -> None:
    code = (
        "import sys\n"
        "from hypofuzz import detection\n"
        "detection._in_hypofuzz_run = True  # as its command does\n"
        "from hypofuzz.collection import collect_tests\n"
        "found = collect_tests(sys.argv[1:])\n"
        "print(len(found.fuzz_targets), sorted(found.not_collected))\n"
    )
    properties = str(ROOT / "tools" / "fuzz_properties.py")
    options = ["--subject", "torch.nn.GRU", "--precision", "float32"]
    command = [sys.executable, "-W", "ignore", "-c", code, properties, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    collect = [sys.executable, "-m", "pytest", "tests/conformance", "--collect-only", "-q"]
    listed = subprocess.run(
        [*collect, *options], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert done.stdout.split() == [str(listed.count("test_property[")), "[]"]


def test_a_planted_fault_is_found_and_put_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SUBJECT)
    chosen = ["--subject", "mine.py:MyRNNCell", "--precision", "float32"]
    chosen += ["--property", "equals_reference"]
    done = fuzz("--seconds", "60", *chosen, folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "equals_reference: h" in done.stdout
    assert "on Case('RNN', cell=True" in done.stdout
    assert list((tmp_path / ".hypothesis").iterdir())


def test_a_right_subject_has_nothing_to_put_again(tmp_path: Path) -> None:
    chosen = ["--subject", "torch.nn.RNNCell", "--precision", "float32"]
    chosen += ["--property", "equals_reference"]
    begin = time.monotonic()
    done = fuzz("--seconds", "20", *chosen, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    assert time.monotonic() - begin >= 20


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--seconds", "0"], "--seconds 0: expected a number above 0"),
        (["--processes", "0"], "--processes 0: expected a number from 1"),
    ],
)
def test_a_bad_argument_is_one_line(arguments: list[str], line: str, tmp_path: Path) -> None:
    done = fuzz(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
