"""Mutants of the dropout between layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .registry import LAYERS, mutant


def dropping(name: str, models: str, drop: Any) -> None:
    """Register layers that drop by `drop(module, x, p, training)` between them."""

    def make(base: Any) -> type:
        class Mutant(base):
            def _drop(self, x: Tensor) -> Any:
                return drop(self, x, self.dropout, self.training)

        return Mutant

    mutant(name, "dropout", models, LAYERS)(make)


def _same(module: Any, x: Tensor, p: float, training: bool) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return F.dropout(x, p, training)


def _unscaled(module: Any, x: Tensor, p: float, training: bool) -> Tensor:
    return F.dropout(x, p, training) * (1 - p) if training else x


def _rows(module: Any, x: Tensor, p: float, training: bool) -> Tensor:
    """One mask for all units of a row."""
    return x * F.dropout(torch.ones_like(x[..., :1]), p, training)


class _UnmaskedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        return F.dropout(x, p, True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _OtherMaskBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        ctx.p = p
        return F.dropout(x, p, True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return F.dropout(grad, ctx.p, True), None


dropping(
    "drops-in-eval",
    "torch 173640: training and eval share a graph",
    lambda m, x, p, training: F.dropout(x, p, True),
)
dropping("never-drops", "dropout accepted and ignored", lambda m, x, p, training: x)
dropping("not-scaled", "chainer 2504: survivors not scaled by 1/(1−p)", _unscaled)
dropping("same-mask-every-call", "torch 185351: the same mask every call", _same)
dropping("one-mask-for-a-row", "the mask has one entry a row", _rows)
dropping(
    "rate-inverted",
    "p is taken for the rate that is kept",
    lambda m, x, p, training: F.dropout(x, 1 - p, training),
)
dropping(
    "rate-halved",
    "half of the rate is dropped",
    lambda m, x, p, training: F.dropout(x, p / 2, training),
)
dropping(
    "backward-not-masked",
    "torch 190056: backward ignores the mask",
    lambda m, x, p, training: _UnmaskedBackward.apply(x, p) if training else x,
)
dropping(
    "another-mask-in-backward",
    "a mask drawn anew in backward",
    lambda m, x, p, training: _OtherMaskBackward.apply(x, p) if training else x,
)
dropping(
    "all-dropped-is-nan",
    "torch 190057: dropout = 1 gives NaN",
    lambda m, x, p, training: (
        x * float("nan") if training and p == 1 else F.dropout(x, p, training)
    ),
)


@mutant("after-the-last-layer", "dropout", "chainer 2504: dropout after the last layer too", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            output, finals = super()._run(x, states, batch, sizes)
            return F.dropout(output, self.dropout, self.training), finals

    return Mutant


@mutant("on-the-input", "dropout", "chainer 2504: dropout before the first layer", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            if self.num_layers > 1:
                x = F.dropout(x, self.dropout, self.training)
            return super()._run(x, states, batch, sizes)

    return Mutant


@mutant("rate-kept-from-construction", "dropout", "a later change of p has no effect", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._rate = self.dropout

        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            stated, self.dropout = self.dropout, self._rate
            try:
                return super()._run(x, states, batch, sizes)
            finally:
                self.dropout = stated

    return Mutant
