"""Wrong subjects whose fault is in what a call keeps or draws, or in a compiled graph."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# ----------------------------------------------------------------------------- determinism


class KeepsState(nn.GRU):
    """Starts from a hundredth of the state in which the call before it ended."""

    kept: Tensor | None = None

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, h = super().forward(input, hx)
        if self.kept is not None and self.kept.shape == h.shape:
            h = h + 0.01 * self.kept
        self.kept = h.detach()
        return output, h


class DrawsInEval(nn.LSTM):
    """Draws a random number in every call in evaluation mode and does not use it."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if not self.training:
            torch.rand(1)
        return super().forward(input, hx)


class DropsByNumPy(nn.GRU):
    """Has NumPy's generator decide what its dropout drops."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if not (self.dropout and self.training):
            return super().forward(input, hx)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(np.random.randint(2**31))
            return super().forward(input, hx)


class KeepsGradient(nn.GRUCell):
    """Adds a thousandth of the gradient of its bias, where there is one, to its results."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        result = super().forward(input, hx)
        grad = self.weight_hh.grad
        return result if grad is None else result + 0.001 * grad[: self.hidden_size, 0]


class NoiseOfTheSeed(nn.GRUCell):
    """Adds noise that follows from the generator's state, and puts the state back."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            noise = torch.rand(input.shape[-1]).to(input)
        return super().forward(input * (1 + 1e-9 * noise), hx)


class SharedScratch(nn.GRUCell):
    """Keeps its input in the module between two parts of a call."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self.scratch = input
        time.sleep(0.001)
        return super().forward(self.scratch, hx)


class InitFromPython(nn.RNN):
    """Draws its initial weights by a seed from Python's generator."""

    def reset_parameters(self) -> None:
        edge = self.hidden_size**-0.5
        generator = torch.Generator().manual_seed(random.getrandbits(32))
        for p in self.parameters():
            nn.init.uniform_(p, -edge, edge, generator=generator)


# ----------------------------------------------------------------------------- compilation


class WrongWhenCompiled(nn.LSTMCell):
    """Scales its input by 1.01 in a compiled graph."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        return super().forward(1.01 * input if torch.compiler.is_compiling() else input, hx)


class UntrainedWhenCompiled(nn.GRUCell):
    """Detaches its recurrent bias in a compiled graph."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if not torch.compiler.is_compiling() or hx is None:
            return super().forward(input, hx)
        b = self.bias_hh
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, b if b is None else b.detach())
        batched = input.dim() == 2
        x, h = (input, hx) if batched else (input[None], hx[None])
        result = torch.gru_cell(x, h, *weights)
        return result if batched else result[0]


class WrongWhenTraced(nn.RNNCell):
    """Scales its input by 1.01 when torch.jit traces it."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return super().forward(1.01 * input if torch.jit.is_tracing() else input, hx)


class BreaksTheGraph(nn.RNNCell):
    """Has dynamo break the graph, which harms nothing."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        result = super().forward(input, hx)
        torch._dynamo.graph_break()
        return result


class ReversedInOnnx(nn.GRU):
    """Reverses time while an ONNX model is made of it."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if torch.onnx.is_in_onnx_export() and isinstance(input, Tensor):
            input = input.flip(1 if self.batch_first and input.dim() == 3 else 0)
        return super().forward(input, hx)
