"""Layers: `RNN`, `LSTM` and `GRU`, drop-in for torch.nn's.

One matmul computes the input products of all time steps of a layer; only the recurrent product is
in the loop.  A packed sequence is computed on its packed data, so there is no padding.

Differences from torch.nn 2.13:

- RNN and GRU reject `proj_size`, by keyword and by position;
- the dtype of each state is checked, as that of the input is;
- the repr shows `nonlinearity` if it is not tanh;
- each forward call reads each weight from the module once, and no call stores it.  So a deleted
  weight raises an error, and a parametrized weight is evaluated once.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence

from .arguments import check_dropout, check_dtype, check_nonlinearity, check_size, first_weight
from .cells import gru_step, lstm_step, rnn_step

State = tuple[Tensor, ...]
#: The weights of one layer and direction, by name without the suffix.
Weights = dict[str, Tensor]
Device = torch.device | str | None


class _Layers(nn.Module):
    """Stacked layers of one kind: weights, checks and the loop over layers and directions.

    A subclass defines `mode`, `gates` and `_step(x, state, weights)`.
    """

    mode: str
    gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        for name, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        check_size("input_size", input_size)
        check_size("hidden_size", hidden_size)
        check_size("num_layers", num_layers)
        check_size("proj_size", proj_size, least=0)
        if proj_size and self.mode != "LSTM":
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if proj_size >= hidden_size:
            raise ValueError(
                f"proj_size has to be smaller than hidden_size, got {proj_size} >= {hidden_size}"
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_names: list[list[str]] = []
        for index, suffix in enumerate(self._suffixes()):
            self._register(index, suffix, device, dtype)
        self.reset_parameters()

    @property
    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _suffixes(self) -> list[str]:
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def _register(self, index: int, suffix: str, device: Device, dtype: torch.dtype | None) -> None:
        directions = 2 if self.bidirectional else 1
        rows, width = self.gates * self.hidden_size, self._state_size
        below = self.input_size if index < directions else directions * width
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, below),
            "weight_hh": (rows, width),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            empty = torch.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name + suffix, nn.Parameter(empty))
        self._all_names.append([name + suffix for name in shapes])

    def reset_parameters(self) -> None:
        """Draw every weight from U(−1/√H, 1/√H)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: weights are read where they are.  Code for torch.nn may call this."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The weights of each layer and direction, in the order of torch.nn."""
        return [[getattr(self, name) for name in names] for names in self._all_names]

    def extra_repr(self) -> str:
        """The sizes, and the options that differ from their defaults, in the order of torch.nn."""
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
            "nonlinearity": "tanh",
        }
        for name, default in defaults.items():
            value = getattr(self, name, default)
            if value != default:
                text += f", {name}={value}"
        return text

    # ------------------------------------------------------------------ checks

    def _state_shapes(self, batch: int) -> dict[str, tuple[int, int, int]]:
        rows = len(self._all_names)
        shapes = {"hidden": (rows, batch, self._state_size)}
        if self.mode == "LSTM":  # not by `|`: the compiler of torch 2.2 fails on it
            shapes["cell"] = (rows, batch, self.hidden_size)
        return shapes

    @property
    def _weight(self) -> Tensor:
        return first_weight(self, lambda: getattr(self, self._all_names[0][0]))

    def _check_input(self, x: Tensor) -> None:
        if x.size(-1) != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {x.size(-1)}"
            )
        check_dtype(f"{self.mode}: input", x, self._weight)

    def _check_states(self, states: State, batch: int) -> None:
        for (name, expected), state in zip(self._state_shapes(batch).items(), states, strict=True):
            if tuple(state.shape) != expected:
                raise RuntimeError(f"Expected {name} size {expected}, got {list(state.shape)}")
            check_dtype(f"{self.mode}: {name} state", state, self._weight)

    def _as_states(self, hx: Any) -> State | None:
        """hx as a tuple of tensors.  Raises `TypeError` if hx has the wrong type."""
        if hx is None:
            return None
        if self.mode == "LSTM":
            if not isinstance(hx, tuple | list) or len(hx) != 2:
                raise TypeError(f"LSTM: hx should be a tuple (h_0, c_0), got: {type(hx).__name__}")
            return tuple(hx)
        if not isinstance(hx, Tensor):
            raise TypeError(f"{self.mode}: hx should be a Tensor, got: {type(hx).__name__}")
        return (hx,)

    # ------------------------------------------------------------------ forward

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Output and final state for a Tensor or a PackedSequence, shaped as torch.nn's.

        Raises `RuntimeError` or `ValueError` for an input or state of the wrong rank, size or
        dtype, and `TypeError` for a state of the wrong type.
        """
        states = self._as_states(hx)
        if isinstance(input, PackedSequence):
            return self._packed(input, states)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self.mode}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        batched = input.dim() == 3
        for state in states or ():
            if state.dim() != input.dim():
                kind = "batched 3-D" if batched else "unbatched 2-D"
                raise RuntimeError(
                    f"For {kind} input, hx should also be {input.dim()}-D "
                    f"but got {state.dim()}-D tensor"
                )
        self._check_input(input)
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        if not batched and states is not None:
            states = tuple(s.unsqueeze(1) for s in states)
        if x.size(0) == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        output, finals = self._run(x, states, x.size(1), None)
        if not batched:
            output, finals = output.squeeze(1), tuple(s.squeeze(1) for s in finals)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, finals if self.mode == "LSTM" else finals[0]

    def _packed(self, packed: PackedSequence, states: State | None) -> tuple[Any, Any]:
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        if data.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.dim()}")
        self._check_input(data)
        sizes: list[int] = batch_sizes.tolist()
        if states is not None:
            self._check_states(states, sizes[0])
            if sorted_indices is not None:
                states = tuple(s.index_select(1, sorted_indices) for s in states)
        output, finals = self._run(data, states, sizes[0], sizes)
        if unsorted_indices is not None:
            finals = tuple(s.index_select(1, unsorted_indices) for s in finals)
        result = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return result, finals if self.mode == "LSTM" else finals[0]

    def _run(
        self, x: Tensor, states: State | None, batch: int, sizes: list[int] | None
    ) -> tuple[Tensor, State]:
        """All layers over x (T, B, I), or over packed data (ΣB_t, I) with its batch sizes."""
        if states is None:
            shapes = self._state_shapes(batch).values()
            states = tuple(x.new_zeros(shape) for shape in shapes)
        else:
            self._check_states(states, batch)
        finals: list[State] = []
        halves: list[Tensor] = []
        for index, suffix in enumerate(self._suffixes()):
            start = tuple(s[index] for s in states)
            reverse = suffix.endswith("_reverse")
            half, final = self._direction(x, start, suffix, sizes, reverse)
            finals.append(final)
            halves.append(half)
            if self.bidirectional and not reverse:
                continue
            x = torch.cat(halves, dim=-1) if self.bidirectional else half
            halves = []
            if self.dropout and index + 1 < len(self._all_names):
                x = self._drop(x)
        return x, tuple(torch.stack(part) for part in zip(*finals, strict=True))

    def _drop(self, x: Tensor) -> Tensor:
        """Dropout on the output of a layer; the next layer reads the result."""
        return drop(x, self.dropout, self.training)

    def _direction(
        self, x: Tensor, state: State, suffix: str, sizes: list[int] | None, reverse: bool
    ) -> tuple[Tensor, State]:
        names = self._all_names[self._suffixes().index(suffix)]
        weights = {name.removesuffix(suffix): getattr(self, name) for name in names}
        shares = linear(x, weights["weight_ih"], weights.get("bias_ih"))
        steps = shares.unbind(0) if sizes is None else torch.split(shares, sizes)
        # Not range(n)[::-1]: the compiler of torch 2.4 fails on it.
        order = range(len(steps) - 1, -1, -1) if reverse else range(len(steps))
        outputs: list[Tensor] = [shares] * len(steps)
        whole = state  # in reverse, a row joins later, from its initial state
        ended: list[State] = []
        state = tuple(s[: steps[order[0]].size(0)] for s in whole)
        for t in order:
            rows, held = steps[t].size(0), state[0].size(0)
            if rows < held:
                ended.append(tuple(s[rows:] for s in state))
                state = tuple(s[:rows] for s in state)
            elif rows > held:
                state = tuple(
                    torch.cat((s, w[held:rows])) for s, w in zip(state, whole, strict=True)
                )
            state = self._step(steps[t], state, weights)
            outputs[t] = state[0]
        parts = [state, *reversed(ended)]
        state = tuple(torch.cat(p) for p in zip(*parts, strict=True)) if ended else state
        return (torch.stack(outputs) if sizes is None else torch.cat(outputs)), state

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        raise NotImplementedError


class RNN(_Layers):
    """An Elman RNN; see `torch.nn.RNN` for arguments, shapes and weights.

    `nonlinearity` is 'tanh' or 'relu', by keyword or fourth, as in torch.nn.
    """

    mode, gates = "RNN", 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > 3:
            nonlinearity, args = args[3], (*args[:3], *args[4:])
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        check_nonlinearity(nonlinearity)
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(*args, **kwargs)
        self.nonlinearity = nonlinearity

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        return (rnn_step(x, state[0], w, b, self.nonlinearity),)


class LSTM(_Layers):
    """An LSTM, with projection where `proj_size` > 0; see `torch.nn.LSTM`."""

    mode, gates = "LSTM", 4

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        h, c = state
        return lstm_step(x, h, c, w, b, weights.get("weight_hr"))


class GRU(_Layers):
    """A GRU in torch's form; see `torch.nn.GRU`."""

    mode, gates = "GRU", 3

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(*args, **kwargs)

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        return (gru_step(x, state[0], w, b),)
