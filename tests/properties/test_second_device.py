"""Subjects on a device that is not the CPU: a backend of torch that is compiled here.

It stands for CUDA where there is no GPU: tensors that do not mix with the CPU's, kernels of its
own, no generator of its own, and no entry in `devices.TABLE`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gatewise.properties.running.record_file import read
from gatewise.properties.running.records import Record

SOURCES = Path(__file__).parent / "second_device"
COMPILER = shutil.which("c++")
SUBJECTS = """
import torch
from torch import nn


class StateOnTheCPU(nn.GRU):
    def forward(self, input, hx=None):
        if hx is None and isinstance(input, torch.Tensor) and input.dim() == 3:
            batch = input.shape[0 if self.batch_first else 1]
            layers = self.num_layers * (2 if self.bidirectional else 1)
            hx = torch.zeros(layers, batch, self.hidden_size, dtype=input.dtype)
        return super().forward(input, hx)


class WrongThere(nn.RNN):
    def forward(self, input, hx=None):
        output, h = super().forward(input, hx)
        return output, h if h.device.type == "cpu" else h * 1.001
"""

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="the backend is compiled on Linux"),
]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH; torch imports the backend by its entry point in each process."""
    folder = tmp_path_factory.mktemp("second")
    home = Path(torch.__file__).parent
    assert COMPILER is not None
    command = [COMPILER, "-shared", "-fPIC", "-O0", "-std=c++20", "-w"]
    command += [f"-I{home / 'include'}", f"-I{home / 'include/torch/csrc/api/include'}"]
    command += [str(SOURCES / "device.cpp"), f"-L{home / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10"]
    subprocess.run([*command, "-o", str(folder / "libsecond.so")], check=True)
    shutil.copy(SOURCES / "second.py", folder)
    about = folder / "second-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 0\n")
    (about / "entry_points.txt").write_text("[torch.backends]\nsecond = second:load\n")
    (folder / "mine.py").write_text(SUBJECTS)
    return folder


def check(folder: Path, report: Path, *arguments: str) -> tuple[int, list[Record], str]:
    """Status, records and output of `gatewise check` on the device."""
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", *arguments]
    command += ["--device", "second", "--profile", "quick", "--seed", "1", "--jobs", "1"]
    done = subprocess.run(
        [*command, "--report", str(report)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    (run,), _ = read([report / "records.jsonl"])
    return done.returncode, run.records, done.stdout + done.stderr


def test_right_layers_hold_there(backend: Path, tmp_path: Path) -> None:
    families = ("agreement", "gradients", "packing", "dropout", "autograd", "weights")
    chosen = [f"--family={family}" for family in families]
    subjects = ["torch.nn.LSTM", "gatewise.impl.GRU"]
    status, records, text = check(
        backend, tmp_path, *subjects, *chosen, "--precision=float32", "--precision=bfloat16"
    )
    assert [r.id for r in records if not r.passed] == [], text
    assert status == 0
    assert {r.device for r in records} == {"second"}
    for subject in subjects:
        own = {r.family for r in records if r.subject == subject and r.status == "holds"}
        assert own == {*families}


def test_a_state_on_the_cpu_is_an_error_there(backend: Path, tmp_path: Path) -> None:
    chosen = ["mine.py:StateOnTheCPU", "--precision", "float32", "--property", "equals_reference"]
    status, (record,), _ = check(backend, tmp_path, *chosen)
    assert status == 1
    assert "same device" in record.message
    assert "with_state=False" in record.case


def test_a_value_that_is_wrong_there_alone_is_falsified(backend: Path, tmp_path: Path) -> None:
    chosen = ["mine.py:WrongThere", "--precision", "float64", "--property", "equals_reference"]
    status, (record,), _ = check(backend, tmp_path, *chosen)
    assert (status, record.status) == (1, "falsified")
    assert record.message.startswith("h_n")


def test_a_known_issue_of_the_cpu_is_told_there(backend: Path, tmp_path: Path) -> None:
    chosen = ["torch.nn.RNN", "--precision", "float32"]
    chosen += ["--property", "per_sample_gradients_without_a_state"]
    status, (record,), _ = check(backend, tmp_path, *chosen)
    assert (status, record.status) == (0, "known issue")
    assert record.message.endswith("also seen on second")
