"""The command `gatewise identify`, `--like auto`, and adapters on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewise import cli
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.options import UsageError, configure
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import load_subject

ROOT = Path(__file__).resolve().parents[2]

CELLS = """
import torch
from gatewise import Adapter
from tests.subjects.synthetic import synthetic

Unknown = synthetic(kind="GRU", order="nzr", biases=1, reset_after=False, transposed=True)


class Wrong(torch.nn.LSTM):
    def forward(self, x, state):
        output, state = super().forward(x, state)
        return 1.0001 * output, state


def adapter(gates):
    def own(input_size, hidden_size):
        return synthetic(kind="GRU", order="nzr", cell=True)(input_size, hidden_size)

    weights = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "d": "bias_hh"}
    return Adapter(own, "GRUCell", weights=weights, gates=gates, needs_state=True)


RIGHT = adapter("nzr")
SWAPPED = adapter("zrn")
"""


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    path = tmp_path / "cells_of_command.py"
    path.write_text(CELLS, encoding="utf-8")
    return path


def test_identify_says_what_it_is_and_the_adapter(
    cells: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["identify", f"{cells}:Unknown"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "a GRU, reset gate before the matmul, order n z r, one bias, matrices (in, out); "
        "z keeps the old state"
    )
    assert said[1] == (
        "Adapter(made, like='GRU', weights={'W': 'weight_ih', 'U': 'weight_hh', 'b': 'bias'}, "
        "gates='nzr', transposed=True, reset_after=False)"
    )
    assert cli.main(["identify", "torch.nn:LSTM"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "an LSTM, order i f g o, two biases",
        "drop-in for torch.nn",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["{cells}:Wrong"], 1, "the nearest hypothesis is an LSTM, order i f g o"),
        (["{cells}:Unknown", "--like", "LSTM"], 1, "no known layout has weights W (5, 9)"),
        (["{cells}:Nothing"], 4, "has no 'Nothing'; it has "),
        (["{cells}:RIGHT"], 1, "is an Adapter, which states its conventions"),
        (["nowhere"], 4, "expected package.module:Name or path/to/file.py:Name"),
    ],
)
def test_identify_refuses_in_one_line(
    arguments: list[str],
    status: int,
    line: str,
    cells: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [a.replace("{cells}", str(cells)) for a in arguments]
    assert cli.main(["identify", *given]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert line in said.err
    assert said.err.count("\n") == 1


def test_like_auto_runs_the_properties_on_what_was_found(cells: Path) -> None:
    session = configure({"--subject": [f"{cells}:Unknown", "torch.nn:RNN"], "--like": "auto"})
    unknown, plain = session.subjects
    assert (unknown.kind, unknown.form) == ("GRU", {"reset_after": False})
    assert (plain.kind, plain.unsupported) == ("RNN", {})
    record = run(Plan(CATALOGUE["equals_reference_step_by_step"], unknown, "float64"), seed=1)
    assert record.passed, record.message
    assert record.discriminating == 0
    assert record.comparisons > 0
    with pytest.raises(UsageError, match="Wrong cannot be identified: the nearest hypothesis"):
        configure({"--subject": [f"{cells}:Wrong"], "--like": "auto"})


def test_a_bad_adapter_is_a_usage_error_before_any_test(tmp_path: Path) -> None:
    path = tmp_path / "bad_adapter.py"
    path.write_text(
        "import torch\nfrom gatewise import Adapter\n"
        "MINE = Adapter(torch.nn.LSTM, 'LSTM', gates='ifo')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--subject", f"{path}:MINE"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "gates='ifo': expected each of the 4 letters i f g o once; c may stand" in done.stderr
    assert "passed" not in done.stdout


def test_the_script_of_an_adapter_shows_the_fault_and_its_absence(
    cells: Path, tmp_path: Path
) -> None:
    plan = Plan(CATALOGUE["equals_reference"], load_subject(f"{cells}:SWAPPED"), "float32")
    record = run(plan, profile="quick", seed=1)
    assert record.status == FALSIFIED
    path = diagnosed(plan, record, tmp_path / "scripts").script
    for name, status in (("SWAPPED", 1), ("RIGHT", 0)):
        done = subprocess.run(
            [sys.executable, path, f"{cells}:{name}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},  # the cells of this test are in tests
        )
        assert done.returncode == status, done.stdout + done.stderr
