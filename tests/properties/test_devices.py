"""Devices: what `--device` takes, what each has, and a device with an index."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from gatewise.properties import devices
from gatewise.properties.devices import DeviceError, another_than, resolve, row_of, type_of
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.options import UsageError, configure
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import HOLDS
from gatewise.properties.subjects.builtin import BUILTIN


def test_what_is_here_is_taken() -> None:
    assert resolve("cpu") == ("cpu",)
    assert resolve("cpu:0") == ("cpu:0",)
    assert resolve(None) == resolve("all") == tuple(devices.available())


@pytest.mark.parametrize(
    ("stated", "line"),
    [
        ("tpu", r"--device 'tpu': torch \S+ does not know this device; expected all or one of cpu"),
        ("meta", r"--device 'meta': torch \S+ does not know this device; expected all or one of"),
        ("cuda:x", r"--device 'cuda:x': torch \S+ does not know this device; expected all or"),
        ("", r"--device '': torch \S+ does not know this device; expected all or one of cpu"),
        (
            "cpu:3",
            r"--device 'cpu:3': the number of cpu devices here is 1; expected an index",
        ),
        ("mps", r"--device 'mps': torch \S+ finds no mps device here; expected all or one of cpu"),
        ("xpu:1", r"--device 'xpu:1': torch \S+ finds no xpu device here; expected all or one of"),
    ],
)
def test_what_is_not_here_is_one_clear_line(stated: str, line: str) -> None:
    with pytest.raises(DeviceError, match=line) as caught:
        resolve(stated)
    assert "\n" not in str(caught.value)


def test_a_type_that_torch_knows_needs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a PrivateUse1 backend registers itself: a module of torch under the backend's name."""
    backend = SimpleNamespace(is_available=lambda: True, device_count=lambda: 2)
    monkeypatch.setattr(torch, "privateuseone", backend, raising=False)
    devices._known_to_torch.cache_clear()
    assert resolve("privateuseone:1") == ("privateuseone:1",)
    row = row_of("privateuseone")
    assert (row.count(), row.forks, row.memory) == (2, False, None)
    assert row.precisions() == ()  # it has no kernels at all
    on = list(plans([BUILTIN["torch.nn.LSTM"]], ["privateuseone"], ["float32"]))
    assert on == []
    devices._known_to_torch.cache_clear()


def test_a_cpu_without_a_product_of_float16_has_no_plan_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "_computes", lambda device, precision: precision != "float16")
    found = plans([BUILTIN["torch.nn.LSTM"]], ["cpu"], ["float16", "bfloat16"])
    assert {p.precision for p in found} == {"bfloat16"}
    line = "--precision 'float16': cpu has float64, float32, bfloat16"
    with pytest.raises(UsageError, match=line):
        configure({"--precision": ["float16"], "--subject": ["torch.nn.LSTM"]})


def test_a_device_with_an_index_is_of_its_type() -> None:
    assert type_of("cuda:1") == "cuda"
    assert row_of("cuda:1") is row_of("cuda")
    assert another_than("cuda:1") == "cpu"


@pytest.mark.parametrize("name", ["result_dtype_and_device", "call_ignores_the_defaults"])
@pytest.mark.parametrize("subject", ["torch.nn.LSTM", "gatewise.impl.GRUCell"])
def test_the_device_of_a_result_is_compared_with_that_of_the_input(name: str, subject: str) -> None:
    """A right subject on `cpu:0`, as on `cuda:1`, has results whose type alone is `cpu`."""
    plan = Plan(CATALOGUE[name], BUILTIN[subject].on("cpu:0"), "float32")
    record = run(plan, profile="quick", seed=1)
    assert (record.status, record.device) == (HOLDS, "cpu:0")


def test_tf32_is_a_precision_of_cuda_alone() -> None:
    assert "tf32" in row_of("cuda").precisions()
    assert "tf32" not in row_of("cpu").precisions()
    found = plans([BUILTIN["torch.nn.LSTM"]], ["cpu", "cuda"], ["tf32"])
    assert {p.subject.device for p in found} == {"cuda"}
