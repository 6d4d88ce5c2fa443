"""Correct layers that treat states, time or weights in a way of their own."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .correct_registry import own

_BATCHES = {
    "packed": "it takes tensors alone",
    "unbatched": "it takes inputs of three dimensions alone",
}


def _fill(module: nn.Module, gates: int, input_size: int, hidden_size: int, ends: Any) -> None:
    """Give a module torch.nn's four weights for each end of their names."""
    for number, end in enumerate(ends):
        below = hidden_size if number else input_size
        module.register_parameter(
            f"weight_ih{end}", nn.Parameter(torch.empty(gates * hidden_size, below))
        )
        module.register_parameter(
            f"weight_hh{end}", nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        )
        for name in ("bias_ih", "bias_hh"):
            module.register_parameter(
                f"{name}{end}", nn.Parameter(torch.empty(gates * hidden_size))
            )
    for p in module.parameters():
        nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5)


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(x: Tensor, a: Tensor, h: Tensor) -> Tensor:
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    a_r, a_z, a_n = a.chunk(3, dim=-1)
    n = torch.tanh(x_n + torch.sigmoid(x_r + a_r) * a_n)
    return n + torch.sigmoid(x_z + a_z) * (h - n)


@own("LSTM", "digits-in-the-name")
class MyLSTM2(nn.Module):
    """A name with a digit, and a repr with the sizes behind it."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int, batch_first: bool = False) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.batch_first = input_size, hidden_size, batch_first
        _fill(self, 4, input_size, hidden_size, ["_l0"])

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return f"{text}, batch_first=True" if self.batch_first else text

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        axis = 1 if self.batch_first else 0
        if hx is None:
            h = c = input.new_zeros(input.shape[1 - axis], self.hidden_size)
        else:
            h, c = hx[0].squeeze(0), hx[1].squeeze(0)
        outputs = []
        for t in range(input.shape[axis]):
            gates = linear(input.select(axis, t), self.weight_ih_l0, self.bias_ih_l0)
            h, c = _lstm(gates + linear(h, self.weight_hh_l0, self.bias_hh_l0), c)
            outputs.append(h)
        return torch.stack(outputs, axis), (h.unsqueeze(0), c.unsqueeze(0))


@own("LSTM", "states-in-one-tensor")
class JoinedLSTM(nn.Module):
    """Carries h and c side by side in one tensor."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 4, input_size, hidden_size, ["_l0"])

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if hx is None:
            state = input.new_zeros(input.shape[1], 2 * self.hidden_size)
        else:
            state = torch.cat(tuple(hx), dim=-1)[0]
        states = []
        for x in input:
            h, c = state.chunk(2, dim=-1)
            gates = linear(x, self.weight_ih_l0, self.bias_ih_l0)
            new = _lstm(gates + linear(h, self.weight_hh_l0, self.bias_hh_l0), c)
            state = torch.cat(new, dim=-1)
            states.append(state)
        h, c = state.unsqueeze(0).chunk(2, dim=-1)
        return torch.stack(states)[..., : self.hidden_size], (h, c)


@own("GRU", "chunks-of-three-steps")
class ChunkedGRU(nn.Module):
    """Runs chunks of three steps, and carries the state from one to the next."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 3, input_size, hidden_size, ["_l0"])

    def _chunk(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for share in linear(x, self.weight_ih_l0, self.bias_ih_l0):
            h = _gru(share, linear(h, self.weight_hh_l0, self.bias_hh_l0), h)
            outputs.append(h)
        return torch.stack(outputs), h

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = input.new_zeros(input.size(1), self.hidden_size) if hx is None else hx[0]
        parts = []
        for chunk in input.split(3):
            part, h = self._chunk(chunk, h)
            parts.append(part)
        return torch.cat(parts), h.unsqueeze(0)


@own("GRU", "time-major-inside")
class TimeMajorGRU(nn.Module):
    """Time comes first inside, and batch_first transposes at both ends."""

    gatewise_unsupported = _BATCHES

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, batch_first: bool = False
    ) -> None:
        super().__init__()
        self.batch_first, self.depth, self.hidden_size = batch_first, num_layers, hidden_size
        _fill(self, 3, input_size, hidden_size, [f"_l{k}" for k in range(num_layers)])

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        seq = input.permute(1, 0, 2).contiguous() if self.batch_first else input
        states = []
        for k in range(self.depth):
            h = seq.new_zeros(seq.shape[1], self.hidden_size) if hx is None else hx[k]
            w, u = getattr(self, f"weight_ih_l{k}"), getattr(self, f"weight_hh_l{k}")
            b, d = getattr(self, f"bias_ih_l{k}"), getattr(self, f"bias_hh_l{k}")
            outs = []
            for x in torch.unbind(seq, dim=0):
                h = _gru(x @ w.T + b, h @ u.T + d, h)
                outs += [h]
            seq = torch.stack(outs, dim=0)
            states += [h]
        return seq.permute(1, 0, 2).contiguous() if self.batch_first else seq, torch.stack(states)


@own("LSTM", "one-buffer")
class BufferLSTM(nn.Module):
    """Joins all weights in one buffer at each call, and multiplies by its parts."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1) -> None:
        super().__init__()
        self.hidden_size, self.depth = hidden_size, num_layers
        _fill(self, 4, input_size, hidden_size, [f"_l{k}" for k in range(num_layers)])

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        held = [getattr(self, f"{n}_l{k}") for k in range(self.depth) for n in names]
        buffer = torch.cat([p.reshape(-1) for p in held])
        sizes = [p.numel() for p in held]
        parts = [part.view(p.shape) for part, p in zip(buffer.split(sizes), held, strict=True)]
        x, finals = input, []
        for k in range(self.depth):
            w, u, b, d = parts[4 * k : 4 * k + 4]
            zeros = x.new_zeros(x.shape[1], self.hidden_size)
            h, c = (zeros, zeros) if hx is None else (hx[0][k], hx[1][k])
            outputs = []
            for share in linear(x, w, b + d):
                h, c = _lstm(share + linear(h, u), c)
                outputs.append(h)
            x = torch.stack(outputs)
            finals.append((h, c))
        h, c = (torch.stack(state) for state in zip(*finals, strict=True))
        return x, (h, c)


