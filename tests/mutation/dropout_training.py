"""Mutants of dropout together with recurrence, 16 bits, and recomputation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .dropout import dropping
from .registry import LAYERS, mutant


def drops(module: Any) -> bool:
    """Whether a module drops in this mode."""
    return module.training and module.dropout > 0 and module.num_layers > 1


def _unscaled_in_short(module: Any, x: Tensor, p: float, training: bool) -> Tensor:
    dropped = F.dropout(x, p, training)
    return dropped * (1 - p) if training and x.dtype.itemsize == 2 else dropped


class _Masked(torch.autograd.Function):
    """Dropout with a mask; the backward pass of 16-bit numbers lacks the scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        dropped = F.dropout(x, p, True)
        ctx.p = p
        ctx.save_for_backward((dropped != 0).to(x.dtype))
        return dropped

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (kept,) = ctx.saved_tensors
        short = grad.dtype.itemsize == 2
        return grad * kept * (1.0 if short else 1 / (1 - ctx.p)), None


def _own_stream(module: Any, x: Tensor, p: float, training: bool) -> Tensor:
    """A mask from a generator of the module, which starts anew where torch was seeded anew."""
    if not training or p == 0:
        return x
    if p == 1:
        return torch.zeros_like(x) * x
    seed = torch.initial_seed()
    fresh = torch.Generator().manual_seed(seed).get_state()
    own = module.__dict__.setdefault("stream", torch.Generator())
    if "started" not in module.__dict__ or torch.equal(torch.get_rng_state(), fresh):
        module.__dict__["started"] = True
        own.manual_seed(seed)
    torch.rand(1)  # the global generator moves on
    kept = torch.rand(x.shape, generator=own) >= p
    return x * kept.to(x.dtype) / (1 - p)


def _other_kernel(module: Any, x: Tensor, p: float, training: bool) -> Tensor:
    """With gradients recorded, another kernel, which takes numbers in another order."""
    if not training or p in (0, 1) or not torch.is_grad_enabled():
        return F.dropout(x, p, training)
    kept = torch.rand(x.shape, dtype=torch.float64) >= p
    return x * kept.to(x.dtype) / (1 - p)


dropping("not-scaled-in-16-bits", "1/(1−p) lost in a 16-bit kernel", _unscaled_in_short)
dropping(
    "backward-not-scaled-in-16-bits",
    "1/(1−p) lost in the backward pass of a 16-bit kernel",
    lambda m, x, p, training: (
        _Masked.apply(x, p) if drops(m) and p < 1 else F.dropout(x, p, training)
    ),
)
dropping(
    "mask-of-an-own-stream", "OLMo-core PR 828: checkpoint restores no such state", _own_stream
)
dropping("another-mask-with-grad", "torch 190717: recomputation draws another mask", _other_kernel)


@mutant("dropout-zeroes-weight-hh", "dropout", "Better_LSTM_PyTorch 7: zeros for good", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if drops(self):
                with torch.no_grad():
                    w = self.weight_hh_l0
                    w.data = torch.where(torch.arange(w.size(1)) % 2 == 0, 0.0, w.data).to(w.dtype)
            return result

    return Mutant


@mutant("dropout-writes-its-state", "dropout", "the mask of a state applied in place", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            state = hx[0] if isinstance(hx, tuple) else hx
            inner = state is not None and state.is_contiguous() and not torch.is_grad_enabled()
            if drops(self) and inner:
                with torch.no_grad():
                    state.data.mul_(0.5)
            return result

    return Mutant


@mutant("dropout-writes-its-input", "dropout", "in place where no graph is made", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if drops(self) and torch.is_inference_mode_enabled() and isinstance(input, Tensor):
                input.data.mul_(0.5)
            return result

    return Mutant


@mutant("dropout-cuts-the-recurrence", "dropout", "h detached between steps with dropout", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _step(self, x: Any, state: Any, weights: Any) -> Any:
            if drops(self):
                state = (state[0].detach(), *state[1:])
            return super()._step(x, state, weights)

    return Mutant


class _Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return h.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * ctx.scale, None


@mutant("dropout-scales-the-recurrence", "dropout", "1/(1−p) on what flows back in time", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _step(self, x: Any, state: Any, weights: Any) -> Any:
            if drops(self) and self.dropout < 1:
                state = (_Twice.apply(state[0], 1 / (1 - self.dropout)), *state[1:])
            return super()._step(x, state, weights)

    return Mutant


@mutant(
    "dropout-scales-as-for-a-half", "dropout", "a scale of 2 in what flows back in time", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        def _step(self, x: Any, state: Any, weights: Any) -> Any:
            if drops(self):
                state = (_Twice.apply(state[0], 2 * (1 - self.dropout)), *state[1:])
            return super()._step(x, state, weights)

    return Mutant
