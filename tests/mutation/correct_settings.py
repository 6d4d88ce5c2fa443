"""A correct subject whose module changes a setting of the process when it is imported."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .correct_registry import own

torch.set_float32_matmul_precision("high")


@own("LSTM", "setting-at-import")
class FastLSTM(nn.Module):
    """Allows TF32 for the process; on a CPU this changes no product."""

    gatewise_unsupported = {
        "packed": "it takes tensors alone",
        "unbatched": "it takes inputs of three dimensions alone",
    }

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        rows, edge = 4 * hidden_size, hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, input_size).uniform_(-edge, edge))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-edge, edge))
        if bias:
            self.bias_ih_l0 = nn.Parameter(torch.empty(rows).uniform_(-edge, edge))
            self.bias_hh_l0 = nn.Parameter(torch.empty(rows).uniform_(-edge, edge))
        self.bias = bias

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x = input @ self.weight_ih_l0.mT
        if self.bias:
            x = x + self.bias_ih_l0 + self.bias_hh_l0
        h, c = (None, None) if hx is None else (hx[0][0], hx[1][0])
        outputs = []
        for share in x:
            a = share if h is None else share + h @ self.weight_hh_l0.mT
            i, f, g, o = a.tensor_split(4, dim=-1)
            new = torch.sigmoid(i) * torch.tanh(g)
            c = new if c is None else torch.sigmoid(f) * c + new
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        assert h is not None
        assert c is not None
        return torch.stack(outputs), (h[None], c[None])
