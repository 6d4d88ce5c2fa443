"""The family placement is planned on CUDA alone; its claims are put to CPU subjects here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.properties import options
from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.checking.oracle import compare_all, expected
from gatewise.properties.devices import CUDA
from gatewise.properties.families.catalogue import CATALOGUE, properties_for
from gatewise.properties.families.placement import REPEATING_WORKSPACES
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Subject
from gatewise.reference.formats import TFLOAT32

CLAIMS = [p for p in CATALOGUE.values() if p.family == "placement"]


def record_of(name: str, factory: Callable[..., nn.Module]) -> Record:
    plan = Plan(CATALOGUE[name], Subject(f"wrong.{name}", "LSTM", factory), "float32")
    return run(plan, profile="standard", seed=1)


def test_the_family_is_claimed_on_cuda_alone() -> None:
    assert CLAIMS
    for claim in CLAIMS:
        assert claim.devices is CUDA
        for kind in claim.of:
            for precision in claim.precisions:
                assert claim not in properties_for(kind, precision)
                assert claim not in properties_for(kind, precision, "cpu")
                assert claim in properties_for(kind, precision, "cuda")
                assert claim in properties_for(kind, precision, "cuda:1")


@pytest.mark.parametrize("present", [False, True])
@pytest.mark.parametrize("device", [None, "cpu", "cuda", "all"])
def test_what_is_planned_follows_the_devices_that_there_are(
    present: bool, device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    given = {"--device": device, "--subject": ["torch.nn.LSTM"]}
    if device == "cuda" and not present:
        with pytest.raises(options.UsageError, match="finds no cuda device here; expected all"):
            options.configure(given)
        return
    made = options.configure(given)
    plans = made.plans()
    on = {d: [p.prop for p in plans if p.subject.device == d] for d in ("cpu", "cuda")}
    with_cuda = present and device != "cpu"
    assert all(claim not in on["cpu"] for claim in CLAIMS)
    assert all((claim in on["cuda"]) == with_cuda for claim in CLAIMS)
    assert bool(on["cuda"]) == with_cuda
    assert bool(on["cpu"]) == (device != "cuda")
    for prop in on["cpu"]:
        assert "cpu" in prop.devices
    assert made.header().count("no CUDA device") == (not present)


@pytest.mark.parametrize(
    "subject", ["torch.nn.LSTM", "gatewise.impl.LSTM", "gatewise.impl.RNNCell", "torch.nn.GRU"]
)
def test_a_right_subject_passes(subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", REPEATING_WORKSPACES[0])
    own = [claim for claim in CLAIMS if BUILTIN[subject].like in claim.of]
    assert len(own) >= 4
    for claim in own:
        record = run(Plan(claim, BUILTIN[subject], "float32"), profile="quick", seed=2)
        assert record.status == HOLDS, record.message


class WrongWithoutCuDNN(nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c if torch.backends.cudnn.enabled else c + 0.01)


class WrongOnItsDevice(nn.LSTM):
    """Stands for a device's kernel: off in every state."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h + 0.01, c)


class WrongInTF32(nn.LSTM):
    """Rounds much more than TF32 does, where that is allowed."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if torch.backends.cudnn.allow_tf32 and isinstance(input, Tensor):
            input = input.bfloat16().float() * 1.01
        return super().forward(input, hx)


class FlattensWrongly(nn.LSTM):
    """Gathers its weights in float16."""

    def flatten_parameters(self) -> None:
        for parameter in self.parameters():
            parameter.data = parameter.data.half().to(parameter.dtype)


class MovesTheState(nn.LSTM):
    """Takes a state from anywhere."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, tuple(torch.zeros_like(s, device="cpu") for s in hx))


class RefusesWithoutAReason(nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        if hx[0].is_meta:
            raise RuntimeError("mat1 and mat2 do not match")
        return super().forward(input, hx)


class Noisy(nn.LSTM):
    """No call gives the bits of another."""

    calls = 0

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        Noisy.calls += 1
        return output, (h, c + 0.001 * Noisy.calls)


@pytest.mark.parametrize(
    ("name", "factory", "line"),
    [
        ("cpu_gives_the_same", WrongOnItsDevice, r"on cpu: h_n\["),
        ("cudnn_off_gives_the_same", WrongWithoutCuDNN, r"c_n with cuDNN off\["),
        ("tf32_keeps_its_own_bound", WrongInTF32, r"with TF32: "),
        ("flatten_parameters_changes_nothing", FlattensWrongly, r"keeps its bytes when flattened"),
        ("state_on_another_device_is_refused", MovesTheState, r"\(nothing was raised\)"),
        ("state_on_another_device_is_refused", RefusesWithoutAReason, r"\(mat1 and mat2 do not"),
        ("deterministic_cudnn_repeats_its_bits", Noisy, r"has the same bits is False"),
    ],
)
def test_a_fault_of_placement_is_falsified_and_named(
    name: str, factory: type[nn.LSTM], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", REPEATING_WORKSPACES[0])
    record = record_of(name, factory)
    assert record.status == FALSIFIED
    assert re.search(line, record.message), record.message


def test_repeated_bits_are_not_asked_of_a_cublas_that_does_not_promise_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    record = record_of("deterministic_cudnn_repeats_its_bits", Noisy)
    assert record.status == UNSUPPORTED
    assert "CUBLAS_WORKSPACE_CONFIG is None" in record.message


class RoundsToTF32(nn.LSTM):
    """Rounds the factors of its input product to TF32, as a CUDA device may."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        assert not isinstance(input, PackedSequence)
        return super().forward(_tf32(input), hx)


def _tf32(x: Tensor) -> Tensor:
    return torch.from_numpy(TFLOAT32.round(x.double().numpy())).to(x.dtype)


#: Factors that are not exact in TF32, and a product long enough that its rounding shows.
WIDE = Case("LSTM", input_size=64, hidden_size=32, batch=8, time=3, seed=5)


def test_tf32_exceeds_the_strict_bound_and_keeps_its_own() -> None:
    got = Subject("rounds to TF32", "LSTM", RoundsToTF32).run(WIDE)
    compare_all(Check(), got, expected(WIDE.but(precision="tf32")))
    with pytest.raises(Mismatch):
        compare_all(Check(), got, expected(WIDE))


@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0),
    reason="no CUDA device that rounds to TF32",
)
def test_tf32_exceeds_the_strict_bound_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = BUILTIN["torch.nn.LSTM"].on("cuda")
    wide = WIDE.but(input_size=512, hidden_size=256, batch=64)
    compare_all(Check(), subject.run(wide), expected(wide))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    got = subject.run(wide)
    compare_all(Check(), got, expected(wide.but(precision="tf32")))
    with pytest.raises(Mismatch):
        compare_all(Check(), got, expected(wide))
