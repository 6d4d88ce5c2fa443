"""Correct layers that take a PackedSequence, or refuse one, in a way of their own."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .correct_registry import own


def _uniform(module: nn.Module, size: int) -> None:
    for p in module.parameters():
        nn.init.uniform_(p, -(size**-0.5), size**-0.5)


def _gru(x: Tensor, a: Tensor, h: Tensor) -> Tensor:
    (x_r, x_z, x_n), (a_r, a_z, a_n) = x.chunk(3, -1), a.chunk(3, -1)
    n = torch.tanh(x_n + torch.sigmoid(x_r + a_r) * a_n)
    z = torch.sigmoid(x_z + a_z)
    return (1 - z) * n + z * h


def _sorted(input: PackedSequence) -> tuple[Tensor, Tensor]:
    """The padded data, time first and the longest row first, and the lengths."""
    return pad_packed_sequence(PackedSequence(input.data, input.batch_sizes))


def _packed(output: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    data = pack_padded_sequence(output, lengths).data
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


@own("LSTM", "packed-by-masks")
class MaskedLSTM(nn.Module):
    """Pads a packed sequence and keeps each state by a mask; both directions."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, bidirectional: bool = False
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.ends = ["_l0", "_l0_reverse"] if bidirectional else ["_l0"]
        rows = 4 * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for end in self.ends:
            for name, shape in shapes.items():
                if bias or name.startswith("weight"):
                    self.register_parameter(name + end, nn.Parameter(torch.empty(shape)))
        _uniform(self, hidden_size)

    def _direction(self, x: Tensor, h: Tensor, c: Tensor, mask: Any, end: str) -> Any:
        w, b = getattr(self, "weight_ih" + end), getattr(self, "bias_ih" + end, None)
        u, d = getattr(self, "weight_hh" + end), getattr(self, "bias_hh" + end, None)
        outputs: list[Any] = [None] * len(x)
        order = reversed(range(len(x))) if end.endswith("reverse") else range(len(x))
        for t in order:
            gates = linear(x[t], w, b) + linear(h, u, d)
            i, f, g, o = gates.chunk(4, dim=-1)
            new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            new_h = torch.sigmoid(o) * torch.tanh(new_c)
            if mask is None:
                h, c = new_h, new_c
            else:
                h, c = torch.where(mask[t], new_h, h), torch.where(mask[t], new_c, c)
            outputs[t] = h
        return torch.stack(outputs), h, c

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        packed, mask, lengths = isinstance(input, PackedSequence), None, None
        x, batched = input, True
        if packed:
            x, lengths = _sorted(input)
            alive = torch.arange(len(x))[:, None] < lengths
            mask = alive.to(x.device).unsqueeze(-1)
        elif x.dim() == 2:
            x, batched = x.unsqueeze(1), False
            hx = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        if hx is None:
            hx = (x.new_zeros(len(self.ends), x.shape[1], self.hidden_size),) * 2
        elif packed and input.sorted_indices is not None:
            hx = tuple(s[:, input.sorted_indices] for s in hx)
        runs = [
            self._direction(x, hx[0][k], hx[1][k], mask, end) for k, end in enumerate(self.ends)
        ]
        output = torch.cat([run[0] for run in runs], dim=-1)
        h, c = torch.stack([run[1] for run in runs]), torch.stack([run[2] for run in runs])
        if packed:
            output = _packed(output, lengths, input)
            if input.unsorted_indices is not None:
                h, c = h[:, input.unsorted_indices], c[:, input.unsorted_indices]
        elif not batched:
            output, h, c = output.squeeze(1), h.squeeze(1), c.squeeze(1)
        return output, (h, c)


