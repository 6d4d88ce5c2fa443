"""Wrong subjects, each with one fault that implementations have had, and such as misbehave."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def _through_torch(module: nn.LSTM, change: Callable[[str, Tensor], Tensor], *args: Any) -> Any:
    """torch.nn.LSTM's forward with `change(name, weight)` in place of every weight."""
    plain = nn.LSTM(
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bias=module.bias,
        batch_first=module.batch_first,
        bidirectional=module.bidirectional,
        proj_size=module.proj_size,
        device="meta",
    )
    changed = {name: change(name, p) for name, p in module.named_parameters()}
    return torch.func.functional_call(plain, changed, args)


class SwappedGates(nn.LSTM):
    """The input and the forget gate swapped, as when another framework's weights are loaded."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        def swap(name: str, w: Tensor) -> Tensor:
            if name.startswith("weight_hr"):
                return w
            i, f, g, o = w.chunk(4)
            return torch.cat((f, i, g, o))

        return _through_torch(self, swap, input, hx)


class DroppedBias(nn.LSTM):
    """The second bias is never added."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        def drop(name: str, w: Tensor) -> Tensor:
            return torch.zeros_like(w) if name.startswith("bias_hh") else w

        return _through_torch(self, drop, input, hx)


class IgnoredState(nn.LSTM):
    """The initial hidden state is taken as zero."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, None if hx is None else (torch.zeros_like(hx[0]), hx[1]))


class MixedRows(nn.LSTM):
    """Each row of a dense batch reads a hundredth of its neighbour."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor) and input.dim() == 3:
            input = 0.99 * input + 0.01 * input.roll(1, 0 if self.batch_first else 1)
        return super().forward(input, hx)


class BatchMajor(nn.LSTM):
    """Takes a dense input as (B, T, I) whatever `batch_first` says, as a port from Keras does."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        dense = isinstance(input, Tensor) and input.dim() == 3
        self.batch_first, asked = dense or self.batch_first, self.batch_first
        try:
            return super().forward(input, hx)
        finally:
            self.batch_first = asked


class BatchFirstIgnored(nn.LSTM):
    """Accepts `batch_first`, and never looks at it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "batch_first": False})


class RaisesOnConstruction(nn.LSTM):
    """Refuses to be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no kernel for this machine")


class RaisesOnCall(nn.LSTM):
    """Refuses two layers, by an exception of its own."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if self.num_layers > 1:
            raise ZeroDivisionError("stacking is broken")
        return super().forward(input, hx)


class WithoutProjection(nn.LSTM):
    """States that it offers no projection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise NotImplementedError("proj_size is not offered")
        super().__init__(*args, **kwargs)


class KilledByReverse(nn.LSTM):
    """Ends its process where it is bidirectional, as a kernel with a bad pointer does."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if self.bidirectional:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().forward(input, hx)


class NotFinite(nn.LSTM):
    """Returns NaN throughout."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        if isinstance(output, Tensor):
            output = output * float("nan")
        return output, (h * float("nan"), c)


def make_long_short(input_size: int, hidden_size: int, **options: Any) -> nn.Module:
    """A factory whose name does not say its kind."""
    return nn.LSTM(input_size, hidden_size, **options)


class LSTMOfNoModule:
    """A class that is no module."""


AN_LSTM = nn.LSTM(1, 1)
