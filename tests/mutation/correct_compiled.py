"""Correct subjects whose step is compiled by torch.compile."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .correct_registry import own


def _fill(module: nn.Module, gates: int, input_size: int, hidden_size: int, end: str = "") -> None:
    rows = gates * hidden_size
    for name, shape in (
        ("weight_ih", (rows, input_size)),
        ("weight_hh", (rows, hidden_size)),
        ("bias_ih", (rows,)),
        ("bias_hh", (rows,)),
    ):
        module.register_parameter(name + end, nn.Parameter(torch.empty(shape)))
    for p in module.parameters():
        nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5)


@torch.compile(backend="eager", dynamic=True)
def lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h′ and c′ from the pre-activations and c."""
    i, f, g, o = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@own("LSTMCell", "compiled-by-eager")
class CompiledLSTMCell(nn.Module):
    """The gates compiled with the backend eager; no first call under torch.func."""

    gatewise_unsupported = dict.fromkeys(
        (
            "func_grad",
            "func_vjp",
            "func_jvp_of_grad",
            "func_jacrev",
            "per_sample_gradients",
            "per_sample_gradients_without_a_state",
        ),
        "torch.compile may raise where it first compiles under torch.func",
    )

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 4, input_size, hidden_size)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        if hx is None:
            hx = (input.new_zeros(*input.shape[:-1], self.hidden_size),) * 2
        a = linear(input, self.weight_ih, self.bias_ih)
        h, c = lstm(a + linear(hx[0], self.weight_hh, self.bias_hh), hx[1])
        return h, c


@torch.compile(backend="aot_eager", dynamic=True)
def gru(x: Tensor, a: Tensor, h: Tensor) -> Tensor:
    """h′ from the input's share, the recurrent term and h."""
    (x_r, x_z, x_n), (a_r, a_z, a_n) = x.chunk(3, -1), a.chunk(3, -1)
    n = torch.tanh(x_n + torch.sigmoid(x_r + a_r) * a_n)
    return n + torch.sigmoid(x_z + a_z) * (h - n)


@own("GRU", "compiled-by-aot-eager")
class CompiledGRU(nn.Module):
    """The gates compiled with the backend aot_eager, in a loop in Python."""

    gatewise_unsupported = {
        "packed": "it takes tensors alone",
        "unbatched": "it takes inputs of three dimensions alone",
    }

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 3, input_size, hidden_size, "_l0")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = input.new_zeros(input.shape[1], self.hidden_size) if hx is None else hx[0]
        outputs = []
        for x in linear(input, self.weight_ih_l0, self.bias_ih_l0):
            h = gru(x, linear(h, self.weight_hh_l0, self.bias_hh_l0), h)
            outputs.append(h)
        return torch.stack(outputs), h.unsqueeze(0)
