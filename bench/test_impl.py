"""The layers of `gatewise.impl` beside those of torch.nn, at three sizes, on one thread."""

from __future__ import annotations

from typing import Any

import pytest
from common import torch

from gatewise import impl

#: Sizes (I, H, B, T) → rounds.
SIZES = {(4, 4, 2, 8): 200, (64, 64, 16, 32): 60, (256, 256, 32, 64): 10}


@pytest.mark.parametrize("column", ["torch.nn", "gatewise.impl"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward+backward"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layer(
    kind: str, size: tuple[int, int, int, int], backward: bool, column: str, benchmark: Any
) -> None:
    torch.set_num_threads(1)
    inputs, hidden, batch, time = size
    module = getattr(torch.nn if column == "torch.nn" else impl, kind)(inputs, hidden)
    x = torch.randn(time, batch, inputs, requires_grad=backward)

    def call() -> None:
        with torch.set_grad_enabled(backward):
            output, _ = module(x)
        if backward:
            output.sum().backward()

    benchmark.pedantic(call, rounds=SIZES[size], warmup_rounds=2)
    what = "forward+backward" if backward else "forward"
    row = f"{kind} {size}, {what}"
    benchmark.extra_info |= {"table": "impl", "row": row, "column": column}
