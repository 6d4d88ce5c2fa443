"""Threads of torch's own and forks: a fork leaves native threads behind, and knows it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from gatewise.properties import process_state
from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.sandbox import parent as sandbox
from gatewise.properties.subjects.protocol import Subject, Unsupported

ROOT = Path(__file__).resolve().parents[2]
RIGHT = Subject("torch.nn.LSTM", "LSTM", nn.LSTM)
needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="needs a safe fork (Linux)")


@needs_fork
@pytest.mark.parametrize("check", ["asks_only_where_they_can_run", "lost_in_forks_of_a_fork"])
def test_in_a_new_process(check: str) -> None:
    """Other tests leave native threads behind in this process; a new one has none."""
    code = f"from tests.properties import test_threads as t; t.{check}()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "checked\n"


def asks_only_where_they_can_run() -> None:
    """GNU OpenMP waits for ever in a fork for the threads that its parent had."""
    monkeypatch = pytest.MonkeyPatch()
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
    print("checked")


def lost_in_forks_of_a_fork() -> None:
    """A fork beside native threads has lost them, and so have its own forks."""

    def told() -> str:
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, b"lost" if process_state.threads_were_lost() else b"none")
            os._exit(0)
        os.wait()
        return os.read(read, 4).decode()

    assert told() == "none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_state, "native_threads", lambda: 1)
        assert told() == "lost"
    assert told() == "none"
    print("checked")
