"""A tutorial's cells, whose linear layers act on [x, h], and variants with one layer per gate.

`RNN`, `LSTMCell` and `GRUCell` have the tutorial's parameter names, so they can load checkpoints of
its code.  As in its code, one layer computes all gates.  The `Independent...` variants have one
layer for each gate, as its text says.  Differences from the tutorial: batches of any size,
states that default to zeros, and `cell_size` checked at construction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from .arguments import check_dtype, check_size, check_tensor, first_weight

Device = torch.device | str | None


class _ConcatCell(nn.Module):
    """Sizes, states and checks; `layers` names the linear layers on [x, h], each of width H."""

    layers: tuple[str, ...] = ("gate",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "output_size": output_size,
        }
        for name, value in sizes.items():
            check_size(name, value)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = output_size
        for name in self.layers:
            made = nn.Linear(input_size + hidden_size, hidden_size, device=device, dtype=dtype)
            self.add_module(name, made)
        self._add_output(device, dtype)

    def _add_output(self, device: Device, dtype: torch.dtype | None) -> None:
        self.output = nn.Linear(self.hidden_size, self.output_size, device=device, dtype=dtype)

    def extra_repr(self) -> str:
        """The sizes, in the order of the arguments."""
        return f"{self.input_size}, {self.hidden_size}, {self.output_size}"

    @property
    def _weight(self) -> Tensor:
        return first_weight(self, lambda: getattr(self, self.layers[0]).weight)

    def initHidden(self, batch: int = 1) -> Tensor:
        """A zero state (batch, hidden_size)."""
        check_size("batch", batch)
        return self._weight.new_zeros(batch, self.hidden_size)

    def _states(self, x: Tensor, **states: Tensor | None) -> list[Tensor]:
        """The states, zeros for None.  Raises `TypeError` or `ValueError` for a wrong argument."""
        name, weight = type(self).__name__, self._weight
        check_tensor(f"{name}: input", x)
        if x.dim() != 2 or x.size(1) != self.input_size:
            raise ValueError(
                f"{name}: input has shape {tuple(x.shape)}, expected (batch, {self.input_size})"
            )
        check_dtype(f"{name}: input", x, weight)
        shape = (x.size(0), self.hidden_size)
        found = []
        for label, state in states.items():
            if state is None:
                state = x.new_zeros(shape)
            check_tensor(f"{name}: {label}", state)
            if tuple(state.shape) != shape:
                raise ValueError(
                    f"{name}: {label} has shape {tuple(state.shape)}, expected {shape}"
                )
            check_dtype(f"{name}: {label}", state, weight)
            found.append(state)
        return found

    def _layer(self, name: str, u: Tensor) -> Tensor:
        result: Tensor = getattr(self, name)(u)
        return result

    def _log_probabilities(self, h: Tensor) -> Tensor:
        return log_softmax(self.output(h), dim=1)


class RNN(_ConcatCell):
    """h' = W_i2h [x, h] + b, without a nonlinearity, and y = log_softmax(W_i2o [x, h] + b).

    Input x (B, I), hidden (B, H); returns y (B, O) from the old h, and h'.  Raises `ValueError`
    or `TypeError` for a size, shape or dtype that does not fit.
    """

    layers = ("i2h",)

    def _add_output(self, device: Device, dtype: torch.dtype | None) -> None:
        width = self.input_size + self.hidden_size
        self.i2o = nn.Linear(width, self.output_size, device=device, dtype=dtype)

    def forward(self, input: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step."""
        (h,) = self._states(input, hidden=hidden)
        u = torch.cat((input, h), dim=1)
        return log_softmax(self.i2o(u), dim=1), self._layer("i2h", u)


class IndependentRNN(_ConcatCell):
    """h' = tanh(W [x, h] + b), y = log_softmax(W_out h' + b); shapes and errors as `RNN`."""

    layers = ("gate_h",)

    def forward(self, input: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step."""
        (h,) = self._states(input, hidden=hidden)
        h = torch.tanh(self._layer("gate_h", torch.cat((input, h), dim=1)))
        return self._log_probabilities(h), h


class _LSTM(_ConcatCell):
    """c' = f∘c + i∘g, h' = o∘tanh(c'); `gates` names the layer of each gate, in order i f g o."""

    gates = ("gate",) * 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell_size: int,
        output_size: int,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_size("hidden_size", hidden_size)
        check_size("cell_size", cell_size)
        if cell_size != hidden_size:
            raise ValueError(
                f"cell_size must equal hidden_size, since h' = o∘tanh(c'): got cell_size "
                f"{cell_size} and hidden_size {hidden_size}"
            )
        super().__init__(input_size, hidden_size, output_size, device, dtype)
        self.cell_size = cell_size

    def extra_repr(self) -> str:
        """The sizes, in the order of the arguments."""
        return f"{self.input_size}, {self.hidden_size}, {self.cell_size}, {self.output_size}"

    def initCell(self, batch: int = 1) -> Tensor:
        """A zero cell state (batch, cell_size)."""
        return self.initHidden(batch)

    def forward(
        self, input: Tensor, hidden: Tensor | None = None, cell: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step: x (B, I), h and c (B, H) → y (B, O), h', c'."""
        h, c = self._states(input, hidden=hidden, cell=cell)
        u = torch.cat((input, h), dim=1)
        products = {name: self._layer(name, u) for name in self.layers}
        i, f, g, o = (products[name] for name in self.gates)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return self._log_probabilities(h), h, c


class LSTMCell(_LSTM):
    """One layer `gate` for all gates: f = i = o = σ(a), g = tanh(a), a = W [x, h] + b.

    Raises `ValueError` if `cell_size` is not `hidden_size`; other errors as in `RNN`.
    """


class IndependentLSTMCell(_LSTM):
    """One layer for each gate: `gate_i`, `gate_f`, `gate_g`, `gate_o`; errors as `LSTMCell`."""

    layers = gates = ("gate_i", "gate_f", "gate_g", "gate_o")


class _GRU(_ConcatCell):
    """n = tanh(W [x, r∘h] + b), h' = (1−z)∘h + z∘n; `gates` names the layers, in order r z n."""

    gates = ("gate",) * 3

    def forward(self, input: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step: x (B, I), h (B, H) → y (B, O), h'."""
        (h,) = self._states(input, hidden=hidden)
        u = torch.cat((input, h), dim=1)
        r, z = (torch.sigmoid(self._layer(name, u)) for name in self.gates[:2])
        n = torch.tanh(self._layer(self.gates[2], torch.cat((input, r * h), dim=1)))
        h = (1 - z) * h + z * n
        return self._log_probabilities(h), h


class GRUCell(_GRU):
    """One layer `gate` for both gates and the candidate; errors as `RNN`."""


class IndependentGRUCell(_GRU):
    """One layer for each: `gate_r`, `gate_z`, `gate_n`; errors as `RNN`."""

    layers = gates = ("gate_r", "gate_z", "gate_n")
