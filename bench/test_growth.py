"""How the cost of a case of agreement grows with a size: T, B, H and the number of layers."""

from __future__ import annotations

from typing import Any

import pytest
from common import torch

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.agreement import equals_reference
from gatewise.properties.subjects.builtin import BUILTIN

#: What grows → its values; the other sizes are small.
GROWTH = {
    "time": (64, 128, 256, 512),
    "batch": (256, 512, 1024, 2048),
    "hidden_size": (64, 128, 256, 512),
    "num_layers": (1, 2, 4, 8),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in GROWTH.items() for v in vs])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_growth(kind: str, name: str, value: int, benchmark: Any) -> None:
    torch.set_num_threads(1)
    sizes = {"input_size": 4, "hidden_size": 4, "batch": 2, "time": 8, name: value}
    case = Case(kind, **sizes, weights="small", inputs="spread", states="spread")

    def put() -> None:
        equals_reference(BUILTIN[f"torch.nn.{kind}"], case.but(), Check())

    benchmark.pedantic(put, rounds=12, warmup_rounds=1)
    benchmark.extra_info |= {"table": "growth", "row": f"{kind}, {name}", "column": str(value)}
