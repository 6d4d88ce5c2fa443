"""The checks of others find no fault in what is right, and are put to mutants of any conduct."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from . import strength
from .peers import PEERS
from .registry import CLASSES

ROOT = Path(__file__).resolve().parents[2]

#: In a process of its own, for torch.testing._internal changes the one that imports it.
_RUN = """
import json
import torch
from gatewise import impl
from tests.mutation import peers, strength
from tests.mutation.all import MUTANTS
from tests.mutation.registry import CLASSES

strength.warm_up()
found = {f"torch.nn.{k}": strength.outcomes(k, getattr(torch.nn, k)) for k in CLASSES}
found |= {f"gatewise.impl.{k}": strength.outcomes(k, getattr(impl, k)) for k in CLASSES}
for name in ("LSTM-input-and-forget-swapped", "GRU-input-detached", "RNN-any-dropout"):
    found[name] = strength.outcomes(MUTANTS[name].like, MUTANTS[name].factory)
vectors = {k: peers.onnx_vectors(k) for k in ("RNN", "LSTM", "GRU")}
vectors = {k: [[c.name for c in usable], others] for k, (usable, others) in vectors.items()}
print(json.dumps([found, vectors]))
"""


@pytest.fixture(scope="module")
def run() -> Any:
    """Outcomes by name, and ONNX's vectors: those that are used and those that are not."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def killers(outcomes: dict[str, Any]) -> set[str]:
    return {check for check, outcome in outcomes.items() if outcome and outcome["killed"]}


@pytest.mark.parametrize("room", ["torch.nn", "gatewise.impl"])
def test_what_is_right_passes_every_check(run: Any, room: str) -> None:
    for kind in CLASSES:
        outcomes = run[0][f"{room}.{kind}"]
        assert killers(outcomes) == set()
        none = {check for check, outcome in outcomes.items() if outcome is None}
        assert none == ({"ONNX vectors"} if kind.endswith("Cell") else set())
        assert tuple(outcomes) == strength.COLUMNS[1:] == tuple(PEERS)


def test_what_others_see_of_a_fault(run: Any) -> None:
    # The weights of ONNX's vectors are all equal, and ModuleInfo's reference is the class itself.
    swapped = run[0]["LSTM-input-and-forget-swapped"]
    assert killers(swapped) == {"one example", "gradcheck", "KernelBench", "FlashRNN"}
    # 0.999 of the input's gradient is within gradcheck's tolerance.
    assert killers(run[0]["GRU-input-detached"]) == set()


def test_some_vectors_of_onnx_are_usable_and_the_others_have_names(run: Any) -> None:
    for kind, (usable, others) in run[1].items():
        assert len(usable) >= 4
        assert f"test_{'simple_' * (kind == 'RNN')}{kind.lower()}_reverse" in others


def passes(kind: str, factory: Any) -> None:
    """A check that finds nothing."""


def test_a_class_that_ends_its_process_is_killed_and_the_checks_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PEERS:
        monkeypatch.setitem(PEERS, name, passes)
    monkeypatch.setitem(PEERS, "gradcheck", lambda kind, factory: os._exit(3))
    outcomes = strength.outcomes("RNN", None)
    assert {c: o and o["by"] for c, o in outcomes.items()} == {
        **dict.fromkeys(PEERS, ""),
        "gradcheck": "its process ended",
    }


def test_a_class_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PEERS:
        monkeypatch.setitem(PEERS, name, passes)
    monkeypatch.setitem(PEERS, "ModuleInfo", lambda kind, factory: time.sleep(600))
    monkeypatch.setattr(strength, "LIMIT", 2.0)
    outcome = strength.outcomes("RNN", None)["ModuleInfo"]
    assert outcome is not None
    assert outcome["by"] == "no answer in time"
