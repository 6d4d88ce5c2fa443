"""Wrong subjects whose fault a diagnosis must name, beside the mutants; each is drop-in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gatewise import impl

from .gate_math import lstm
from .registry import reweighted, stepping


class CnDropped(impl.LSTM):
    """No gradient flows through c_n."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c.detach())


class _Recurrent(torch.autograd.Function):
    """h W_hhᵀ; the backward pass takes `held` for h, or a transposed W_hh, if they are given."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, w: Tensor, held: list[Tensor], transposed: bool) -> Tensor:
        ctx.held, ctx.transposed = held, transposed
        ctx.save_for_backward(h, w)
        return h @ w.t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        h, w = ctx.saved_tensors
        taken = ctx.held[0] if ctx.held else h
        return grad @ (w.t() if ctx.transposed else w), grad.t() @ taken, None, None


def _rnn_step(module: Any, x: Tensor, h: Tensor, weights: Any, new: bool) -> tuple[Tensor]:
    held: list[Tensor] = []
    a = x + _Recurrent.apply(h, weights["weight_hh"], held, not new)
    a = a + weights["bias_hh"] if "bias_hh" in weights else a
    y = torch.tanh(a) if module.nonlinearity == "tanh" else torch.relu(a)
    if new:
        held.append(y.detach())
    return (y,)


class WeightHhFromTheNewState(impl.RNN):
    """weight_hh's gradient uses h_t in place of h_(t−1)."""

    def _step(self, x: Tensor, state: Any, weights: Any) -> Any:
        return _rnn_step(self, x, state[0], weights, new=True)


class TransposedBackwards(impl.RNN):
    """The backward pass multiplies by W_hhᵀ where it should multiply by W_hh."""

    def _step(self, x: Tensor, state: Any, weights: Any) -> Any:
        return _rnn_step(self, x, state[0], weights, new=False)


class _FirstMask(torch.autograd.Function):
    """Dropout whose backward pass takes the mask of the first step for all steps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        mask = F.dropout(torch.ones_like(x), p, True)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (mask,) = ctx.saved_tensors
        return grad * mask[:1], None


class OneMaskBackwards(impl.GRU):
    """One mask for all steps in the backward pass."""

    def _drop(self, x: Tensor) -> Any:
        return _FirstMask.apply(x, self.dropout) if self.training and self.dropout else x


class NoGradientBelow(impl.GRU):
    """No gradient flows from a layer to the one below."""

    def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
        x = x if suffix.startswith("_l0") else x.detach()
        return super()._direction(x, state, suffix, sizes, reverse)


class ReverseInputDetached(impl.LSTM):
    """The gradient of the input is that of the forward direction alone."""

    def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
        return super()._direction(x.detach() if reverse else x, state, suffix, sizes, reverse)


class _Divided(torch.autograd.Function):
    """The identity, whose gradient is divided."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, by: int) -> Tensor:
        ctx.by = by
        return w.view_as(w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad / ctx.by, None


class _WithBatch(impl.LSTMCell):
    def forward(self, input: Tensor, hx: Any = None) -> Any:
        self.__dict__["rows"] = input.size(0) if input.dim() == 2 else 1
        return MEAN.forward(self, input, hx)


MEAN: Any = reweighted("LSTMCell", lambda name, w, module: _Divided.apply(w, module.rows))


class MeanOverTheBatch(_WithBatch):
    """The gradients of the weights are means over the batch, and not sums."""


#: An LSTM that cuts c to ±3 at every step.
((_, CAt3),) = stepping(
    lambda kind, module, x, state, suffix: lstm(
        module, x, state, suffix, c=lambda i, f, g, c: (f * c + i * g).clamp(-3, 3)
    ),
    ("LSTM",),
)


class _OneRow(torch.autograd.Function):
    """The identity, whose gradient is off in one row of the second gate."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        return w.view_as(w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        wrong = grad.clone()
        wrong[grad.size(0) // 4 + 2] += 1
        return wrong


#: An LSTM in which row 2 of the forget gate has a wrong gradient of weight_hh.
OneRow = reweighted(
    "LSTM", lambda name, w, module: _OneRow.apply(w) if name.startswith("weight_hh") else w
)
