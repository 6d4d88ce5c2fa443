"""What is imported stays out of full collections, and dynamo times no guards."""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from gatewise.properties.families.compilation.compilers import fresh, replaced
from gatewise.properties.running import heap


def collected(x: object) -> bool:
    """Whether full collections visit an object."""
    return any(other is x for other in gc.get_objects())


def test_what_is_alive_is_left_out_when_many_modules_are_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heap, "_imported", 0)  # a claim about growth takes all back in
    heap.freeze()
    assert not collected(torch.nn.LSTM.__dict__["forward"])
    own = [[1]]
    heap.freeze()
    assert collected(own)  # nothing was imported meanwhile
    for k in range(200):
        monkeypatch.setitem(sys.modules, f"new_{k}", ModuleType(f"new_{k}"))
    heap.freeze()
    assert not collected(own)


def test_a_cycle_that_begins_later_is_collected() -> None:
    heap.freeze()
    cycle: list[Any] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1


def test_dynamo_times_no_guards_meanwhile() -> None:
    guards: Any = importlib.import_module("torch._dynamo.guards")
    own = getattr(guards, "profile_guard_manager", None)
    if own is None:
        pytest.skip("this torch times no guards")
    with fresh():
        assert guards.profile_guard_manager() == 0.0
    assert guards.profile_guard_manager is own


def test_what_a_torch_does_not_have_is_not_added() -> None:
    with replaced("torch", "no_such_function", None):
        assert not hasattr(importlib.import_module("torch"), "no_such_function")