@own("RNN", "packed-by-padding")
class RepackedRNN(nn.Module):
    """Unpacks, loops over all steps, gathers each row's last state, and packs again."""

    gatewise_unsupported = {"unbatched": "it takes inputs of three dimensions, or packed ones"}

    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", bias: bool = True
    ) -> None:
        super().__init__()
        self.activation = torch.relu if nonlinearity == "relu" else torch.tanh
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size))
        for name in ("bias_ih_l0", "bias_hh_l0"):
            self.register_parameter(name, nn.Parameter(torch.empty(hidden_size)) if bias else None)
        _uniform(self, hidden_size)

    def _loop(self, x: Tensor, hx: Tensor | None) -> Tensor:
        h = x.new_zeros(x.shape[1], self.weight_hh_l0.shape[0]) if hx is None else hx[0]
        outputs = []
        for x_t in x:
            a = linear(x_t, self.weight_ih_l0, self.bias_ih_l0)
            h = self.activation(a + linear(h, self.weight_hh_l0, self.bias_hh_l0))
            outputs.append(h)
        return torch.stack(outputs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        if not isinstance(input, PackedSequence):
            output = self._loop(input, hx)
            return output, output[-1:].clone()
        x, lengths = _sorted(input)
        if hx is not None and input.sorted_indices is not None:
            hx = hx.index_select(1, input.sorted_indices)
        output = self._loop(x, hx)
        last = (lengths - 1).to(x.device).view(1, -1, 1).expand(1, -1, output.shape[2])
        h = output.gather(0, last)
        if input.unsorted_indices is not None:
            h = h.index_select(1, input.unsorted_indices)
        return _packed(output, lengths, input), h


@own("GRU", "packed-by-batch-sizes")
class BatchSizesGRU(nn.Module):
    """Walks the batch sizes of packed data, and makes dense data packed first."""

    gatewise_unsupported = {"unbatched": "it takes inputs of three dimensions, or packed ones"}

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, batch_first: bool = False
    ) -> None:
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.bias_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        _uniform(self, hidden_size)

    def _walk(self, data: Tensor, sizes: list[int], h: Tensor) -> tuple[Tensor, Tensor]:
        outputs, ended = [], []
        for x in linear(data, self.weight_ih_l0, self.bias_ih_l0).split(sizes):
            if len(x) < len(h):
                ended.append(h[len(x) :])
                h = h[: len(x)]
            h = _gru(x, linear(h, self.weight_hh_l0, self.bias_hh_l0), h)
            outputs.append(h)
        return torch.cat(outputs), torch.cat([h, *ended[::-1]])

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        if isinstance(input, PackedSequence):
            data, batch_sizes, order, back = input
            sizes = batch_sizes.tolist()
        else:
            time_major = input.transpose(0, 1) if self.batch_first else input
            data, order, back = time_major.flatten(0, 1), None, None
            sizes = [time_major.shape[1]] * time_major.shape[0]
        h = data.new_zeros(sizes[0], self.hidden_size) if hx is None else hx[0]
        output, h = self._walk(data, sizes, h if order is None or hx is None else h[order])
        h = (h if back is None else h[back]).unsqueeze(0)
        if isinstance(input, PackedSequence):
            return PackedSequence(output, batch_sizes, order, back), h
        output = output.unflatten(0, (len(sizes), sizes[0]))
        return output.transpose(0, 1) if self.batch_first else output, h


@own("GRU", "refuses-in-the-call")
class RefusingGRU(nn.Module):
    """Raises NotImplementedError in a call for packed and for unbatched inputs."""

    def __init__(self, input_size: int, hidden_size: int, batch_first: bool = False) -> None:
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size))
        _uniform(self, hidden_size)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if isinstance(input, PackedSequence):
            raise NotImplementedError("packed sequences are not supported")
        if input.dim() != 3:
            raise NotImplementedError(f"expected three dimensions, got {input.dim()}")
        x = input.transpose(0, 1) if self.batch_first else input
        h = x.new_zeros(x.size(1), self.hidden_size) if hx is None else hx[0]
        outputs = []
        for x_t in linear(x, self.weight_ih_l0, self.bias_ih_l0):
            h = _gru(x_t, linear(h, self.weight_hh_l0, self.bias_hh_l0), h)
            outputs.append(h)
        return torch.stack(outputs, dim=1 if self.batch_first else 0), h.unsqueeze(0)


@own("LSTM", "packed-row-by-row")
class RowsLSTM(nn.Module):
    """Takes a packed batch apart, runs each sequence alone, and packs the results."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.size = hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        for name in ("bias_ih_l0", "bias_hh_l0"):
            vector = nn.Parameter(torch.empty(4 * hidden_size)) if bias else None
            self.register_parameter(name, vector)
        _uniform(self, hidden_size)

    def _one(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The results for x (T, I) or (T, B, I), from h and c without the axis of time."""
        shares = torch.nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0)
        outputs = []
        for share in shares.unbind(0):
            gates = share + linear(h, self.weight_hh_l0, self.bias_hh_l0)
            i, f, g, o = gates.split(self.size, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), h, c

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        if not isinstance(input, PackedSequence):
            zeros = input.new_zeros(*input.shape[1:-1], self.size)
            h, c = (zeros, zeros) if hx is None else (hx[0][0], hx[1][0])
            output, h, c = self._one(input, h, c)
            return output, (h[None], c[None])
        rows, lengths = pad_packed_sequence(input, batch_first=True)
        zeros = rows.new_zeros(1, len(rows), self.size)
        h, c = (zeros, zeros) if hx is None else hx
        runs = [
            self._one(x[:n], h[0, b], c[0, b])
            for b, (x, n) in enumerate(zip(rows, lengths, strict=True))
        ]
        padded = nn.utils.rnn.pad_sequence([run[0] for run in runs])
        if input.sorted_indices is not None:
            padded, lengths = padded[:, input.sorted_indices], lengths[input.sorted_indices.cpu()]
        finals = tuple(torch.stack([run[k] for run in runs])[None] for k in (1, 2))
        return _packed(padded, lengths, input), finals
