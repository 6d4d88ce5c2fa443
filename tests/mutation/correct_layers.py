"""Correct layers as strangers write them: loops over time, each in another way."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from .correct_registry import own

_TENSORS = {"packed": "it takes tensors alone"}
_BATCHES = {**_TENSORS, "unbatched": "it takes inputs of three dimensions alone"}


def _weights(module: nn.Module, rows: int, sizes: tuple[int, int], bias: bool, end: str) -> None:
    """Give a module the weights of one layer and direction, drawn as torch.nn draws them."""
    edge = sizes[1] ** -0.5
    for name, size in zip(("weight_ih", "weight_hh"), sizes, strict=True):
        module.register_parameter(
            name + end, nn.Parameter(torch.empty(rows, size).uniform_(-edge, edge))
        )
    for name in ("bias_ih", "bias_hh") if bias else ():
        module.register_parameter(name + end, nn.Parameter(torch.empty(rows).uniform_(-edge, edge)))


@own("RNN", "getattr-with-default")
class GetattrRNN(nn.Module):
    """Reads each weight by getattr(self, name, None) in a loop over layers and time."""

    gatewise_unsupported = _BATCHES

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers, self.hidden_size, self.batch_first = num_layers, hidden_size, batch_first
        self.act = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]
        for k in range(num_layers):
            below = hidden_size if k else input_size
            _weights(self, hidden_size, (below, hidden_size), bias, f"_l{k}")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = input.transpose(0, 1) if self.batch_first else input
        if hx is None:
            hx = x.new_zeros(self.num_layers, x.size(1), self.hidden_size)
        last = []
        for k in range(self.num_layers):
            h, steps = hx[k], []
            for t in range(x.size(0)):
                w, u = getattr(self, f"weight_ih_l{k}"), getattr(self, f"weight_hh_l{k}")
                b, d = getattr(self, f"bias_ih_l{k}", None), getattr(self, f"bias_hh_l{k}", None)
                h = self.act(linear(x[t], w, b) + linear(h, u, d))
                steps.append(h)
            x = torch.stack(steps)
            last.append(h)
        return x.transpose(0, 1) if self.batch_first else x, torch.stack(last)


@own("LSTM", "reversed-by-flip")
class FlipLSTM(nn.Module):
    """Reverses time by torch.flip; every option of torch.nn but the projection."""

    gatewise_unsupported = _TENSORS

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers, self.hidden_size, self.batch_first = num_layers, hidden_size, batch_first
        self.dropout = dropout
        self.ends = ("", "_reverse") if bidirectional else ("",)
        for k in range(num_layers):
            width = len(self.ends) * hidden_size if k else input_size
            for end in self.ends:
                _weights(self, 4 * hidden_size, (width, hidden_size), bias, f"_l{k}{end}")

    def _sweep(self, x: Tensor, h: Tensor, c: Tensor, end: str) -> tuple[Tensor, Tensor, Tensor]:
        w, u = getattr(self, "weight_ih" + end), getattr(self, "weight_hh" + end)
        b, d = getattr(self, "bias_ih" + end, None), getattr(self, "bias_hh" + end, None)
        hs = []
        for x_t in x:
            i, f, g, o = (linear(x_t, w, b) + linear(h, u, d)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hs.append(h)
        return torch.stack(hs), h, c

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batched = input.dim() == 3
        x = input if batched else input.unsqueeze(1)
        x = x.transpose(0, 1) if batched and self.batch_first else x
        if hx is None:
            zeros = x.new_zeros(self.num_layers * len(self.ends), x.size(1), self.hidden_size)
            hx = zeros, zeros
        elif not batched:
            hx = hx[0].unsqueeze(1), hx[1].unsqueeze(1)
        finals: list[tuple[Tensor, Tensor]] = []
        for k in range(self.num_layers):
            if k:
                x = dropout(x, self.dropout, self.training)
            sides = []
            for end in self.ends:
                h, c = hx[0][len(finals)], hx[1][len(finals)]
                y, h, c = self._sweep(x.flip(0) if end else x, h, c, f"_l{k}{end}")
                sides.append(y.flip(0) if end else y)
                finals.append((h, c))
            x = torch.cat(sides, dim=-1)
        h, c = torch.stack([h for h, _ in finals]), torch.stack([c for _, c in finals])
        if not batched:
            return x.squeeze(1), (h.squeeze(1), c.squeeze(1))
        return x.transpose(0, 1) if self.batch_first else x, (h, c)


@own("GRU", "reversed-by-index")
class IndexGRU(nn.Module):
    """Hoists the input products out of the loop, and walks the reverse direction by index."""

    gatewise_unsupported = _BATCHES

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers, self.hidden_size = num_layers, hidden_size
        self.directions = 2 if bidirectional else 1
        for k in range(num_layers):
            for end in ("", "_reverse")[: self.directions]:
                below = self.directions * hidden_size if k else input_size
                _weights(self, 3 * hidden_size, (below, hidden_size), bias, f"_l{k}{end}")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, time = input, len(input)
        if hx is None:
            hx = x.new_zeros(self.num_layers * self.directions, x.shape[1], self.hidden_size)
        states = list(hx.unbind(0))
        for j in range(len(states)):
            k, backward = divmod(j, self.directions)
            if not backward:
                below, sides = x, []
            end = f"_l{k}_reverse" if backward else f"_l{k}"
            shares = linear(
                below, getattr(self, "weight_ih" + end), getattr(self, "bias_ih" + end, None)
            )
            outputs: list[Any] = [None] * time
            for t in range(time - 1, -1, -1) if backward else range(time):
                states[j] = outputs[t] = self._step(shares[t], states[j], end)
            sides.append(torch.stack(outputs))
            x = torch.cat(sides, -1)
        return x, torch.stack(states)

    def _step(self, x: Tensor, h: Tensor, end: str) -> Tensor:
        a = linear(h, getattr(self, "weight_hh" + end), getattr(self, "bias_hh" + end, None))
        (xr, xz, xn), (ar, az, an) = x.chunk(3, -1), a.chunk(3, -1)
        z = torch.sigmoid(xz + az)
        return (1 - z) * torch.tanh(xn + torch.sigmoid(xr + ar) * an) + z * h


@own("LSTM", "preallocated-outputs")
class PreallocatedLSTM(nn.Module):
    """Writes each step into a tensor of outputs that was made before the loop."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _weights(self, 4 * hidden_size, (input_size, hidden_size), bias, "_l0")
        self.bias = bias

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        time, batch, _ = input.shape
        output = torch.empty(time, batch, self.hidden_size, dtype=input.dtype, device=input.device)
        if hx is None:
            hx = (input.new_zeros(1, batch, self.hidden_size),) * 2
        h, c = hx[0][0], hx[1][0]
        for t in range(time):
            gates = input[t] @ self.weight_ih_l0.T + h @ self.weight_hh_l0.T
            if self.bias:
                gates = gates + self.bias_ih_l0 + self.bias_hh_l0
            i, f, g, o = gates.split(self.hidden_size, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            output[t] = h
        return output, (h.unsqueeze(0), c.unsqueeze(0))


class _StatelessCell(nn.Module):
    """A GRU's step, which receives its weights."""

    def forward(self, x: Tensor, h: Tensor, w: list[Any]) -> Tensor:
        x_r, x_z, x_n = linear(x, w[0], w[2]).chunk(3, -1)
        h_r, h_z, h_n = linear(h, w[1], w[3]).chunk(3, -1)
        n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        return n + torch.sigmoid(x_z + h_z) * (h - n)


@own("GRU", "list-of-cells")
class CellsGRU(nn.Module):
    """A ModuleList of cells, one a layer; the layer hands its own weights to them."""

    gatewise_unsupported = _BATCHES

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, batch_first: bool = False
    ) -> None:
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        self.cells = nn.ModuleList(_StatelessCell() for _ in range(num_layers))
        for k in range(num_layers):
            below = hidden_size if k else input_size
            _weights(self, 3 * hidden_size, (below, hidden_size), True, f"_l{k}")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        steps = input.unbind(1 if self.batch_first else 0)
        if hx is None:
            hx = steps[0].new_zeros(len(self.cells), len(steps[0]), self.hidden_size)
        hidden, outputs = list(hx), []
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [[getattr(self, f"{n}_l{k}") for n in names] for k in range(len(self.cells))]
        for x in steps:  # all layers of a step before the next step
            for k, cell in enumerate(self.cells):
                x = hidden[k] = cell(x, hidden[k], weights[k])
            outputs.append(x)
        return torch.stack(outputs, 1 if self.batch_first else 0), torch.stack(hidden)


