"""A falsified property is diagnosed: the nearest named fault, the place, and a script."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.oracle import expected
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.reporting.diagnosis import diagnose, first_difference
from gatewise.properties.reporting.explanation import diagnosis_lines
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, FLAKY, Diagnosis, Place, Record
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import load_subject
from gatewise.properties.subjects.protocol import Subject

BROKEN = str(Path(__file__).with_name("broken.py"))
#: What a machine without Gatewise's requirements lacks; torch and NumPy stay.
ABSENT = ("hypothesis", "pytest", "xdist", "onnx", "mpmath", "gatewise")


def falsified(name: str, prop: str = "equals_reference") -> tuple[Plan, Record]:
    plan = Plan(CATALOGUE[prop], load_subject(f"{BROKEN}:{name}"), "float32")
    record = run(plan, seed=1)
    assert record.status == FALSIFIED
    return plan, record


def run_alone(path: Path, *arguments: str, absent: tuple[str, ...]) -> Any:
    """Run a script where some modules cannot be imported, from another folder."""
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        f"sys.argv = {[str(path), *arguments]!r}\n"
        f"runpy.run_path({str(path)!r}, run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=path.parent, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("SwappedGates", "input gate and forget gate swapped"),
        ("DroppedBias", "bias_hh dropped"),
        ("IgnoredState", "initial hidden state ignored"),
    ],
)
def test_the_fault_is_named(name: str, fault: str, tmp_path: Path) -> None:
    plan, record = falsified(name)
    found = diagnosed(plan, record, tmp_path).diagnosis
    assert found.faults == (fault,)
    assert found.places == (Place("output", (0, 0, 0), step=0, steps=1),)
    assert found.results[0] == "output"
    assert re.fullmatch(r"\w+_l0\[\w\]", found.needs[0])
    lines = diagnosis_lines(found)
    assert lines[0] == f"consistent with {fault}"
    assert lines[1].startswith("output differs first at step 0 of 1, row 0, unit 0")
    assert re.match(r"the difference needs \w+_l0\[\w\]", lines[2])


@pytest.mark.parametrize("name", ["SwappedGates", "MixedRows"])
def test_the_script_of_wrong_results_fails_with_torch_and_numpy_alone(
    name: str, tmp_path: Path
) -> None:
    plan, record = falsified(name)
    script = Path(diagnosed(plan, record, tmp_path).script)
    assert "base64" not in script.read_text(encoding="utf-8")  # readable, arrays and all
    done = run_alone(script, absent=ABSENT)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"output\[.*\]: expected \S+, got \S+, bound \S+; \d of \d", done.stdout)
    assert run_alone(script, "torch.nn:LSTM", absent=ABSENT).returncode == 0


def test_the_script_of_any_property_carries_its_claim(tmp_path: Path) -> None:
    plan, record = falsified("RaisesOnCall", "time_split")
    script = Path(diagnosed(plan, record, tmp_path).script)
    absent = ("hypothesis", "pytest", "xdist", "onnx", "mpmath")
    done = run_alone(script, absent=absent)
    assert done.returncode == 1
    assert "ZeroDivisionError: stacking is broken" in done.stderr
    right = run_alone(script, "torch.nn:LSTM", absent=absent)
    assert (right.returncode, right.stdout) == (0, "the property holds for this case\n")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("BatchMajor", "input taken as batch-major"),
        ("BatchFirstIgnored", "batch_first ignored"),
    ],
)
def test_axes_taken_for_each_other_are_named_where_most_cases_raise(
    name: str, fault: str, tmp_path: Path
) -> None:
    plan, record = falsified(name)
    assert diagnosed(plan, record, tmp_path).diagnosis.faults == (fault,)


def test_a_diagnosis_comes_back_from_json(tmp_path: Path) -> None:
    plan, record = falsified("SwappedGates")
    record = diagnosed(plan, record, tmp_path)
    assert Record.of(json.loads(json.dumps(record.as_dict()))) == record


def test_each_direction_has_a_place() -> None:
    case = Case("LSTM", hidden_size=2, time=3, bidirectional=True)
    got = {name: ball.v + 1.0 for name, ball in expected(case).items()}
    found = first_difference(Diagnosis(), case, got)
    assert [(p.step, p.reverse) for p in found.places] == [(0, False), (2, True)]
    assert diagnosis_lines(found) == [
        "output differs first at step 0 of 3, row 0, unit 0 and first at step 2 of 3 of the "
        "reverse direction, row 0, unit 0; h_n, c_n differ too"
    ]


_MODULE = """
import torch

class Mine(torch.nn.LSTM):
    def forward(self, input, hx=None):
        output, state = super().forward(input, hx)
        return output + 1, state

class Raises(torch.nn.LSTM):
    def forward(self, input, hx=None):
        raise ZeroDivisionError("it is broken")
"""


@pytest.mark.parametrize(("name", "words"), [("Mine", "expected"), ("Raises", "it is broken")])
def test_a_script_finds_a_module_that_lies_in_the_folder_of_the_run(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_module_of_a_user.py").write_text(_MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    subject = load_subject(f"own_module_of_a_user:{name}")
    plan = Plan(CATALOGUE["equals_reference"], subject, "float32")
    record = diagnosed(plan, run(plan, profile="quick", seed=1), tmp_path / "scripts")
    done = run_alone(Path(record.script), absent=("hypothesis", "pytest"))
    assert done.returncode == 1
    assert words in done.stdout + done.stderr
    assert "No module named" not in done.stderr


def test_a_correct_subject_has_no_diagnosis() -> None:
    case = Case("LSTM", input_size=2, hidden_size=3, batch=2, time=3)
    assert diagnose(Subject("torch.nn.LSTM", "LSTM", nn.LSTM), case) == Diagnosis()


def test_hypothesis_can_replay_the_draw() -> None:
    _, record = falsified("SwappedGates")
    assert re.fullmatch(r"@reproduce_failure\('[\d.]+', b'.+'\)", record.blob)


class EveryOtherCall(nn.LSTM):
    """Wrong in every second call."""

    calls = 0

    def forward(self, input: Any, hx: Any = None) -> Any:
        EveryOtherCall.calls += 1
        output, state = super().forward(input, hx)
        if EveryOtherCall.calls % 2 and isinstance(output, Tensor):
            output = output + 1
        return output, state


def test_a_fault_that_comes_and_goes_is_flaky_with_both_outcomes() -> None:
    subject = Subject("mine", "LSTM", EveryOtherCall)
    record = run(Plan(CATALOGUE["equals_reference"], subject, "float32"), seed=1)
    assert record.status == FLAKY
    assert not record.passed
    assert "error 1 > bound" in record.message
    assert "called again 4 times on the same case, 2 passed" in record.message
    assert torch.is_grad_enabled()


def test_a_diagnosis_ends_after_its_time() -> None:
    case = Case("LSTM", input_size=2, hidden_size=3, batch=2, time=3)
    found = diagnose(Subject("torch.nn.LSTM", "LSTM", nn.LSTM), case, seconds=0.0)
    assert found == Diagnosis(note="the diagnosis ended after 0 s")
