"""What torch 2.0 lacks, on the torch that is here: none of it may end a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from gatewise.properties import process_state
from gatewise.properties.devices import kept_generators
from gatewise.properties.environment import environment


class Asserting:
    """As torch 2.0's cuda.matmul, which raises an AssertionError for what it does not have."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"Unknown attribute {name}")


def test_a_backend_that_asserts_has_no_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "rnn", Asserting(), raising=False)
    owners = dict(process_state._owners())
    assert owners["cudnn.rnn"] is None
    assert process_state.restore(process_state.settings()) == []


def test_an_environment_without_a_module_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends, "cpu", None)
    assert environment()["cpu_capability"] == ""


def test_generators_are_kept_without_a_type_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = torch.random.fork_rng

    @contextmanager
    def old(devices: Any = None, enabled: bool = True) -> Iterator[None]:
        with kept(devices=devices, enabled=enabled):
            yield

    monkeypatch.setattr(torch.random, "fork_rng", old)
    before = torch.get_rng_state()
    with kept_generators("cpu"):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
