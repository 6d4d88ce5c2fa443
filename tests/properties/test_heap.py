"""What is imported stays out of full collections, and dynamo times no guards."""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

from gatewise.properties.families.compilation.compilers import fresh, replaced
from gatewise.properties.running import heap


def test_what_is_alive_is_left_out_when_many_modules_are_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heap.freeze()
    before = gc.get_freeze_count()
    assert before > 100_000  # torch is imported
    kept = [[k] for k in range(1000)]
    heap.freeze()
    assert gc.get_freeze_count() <= before  # nothing was imported meanwhile
    for k in range(200):
        monkeypatch.setitem(sys.modules, f"new_{k}", ModuleType(f"new_{k}"))
    heap.freeze()
    assert gc.get_freeze_count() >= before + len(kept)


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