@own("RNN", "batch-of-products")
class BmmRNN(nn.Module):
    """baddbmm with the weights expanded over the batch; outputs joined by torch.cat."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        super().__init__()
        if nonlinearity != "tanh":
            raise NotImplementedError("tanh alone")
        _weights(self, hidden_size, (input_size, hidden_size), True, "_l0")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        batch, size = input.size(1), self.bias_hh_l0.size(0)
        w = self.weight_ih_l0.t().expand(batch, -1, -1)
        u = self.weight_hh_l0.t().expand(batch, -1, -1)
        x = torch.baddbmm(self.bias_ih_l0.expand(batch, 1, size), input.transpose(0, 1), w)
        h = input.new_zeros(batch, 1, size) if hx is None else hx.transpose(0, 1)
        outputs = []
        for x_t in x.split(1, dim=1):
            h = torch.tanh(x_t + torch.baddbmm(self.bias_hh_l0.expand(batch, 1, size), h, u))
            outputs.append(h)
        return torch.cat(outputs, dim=1).transpose(0, 1), h.transpose(0, 1)


@own("GRU", "einsum-of-the-whole")
class EinsumGRU(nn.Module):
    """einsum over the whole sequence, with an axis of gates; the bias is no option."""

    gatewise_unsupported = {**_BATCHES, "bias": "it always has its biases"}

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _weights(self, 3 * hidden_size, (input_size, hidden_size), True, "_l0")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        w, u, b, d = (
            getattr(self, name).unflatten(0, (3, self.hidden_size))
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        )
        x = torch.einsum("tbi,ghi->gtbh", input, w) + b[:, None, None]
        h = torch.zeros_like(x[0, 0]) if hx is None else hx[0]
        outputs = []
        for t in range(input.shape[0]):
            a = torch.einsum("bk,ghk->gbh", h, u) + d[:, None]
            r, z = torch.sigmoid(x[0, t] + a[0]), torch.sigmoid(x[1, t] + a[1])
            n = torch.tanh(x[2, t] + r * a[2])
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs), h[None]
