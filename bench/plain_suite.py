"""A plain Hypothesis suite of agreement, as people write one: the benchmarks' term of comparison.

Hypothesis draws every element of the input, of the states and of the weights.  The expected results
come from a loop over the steps in float64, and torch compares them with its default tolerances.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import plain_settings
from hypothesis import given, seed
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

_ELEMENTS = st.floats(-2.0, 2.0, width=32)
_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
_SIZE = st.integers(1, 4)


def _arrays(draw: st.DrawFn, *shape: int) -> Tensor:
    return torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=_ELEMENTS)))


def _step(
    kind: str, x: Tensor, h: Tensor, c: Tensor, w: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    gates = _GATES[kind]
    a, b = x @ w["weight_ih"].T + w["bias_ih"], h @ w["weight_hh"].T + w["bias_hh"]
    if kind == "RNN":
        return torch.tanh(a + b), c
    if kind == "LSTM":
        i, f, g, o = (a + b).chunk(gates, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    (x_r, x_z, x_n), (h_r, h_z, h_n) = a.chunk(gates, -1), b.chunk(gates, -1)
    z = torch.sigmoid(x_z + h_z)
    return (1 - z) * torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n) + z * h, c


def suite(kind: str, cell: bool, number: int) -> Callable[[], int]:
    """A function that runs `number` examples of a kind, and returns how many it ran."""
    make: Any = getattr(nn, f"{kind}Cell" if cell else kind)

    def run() -> int:
        count = 0

        @seed(0)
        @plain_settings(number)
        @given(st.data())
        def agrees(data: st.DataObject) -> None:
            nonlocal count
            count += 1
            inputs, hidden, batch, time = (data.draw(_SIZE) for _ in range(4))
            module = make(inputs, hidden)
            suffix, steps = ("", 1) if cell else ("_l0", time)
            with torch.no_grad():
                for p in module.parameters():
                    p.copy_(data.draw(st.composite(_arrays)(*p.shape)))
            x = data.draw(st.composite(_arrays)(steps, batch, inputs))
            h, c = (data.draw(st.composite(_arrays)(batch, hidden)) for _ in range(2))
            w = {n.removesuffix(suffix): p.detach().double() for n, p in module.named_parameters()}
            with torch.no_grad():
                if cell:
                    got = module(x[0], (h, c) if kind == "LSTM" else h)
                    got = got if kind == "LSTM" else (got,)
                else:
                    states = (h[None], c[None]) if kind == "LSTM" else h[None]
                    got = module(x, states)[0]
            outputs, hs, cs = [], h.double(), c.double()
            for t in range(steps):
                hs, cs = _step(kind, x[t].double(), hs, cs, w)
                outputs.append(hs)
            want = (hs, cs)[: len(got)] if cell else torch.stack(outputs)
            torch.testing.assert_close(got, want, check_dtype=False)

        agrees()
        return count

    return run