@own("LSTM", "projected")
class ProjectedLSTM(nn.Module):
    """Has a projection where proj_size is given."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int, proj_size: int = 0) -> None:
        super().__init__()
        self.hidden_size, self.proj_size = hidden_size, proj_size
        width, edge = proj_size or hidden_size, hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, width))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        if proj_size:
            self.weight_hr_l0 = nn.Parameter(torch.empty(proj_size, hidden_size))
        for p in self.parameters():
            nn.init.uniform_(p, -edge, edge)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch = input.shape[1]
        if hx is None:
            h = input.new_zeros(1, batch, self.proj_size or self.hidden_size)
            hx = h, input.new_zeros(1, batch, self.hidden_size)
        h, c = hx[0][0], hx[1][0]
        outputs = []
        for x in input:
            gates = linear(x, self.weight_ih_l0, self.bias_ih_l0)
            h, c = _lstm(gates + linear(h, self.weight_hh_l0, self.bias_hh_l0), c)
            if self.proj_size:
                h = h @ self.weight_hr_l0.T
            outputs.append(h)
        return torch.stack(outputs), (h[None], c[None])


@own("LSTM", "zeros-at-first")
class ZeroLSTM(nn.Module):
    """Takes no initial state at all, and says so."""

    gatewise_unsupported = {**_BATCHES, "state": "it always starts from zeros"}

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 4, input_size, hidden_size, ["_l0"])

    def forward(self, input: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = c = input.new_zeros(input.shape[1], self.hidden_size)
        outputs = []
        for x in input.unbind():
            gates = torch.addmm(self.bias_ih_l0, x, self.weight_ih_l0.t())
            gates = gates + torch.addmm(self.bias_hh_l0, h, self.weight_hh_l0.t())
            h, c = _lstm(gates, c)
            outputs.append(h)
        return torch.stack(outputs), (h.unsqueeze(0), c.unsqueeze(0))


@own("GRU", "orthogonal-at-first")
class OrthogonalGRU(nn.Module):
    """Draws orthogonal initial weights and zero biases, and says that they are not torch.nn's."""

    gatewise_unsupported = {
        **_BATCHES,
        "initial_within_inverse_root_hidden": "recurrent weights begin orthogonal",
        "initial_weights_are_uniform": "recurrent weights begin orthogonal",
    }

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        _fill(self, 3, input_size, hidden_size, ["_l0"])
        for block in self.weight_hh_l0.detach().chunk(3):
            nn.init.orthogonal_(block)
        nn.init.zeros_(self.bias_ih_l0)
        nn.init.zeros_(self.bias_hh_l0)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = linear(input, self.weight_ih_l0, self.bias_ih_l0)
        if hx is None:
            hx = x.new_zeros(1, x.shape[1], self.weight_hh_l0.shape[1])
        outputs = [hx[0]]
        for share in x:
            a = linear(outputs[-1], self.weight_hh_l0, self.bias_hh_l0)
            outputs.append(_gru(share, a, outputs[-1]))
        return torch.stack(outputs[1:]), outputs[-1].unsqueeze(0).clone()
