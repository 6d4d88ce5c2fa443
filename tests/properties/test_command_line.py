"""The command line: usage errors, broken subjects, crashes, and equal verdicts in parallel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "tests/properties/broken.py"
MISBEHAVING = "tests/properties/misbehaving.py"
USAGE_ERROR = 4
#: equals_reference and equals_reference_step_by_step, and no other property.
WHOLE = "float32-equals_reference and not given_its_mask"
#: Properties of most families, and quick ones.
SEVERAL = (
    "shape or dtype or count or initial or repr or name or keeps or reference or modified or split "
    "or permutation"
)
CHOSEN = f"({WHOLE}) or layer_equals_unrolled_cell or lstm_is_four_rnns"


def gatewise(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]  # the first says what wrote the file


def chosen_are(status: str) -> dict[str, str]:
    """The statuses where the two properties of agreement have one, and the counts hold."""
    return {
        "equals_reference": status,
        "equals_reference_step_by_step": status,
        "lstm_is_four_rnns": "holds",
        "count_is_exact": "holds",
    }


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--subject", "nowhere:LSTM"], "--subject 'nowhere:LSTM': cannot import nowhere"),
        (["--subject", f"{BROKEN}:AN_LSTM"], "a LSTM was given; expected a class or a factory"),
        (["--subject", f"{BROKEN}:make_long_short"], "give --like with one of RNNCell, LSTMCell"),
        (
            ["--device", "tpu"],
            "expected all or one of cpu, with or without an index such as cuda:1",
        ),
        (["--precision", "float8"], "--precision 'float8': expected one of float64, float32"),
        (
            ["--hypothesis-profile", "slow"],
            "--hypothesis-profile 'slow': expected one of quick, standard, thorough",
        ),
        (["--like", "LSTM"], "--like 'LSTM' is given without a --subject"),
        (["--case-timeout", "0"], "--case-timeout '0': expected a number of seconds above 0"),
        (["--case-timeout", "soon"], "--case-timeout 'soon': expected a number of seconds above 0"),
    ],
    ids=["import", "instance", "kind", "device", "precision", "profile", "like", "none", "word"],
)
def test_a_bad_option_is_a_usage_error_before_any_test(options: list[str], line: str) -> None:
    done = gatewise(*options)
    assert done.returncode == USAGE_ERROR
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert "passed" not in done.stdout


def test_a_device_that_is_not_there_is_an_error_and_not_a_skip() -> None:
    # An empty list of devices hides those that a machine may have.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/conformance", "-q", "--device", "cuda"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == USAGE_ERROR
    assert re.search(
        r"--device 'cuda': torch \S+ finds no cuda device here; expected all or one of",
        done.stderr,
    )


def test_a_broken_subject_fails_with_one_message_and_the_run_goes_on() -> None:
    spec = f"{BROKEN}:SwappedGates"
    done = gatewise("--subject", spec, "--precision", "float32", "-k", CHOSEN)
    assert done.returncode == 1
    assert f"{spec}: property equals_reference is falsified" in done.stdout
    assert re.search(r"found +.+: got \S+, expected \S+, error \S+ > bound", done.stdout)
    assert re.search(r"case +Case\('LSTM'", done.stdout)
    again = f"--subject '{spec}' --like LSTM --device cpu --precision float32"
    assert re.search(rf"reproduce with {again} --property \w+ --hypothesis-seed=\d+", done.stdout)
    assert f"falsified: {spec}-cpu-float32-equals_reference" in done.stdout
    assert "3 failed, 1 passed" in done.stdout


@pytest.mark.parametrize("parallel", [[], ["-n", "2"]], ids=["serial", "parallel"])
def test_a_subject_that_kills_its_process_is_falsified_and_the_rest_completes(
    tmp_path: Path, parallel: list[str]
) -> None:
    options = ["--subject", f"{BROKEN}:KilledByReverse", "--precision", "float32", *parallel]
    chosen = f"({WHOLE}) or lstm_is_four_rnns or count_is_exact"
    done = gatewise(*options, "-k", chosen, "--report", str(tmp_path))
    assert done.returncode == 1
    found = {r["name"]: r for r in records(tmp_path)}
    assert {name: r["status"] for name, r in found.items()} == chosen_are("falsified")
    assert "the subject ended the process with SIGSEGV" in found["equals_reference"]["message"]
    assert "bidirectional=True" in found["equals_reference"]["case"]


def test_a_death_of_the_test_itself_is_a_crash_and_the_rest_completes(tmp_path: Path) -> None:
    options = ["--subject", f"{MISBEHAVING}:KillsTheTest", "--precision", "float32", "-n", "2"]
    chosen = f"({WHOLE}) or lstm_is_four_rnns or count_is_exact"
    done = gatewise(*options, "-k", chosen, "--report", str(tmp_path))
    assert done.returncode == 1
    assert {r["name"]: r["status"] for r in records(tmp_path)} == chosen_are("crashed")


@pytest.mark.parametrize("parallel", [[], ["-n", "2"]], ids=["serial", "parallel"])
def test_a_hang_is_stopped_after_the_stated_time(tmp_path: Path, parallel: list[str]) -> None:
    options = ["--subject", f"{MISBEHAVING}:Sleeps", "--precision", "float32", *parallel]
    chosen = f"({WHOLE}) or lstm_is_four_rnns or count_is_exact"
    done = gatewise(*options, "-k", chosen, "--report", str(tmp_path), "--case-timeout", "1.5")
    assert done.returncode == 1
    found = {r["name"]: r for r in records(tmp_path)}
    assert {name: r["status"] for name, r in found.items()} == chosen_are("falsified")
    for name in ("equals_reference", "equals_reference_step_by_step"):
        assert "the subject did not answer within 1.5 s" in found[name]["message"]


def test_serial_and_parallel_runs_give_the_same_verdicts(tmp_path: Path) -> None:
    seen = []
    for name, extra in (("serial", []), ("parallel", ["-n", "2"])):
        options = ["--subject", "gatewise.impl.GRU", "--subject", f"{BROKEN}:DroppedBias"]
        options += ["--precision", "float32", "--hypothesis-profile", "quick"]
        options += ["-k", f"({SEVERAL}) and not compile and not export and not onnx"]
        folder = tmp_path / name
        done = gatewise(*options, *extra, "--report", str(folder), "--hypothesis-seed", "5")
        assert done.returncode == 1
        seen.append(records(folder))
    serial, parallel = seen
    assert len(serial) > 40
    for one, other in zip(serial, parallel, strict=True):
        verdict = ("subject", "name", "status", "seed")
        assert [one[f] for f in verdict] == [other[f] for f in verdict]
        # A failure found by the first run is replayed by the second, which then draws fewer cases.
        if one["status"] == "holds":
            times = [name for name in one if name.endswith("seconds")]
            assert {**one, **dict.fromkeys(times)} == {**other, **dict.fromkeys(times)}


def test_the_header_prints_the_seed_that_reproduces() -> None:
    one = [
        "--subject",
        "gatewise.impl.RNNCell",
        "-k",
        "count_is_exact",
        "--precision",
        "float32",
        "-v",
    ]
    header = re.search(r"seed (\d+) \(--hypothesis-seed=(\d+) reproduces\)", gatewise(*one).stdout)
    assert header is not None
    assert header[1] == header[2]
    again = gatewise(*one, "--hypothesis-seed", header[1])
    assert f"seed {header[1]} " in again.stdout
