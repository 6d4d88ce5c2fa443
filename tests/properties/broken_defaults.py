"""Layers whose one fault is in the constructor, in their states or in one gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gatewise import impl


class BatchFirstLSTM(nn.LSTM):
    """batch_first is True by default."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, **options)


class SwappedPlacesGRU(nn.GRU):
    """bias and batch_first stand at each other's places."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = True,
        bias: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, **options)


class UnprojectedLSTM(nn.LSTM):
    """proj_size is accepted and ignored."""

    def __init__(self, *sizes: int, proj_size: int = 0, **options: Any) -> None:
        super().__init__(*sizes, **options)


class FirstStatesLSTM(impl.LSTM):
    """Every layer starts from the states of the first."""

    def _as_states(self, hx: Any) -> Any:
        states = super()._as_states(hx)
        return None if states is None else tuple(s[:1].expand_as(s) for s in states)


class CellStateDetachedLSTM(impl.LSTM):
    """The gradient of c_n is dropped."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c.detach())


class _AfterTheStep(torch.autograd.Function):
    """h W_hhᵀ, whose weight's gradient takes the state after the step for the one before it."""

    @staticmethod
    def forward(ctx: Any, h: Any, w: Any, later: Any) -> Any:
        ctx.save_for_backward(w, later)
        return h @ w.T

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (d,) = upstream
        w, later = ctx.saved_tensors
        return d @ w, d.T @ later, None


class NextStateRNN(impl.RNN):
    """The gradient of weight_hh uses h_t in place of h_{t−1}."""

    def _step(self, x: Any, state: Any, weights: dict[str, Any]) -> Any:
        (later,) = super()._step(x, state, weights)
        own = {**weights, "weight_hh": torch.zeros_like(weights["weight_hh"])}
        product = _AfterTheStep.apply(state[0], weights["weight_hh"], later.detach())
        return super()._step(x + product, state, own)
