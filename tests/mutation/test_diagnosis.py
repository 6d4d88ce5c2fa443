"""What is said of a mutant names its fault, and its script fails with torch and NumPy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, Diagnosis
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import load_subject

from .all import MUTANTS
from .named import importable

NAMED = Path(__file__).with_name("named.py")

#: Mutant → the fault that a diagnosis of its failing case names first.
FAULTS = {
    "LSTM-input-and-forget-swapped": "input gate and forget gate swapped",
    "LSTMCell-input-and-forget-swapped": "input gate and forget gate swapped",
    "LSTMCell-candidate-and-output-swapped": "cell candidate and output gate swapped",
    "LSTM-iofc-order": "gates read in the order i o f g, but stored in the order i f g o",
    "GRU-reset-and-update-swapped": "reset gate and update gate swapped",
    "GRUCell-update-and-candidate-swapped": "update gate and candidate swapped",
    "LSTM-bias-hh-dropped": "bias_hh dropped",
    "GRUCell-bias-hh-dropped": "bias_hh dropped",
    "RNNCell-bias-ih-dropped": "bias_ih dropped",
    "GRU-reset-before-the-matmul": "reset gate before the matmul",
    "GRUCell-reset-before-the-matmul": "reset gate before the matmul",
    "GRUCell-update-gate-inverted": "update gate inverted (z for 1−z)",
    "GRU-bias-outside-the-reset": "b_hn outside the product with the reset gate",
    "LSTM-h0-ignored": "initial hidden state ignored",
    "RNNCell-h0-ignored": "initial hidden state ignored",
    "LSTM-c0-ignored": "initial cell state ignored",
    "RNN-reverse-reads-forwards": "reverse",
    "LSTM-reverse-reads-forwards": "reverse",
    "LSTM-final-state-after-the-padding": "padding",
    "RNN-reverse-starts-in-the-padding": "padding",
}

#: What a machine without Gatewise's requirements lacks.
ABSENT = ("hypothesis", "pytest", "_pytest", "xdist", "onnx", "mpmath", "expecttest")
#: A script that is readable needs nothing of Gatewise either, but for what a mutant is made of.
PROJECT = ("gatewise.reference", "gatewise.properties", "gatewise.peers")

_RUN_ALL = """
import io, json, runpy, sys
from contextlib import redirect_stderr, redirect_stdout

absent, calls = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(absent))
found = []
for path, *arguments in calls:
    sys.argv = [path, *arguments]
    out, code = io.StringIO(), 0
    try:
        with redirect_stdout(out), redirect_stderr(out):
            runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    found.append((code, out.getvalue()))
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Found:
    """What a run says of a mutant."""

    diagnosis: Diagnosis
    script: str


@cache
def found(name: str, folder: Path) -> Found:
    """The diagnosis of a mutant's failing case, and its script."""
    subject = load_subject(f"{NAMED}:{importable(name)}", like=MUTANTS[name].like)
    plan = Plan(CATALOGUE["equals_reference"], subject, "float32")
    record = run(plan, seed=1)
    assert record.status == FALSIFIED, name
    record = diagnosed(plan, record, folder)
    return Found(record.diagnosis, record.script)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scripts of this module are written."""
    return tmp_path_factory.mktemp("scripts")


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_named(name: str, folder: Path) -> None:
    assert FAULTS[name] in "; or ".join(found(name, folder).diagnosis.faults)


def test_twenty_scripts_fail_with_torch_and_numpy_alone(folder: Path) -> None:
    assert len(FAULTS) == 20
    scripts = {name: found(name, folder).script for name in FAULTS}
    for script in scripts.values():  # readable: expected and got, with no module of Gatewise
        assert "base64" not in Path(script).read_text(encoding="utf-8")
    calls = [[script] for script in scripts.values()]
    calls += [[scripts[n], f"torch.nn:{MUTANTS[n].like}"] for n in FAULTS]
    given = json.dumps([[*ABSENT, *PROJECT], calls])
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ALL, given],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    for name, (code, text) in zip(FAULTS, results[: len(FAULTS)], strict=True):
        assert code == 1, f"{name}: {text}"
        assert "expected" in text, name
    for name, (code, text) in zip(FAULTS, results[len(FAULTS) :], strict=True):
        assert code == 0, f"torch.nn's class in place of {name}: {text}"
