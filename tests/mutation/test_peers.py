"""The checks of others find no fault in what is right, and are put to mutants of any conduct."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import impl

from . import strength
from .peers import PEERS, NotOffered, onnx_vectors
from .registry import KINDS


@pytest.mark.parametrize("room", [torch.nn, impl], ids=["torch.nn", "impl"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_passes_every_check(kind: str, room: Any) -> None:
    passed = []
    for name, check in PEERS.items():
        try:
            check(kind, getattr(room, kind))
        except NotOffered:
            continue
        passed.append(name)
    offered = [n for n in PEERS if n != "ONNX vectors" or not kind.endswith("Cell")]
    assert passed == offered
    assert tuple(PEERS) == strength.COLUMNS[1:]


@pytest.mark.parametrize(("kind", "usable", "left_out"), [("RNN", 5, 1), ("LSTM", 4, 2), ("GRU", 4, 2)])
def test_the_vectors_of_onnx_that_torch_can_meet(kind: str, usable: int, left_out: int) -> None:
    found, others = onnx_vectors(kind)
    assert len(found) >= usable
    assert len(others) <= left_out
