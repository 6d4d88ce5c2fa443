"""Threads of torch's own and forks: a fork leaves native threads behind, and knows it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest
from torch import nn

from gatewise.properties import process_state
from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.sandbox import parent as sandbox
from gatewise.properties.subjects.protocol import Subject, Unsupported

RIGHT = Subject("torch.nn.LSTM", "LSTM", nn.LSTM)
needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="needs a safe fork (Linux)")


@needs_fork
def test_threads_are_asked_for_only_where_they_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """GNU OpenMP waits for ever in a fork for the threads that its parent had."""
    monkeypatch.setattr(sandbox, "method", lambda device: "forkserver")
    several = CATALOGUE["several_threads_give_the_same"].claim
    case = Case("LSTM", batch=9, hidden_size=32)

    def local(subject: Subject, case: Case, check: Check) -> None:
        check.same("one", 1, 1)

    with sandbox.Sandbox(RIGHT) as box:
        box.put(local, case, Check())  # by a fork, for it has no name
        check = Check()
        box.put(several, case, check)
        assert check.comparisons > 0
    nameless = replace(RIGHT, factory=lambda *a, **k: nn.LSTM(*a, **k))
    with sandbox.Sandbox(nameless) as box:  # a fork of this process, which has no native threads
        box.put(several, case, Check())
    monkeypatch.setattr(process_state, "native_threads", lambda: 2)
    with (
        sandbox.Sandbox(nameless) as box,
        pytest.raises(Unsupported, match="in which threads can run"),
    ):
        box.put(several, case, Check())


@needs_fork
def test_what_a_fork_has_lost_stays_lost_in_its_own_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> str:
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, b"lost" if process_state.threads_were_lost() else b"none")
            os._exit(0)
        os.wait()
        return os.read(read, 4).decode()

    assert told() == "none"
    with monkeypatch.context() as patch:
        patch.setattr(process_state, "native_threads", lambda: 1)
        assert told() == "lost"
    assert told() == "none"
