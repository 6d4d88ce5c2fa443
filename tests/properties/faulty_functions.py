"""Functions that pass values on, with one derivative or rule wrong or absent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class Identity(Function):
    """x, with every derivative right, and a batching rule that torch derives from them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        return None

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return t.clone()


class WrongByAThousandth(Identity):
    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * (1 + 1e-3)


class WrongOnceDifferentiated(Identity):
    """Wrong only where the backward pass is itself recorded."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * (1 + 1e-3) if torch.is_grad_enabled() else g


class WrongForward(Identity):
    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return t * (1 + 1e-3)


class WrongBatching(Identity):
    generate_vmap_rule = False

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: Tensor) -> tuple[Tensor, int | None]:
        return (x if in_dims[0] is None else x.flip(in_dims[0])), in_dims[0]


class NoJvp(Identity):
    jvp = Function.jvp


class NoBatching(Identity):
    generate_vmap_rule = False


class Once(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


class WrongTheSecondTime(Function):
    """Spoils what it saved, as a kernel that reuses a buffer does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.scale = torch.ones_like(x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        g = g * ctx.scale
        ctx.scale *= 1 + 1e-3
        return g


class WrongForStrides(Function):
    """Reads a gradient as if it were dense where its strides say otherwise."""

    expanded = False

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g if g.is_contiguous() or 0 in g.stride() else g.flip(-1).contiguous()


class WrongForExpanded(WrongForStrides):
    """Reads the one element or row of an expanded gradient, and zeros past it."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        if 0 not in g.stride():
            return g
        dense = torch.zeros_like(g, memory_format=torch.contiguous_format)
        dense.view(-1)[:1] = g.reshape(-1)[:1]
        return dense


class ConstantTanh(Identity):
    """tanh whose backward is treated as constant: right once, wrong when differentiated."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.slope = (1 - output * output).detach()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.slope

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return t * ctx.slope


class GatedTanh(Function):
    """o∘tanh(c), with a backward written by hand."""

    @staticmethod
    def forward(ctx: Any, o: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(o, c)
        return o * torch.tanh(c)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        o, c = ctx.saved_tensors
        t = torch.tanh(c)
        return g * t, g * o * (1 - t) * (1 + t)
