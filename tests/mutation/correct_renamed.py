"""Correct subjects around a module of torch.nn, or with its names in the state_dict alone."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .correct_registry import own

_TENSORS = {"packed": "it takes tensors alone"}
_BATCHES = {**_TENSORS, "unbatched": "it takes inputs of three dimensions alone"}
_AS_INSIDE = {"per_sample_gradients_without_a_state": "torch.nn's zeros have no rule for vmap"}


@own("LSTM", "subclass-with-super-forward")
class ResettingLSTM(nn.LSTM):
    """A subclass that makes the states itself and calls super().forward."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if hx is None and isinstance(input, Tensor):
            directions = 2 if self.bidirectional else 1
            batch = input.shape[0 if self.batch_first else 1 : -1][:1] if input.dim() == 3 else ()
            shape = (self.num_layers * directions, *batch)
            h = input.new_zeros(*shape, self.proj_size or self.hidden_size)
            hx = h, input.new_zeros(*shape, self.hidden_size)
        return super().forward(input, hx)


@own("GRU", "wrapper-renames-the-state-dict")
class WrappedGRU(nn.Module):
    """Holds an nn.GRU; the state_dict has its weights without the name of the inner module."""

    gatewise_unsupported = _AS_INSIDE

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__()
        self.rnn = nn.GRU(input_size, hidden_size, **options)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.rnn.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        return self.rnn.load_state_dict(state_dict, *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self.rnn(input, hx)


@own("RNN", "wrapper-with-the-parameters")
class SharingRNN(nn.Module):
    """Takes over the parameters of an nn.RNN, and calls torch's function on them."""

    gatewise_unsupported = _TENSORS

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        given = input_size, hidden_size, num_layers, nonlinearity, bias
        inner = nn.RNN(*given, bidirectional=bidirectional)
        self.weights = []
        for name, p in inner.named_parameters():
            self.register_parameter(name, p)
            self.weights.append(name)
        self.setting = bias, num_layers, bidirectional
        self.rows, self.nonlinearity = num_layers * (1 + bidirectional), nonlinearity
        self.hidden_size = hidden_size

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if hx is None:
            hx = input.new_zeros(self.rows, *input.shape[1:-1], self.hidden_size)
        x, h = (input, hx) if input.dim() == 3 else (input.unsqueeze(1), hx.unsqueeze(1))
        function = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        bias, layers, both = self.setting
        weights = [getattr(self, name) for name in self.weights]
        output, h = function(x, h, weights, bias, layers, 0.0, self.training, both, False)
        return (output, h) if input.dim() == 3 else (output.squeeze(1), h.squeeze(1))


class _Cell(nn.Module):
    """An LSTM's step with names of its own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        edge, rows = hidden_size**-0.5, 4 * hidden_size
        self.W = nn.Parameter(torch.empty(rows, input_size).uniform_(-edge, edge))
        self.U = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-edge, edge))
        self.b = nn.Parameter(torch.empty(rows).uniform_(-edge, edge))
        self.d = nn.Parameter(torch.empty(rows).uniform_(-edge, edge))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (linear(x, self.W, self.b) + linear(h, self.U, self.d)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


@own("LSTM", "cells-renamed-in-the-state-dict")
class StackedLSTM(nn.Module):
    """A ModuleList of cells with weights; hooks give torch.nn's names to the state_dict."""

    gatewise_unsupported = _BATCHES
    names = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "d": "bias_hh"}

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [input_size] + [hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList(_Cell(width, hidden_size) for width in widths)
        self.drop, self.hidden_size = nn.Dropout(dropout), hidden_size

    def _names(self) -> dict[str, str]:
        found = {}
        for k in range(len(self.cells)):
            found.update({f"cells.{k}.{own}": f"{n}_l{k}" for own, n in self.names.items()})
        return found

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for own_name, name in self._names().items():
            p = self.get_parameter(own_name)
            destination[prefix + name] = p if keep_vars else p.detach()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        found = super().state_dict(*args, **kwargs)
        return {name: t for name, t in found.items() if "cells." not in name}

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        own_names = {name: own_name for own_name, name in self._names().items()}
        renamed = {own_names.get(name, name): t for name, t in state_dict.items()}
        return super().load_state_dict(renamed, *args, **kwargs)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        depth = len(self.cells)
        zeros = input.new_zeros(depth, input.shape[1], self.hidden_size)
        hs, cs = (list(s) for s in ((zeros, zeros) if hx is None else hx))
        x = input
        for k, cell in enumerate(self.cells):
            outputs = []
            for x_t in self.drop(x) if k else x:
                hs[k], cs[k] = cell(x_t, hs[k], cs[k])
                outputs.append(hs[k])
            x = torch.stack(outputs)
        return x, (torch.stack(hs), torch.stack(cs))


@own("RNNCell", "wrapped-cell-with-properties")
class DelegatingRNNCell(nn.Module):
    """A cell of torch.nn inside; the state_dict and attributes have torch.nn's names."""

    gatewise_unsupported = _AS_INSIDE

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__()
        self.inner = nn.RNNCell(input_size, hidden_size, **options)

    @property
    def weight_hh(self) -> Tensor:
        return self.inner.weight_hh

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        found = super().state_dict(*args, **kwargs)
        return {name.replace("inner.", ""): t for name, t in found.items()}

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        inner = {f"inner.{name}": t for name, t in state_dict.items()}
        return super().load_state_dict(inner, *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self.inner(input, hx)
