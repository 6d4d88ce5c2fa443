"""What the reference costs: beside torch in float64, with bounds, and backward."""

from __future__ import annotations

from typing import Any

import pytest
from backward import calls
from common import torch

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.oracle import expected
from gatewise.properties.subjects.builtin import BUILTIN

#: Sizes (I, H, B, T), named as they are printed.
SIZES = {"(4, 4, 2, 8)": (4, 4, 2, 8), "(64, 64, 16, 32)": (64, 64, 16, 32)}
COLUMNS = ("torch", "forward", "forward with bounds", "BPTT", "BPTT with bounds")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_reference(kind: str, size: str, column: str, benchmark: Any) -> None:
    torch.set_num_threads(1)
    inputs, hidden, batch, time = SIZES[size]
    sizes = {"input_size": inputs, "hidden_size": hidden, "batch": batch, "time": time}
    case = Case(kind, **sizes, precision="float64", weights="spread")
    subject = BUILTIN[f"torch.nn.{kind}"]
    module, given = subject.build(case), subject.given(case)
    forward, bptt, balls = calls(case)

    def called() -> Any:
        with torch.no_grad():
            return subject.call(case, module, *given)

    def bounded() -> Any:
        return [ball.radius for ball in expected(case).values()]

    functions = dict(zip(COLUMNS, (called, forward, bounded, bptt, balls), strict=True))
    benchmark.pedantic(functions[column], rounds=15, warmup_rounds=2)
    benchmark.extra_info |= {"table": "reference", "row": f"{kind} {size}", "column": column}
