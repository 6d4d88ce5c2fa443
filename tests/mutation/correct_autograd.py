"""Correct subjects with a derivative of their own, or with TorchScript."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from gatewise.properties.precisions import WIDE

from .correct_registry import own

_BATCHES = {
    "packed": "it takes tensors alone",
    "unbatched": "it takes inputs of three dimensions alone",
}


def _fill(module: nn.Module, gates: int, input_size: int, hidden_size: int, end: str = "") -> None:
    edge = hidden_size**-0.5
    for name, *shape in (
        ("weight_ih", gates * hidden_size, input_size),
        ("weight_hh", gates * hidden_size, hidden_size),
        ("bias_ih", gates * hidden_size),
        ("bias_hh", gates * hidden_size),
    ):
        weight = nn.Parameter(torch.empty(*shape).uniform_(-edge, edge))
        module.register_parameter(name + end, weight)


class Gates(torch.autograd.Function):
    """(pre-activations, c) → (h, c′) of an LSTM; its backward can be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = a.chunk(4, dim=-1)
        new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(new), new

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs, output[1])
        ctx.save_for_forward(*inputs, output[1])

    @staticmethod
    def _slopes(a: Tensor, c: Tensor, new: Tensor) -> Any:
        i, f, g, o = a.chunk(4, dim=-1)
        i, f, g, o, t = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid(), new.tanh()
        slopes = g * i * (1 - i), c * f * (1 - f), i * (1 - g * g), t * o * (1 - o)
        return slopes, f, o * (1 - t * t)

    @staticmethod
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor, Tensor]:
        (d_i, d_f, d_g, d_o), f, d_t = Gates._slopes(*ctx.saved_tensors)
        grad_c = grad_c + grad_h * d_t
        parts = [grad_c * d_i, grad_c * d_f, grad_c * d_g, grad_h * d_o]
        return torch.cat(parts, dim=-1), grad_c * f

    @staticmethod
    def jvp(ctx: Any, a_t: Tensor, c_t: Tensor) -> tuple[Tensor, Tensor]:
        (d_i, d_f, d_g, d_o), f, d_t = Gates._slopes(*ctx.saved_tensors)
        i_t, f_t, g_t, o_t = a_t.chunk(4, dim=-1)
        new_t = c_t * f + i_t * d_i + f_t * d_f + g_t * d_g
        return new_t * d_t + o_t * d_o, new_t


@own("LSTMCell", "own-function", WIDE)
class FunctionLSTMCell(nn.Module):
    """The gates are one autograd.Function, with rules for vmap and forward mode."""

    gatewise_unsupported = {
        "onnx_torchscript_equals_reference": "without `symbolic`, torch's exporter orders the "
        "results of an autograd.Function by when they are computed"
    }

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 4, input_size, hidden_size)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        if hx is None:
            hx = (input.new_zeros(*input.shape[:-1], self.hidden_size),) * 2
        a = linear(input, self.weight_ih, self.bias_ih)
        h, c = Gates.apply(a + linear(hx[0], self.weight_hh, self.bias_hh), hx[1])
        return h, c


class Step(torch.autograd.Function):
    """One step of a tanh RNN with its products; its backward is once differentiable."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor) -> Tensor:
        new = torch.tanh(x @ w.t() + h @ u.t() + b)
        ctx.save_for_backward(x, h, w, u, new)
        return new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, h, w, u, new = ctx.saved_tensors
        a = grad * (1 - new**2)
        return a @ w, a @ u, a.t() @ x, a.t() @ h, a.sum(0)


@own("RNN", "once-differentiable-step", WIDE)
class StepRNN(nn.Module):
    """Each step is an autograd.Function without a second derivative, and without rules."""

    gatewise_unsupported = {
        **_BATCHES,
        "double_backward": "its backward is once differentiable",
        "functional_hvp": "its backward is once differentiable",
    }

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        if nonlinearity != "tanh":
            raise NotImplementedError("the step is that of tanh")
        super().__init__()
        _fill(self, 1, input_size, hidden_size, "_l0")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = input.new_zeros(input.size(1), len(self.weight_hh_l0)) if hx is None else hx[0]
        outputs, bias = [], self.bias_ih_l0 + self.bias_hh_l0
        for x in input:
            h = Step.apply(x, h, self.weight_ih_l0, self.weight_hh_l0, bias)
            outputs.append(h)
        return torch.stack(outputs), h[None].clone()


class Blend(torch.autograd.Function):
    """n + z∘(h − n), with a backward that can be differentiated again and no other rule."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, n: Tensor, h: Tensor) -> Tensor:
        ctx.save_for_backward(z, n, h)
        return n + z * (h - n)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, n, h = ctx.saved_tensors
        return grad * (h - n), grad * (1 - z), grad * z


@own("GRU", "blend-with-own-derivative", WIDE)
class BlendGRU(nn.Module):
    """The last equation is an autograd.Function."""

    gatewise_unsupported = _BATCHES

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 3, input_size, hidden_size, "_l0")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = input.new_zeros(input.size(1), self.hidden_size) if hx is None else hx.squeeze(0)
        outputs = []
        for x in linear(input, self.weight_ih_l0, self.bias_ih_l0):
            a = linear(h, self.weight_hh_l0, self.bias_hh_l0)
            (x_r, x_z, x_n), (a_r, a_z, a_n) = x.chunk(3, -1), a.chunk(3, -1)
            n = torch.tanh(x_n + torch.sigmoid(x_r + a_r) * a_n)
            h = Blend.apply(torch.sigmoid(x_z + a_z), n, h)
            outputs.append(h)
        return torch.stack(outputs), h.unsqueeze(0).clone()


_ONE_AUTOCAST = "TorchScript's backward pass keeps the dtype of the first autocast"
_SCRIPTED = {
    "autocast_trains": _ONE_AUTOCAST,
    "calls_under_autocast_may_come_before": _ONE_AUTOCAST,
}


@torch.jit.script
def scripted_step(x: Tensor, h: Tensor, c: Tensor, u: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    gates = x + torch.mm(h, u.t()) + b
    i, f, g, o = gates.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@own("LSTM", "scripted-step")
class ScriptedLSTM(nn.Module):
    """A step in TorchScript, in a loop in Python."""

    gatewise_unsupported = {**_BATCHES, **_SCRIPTED}

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        _fill(self, 4, input_size, hidden_size, "_l0")

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        zeros = input.new_zeros(input.shape[1], self.hidden_size)
        h, c = (zeros, zeros) if hx is None else (hx[0][0], hx[1][0])
        outputs = []
        for x in linear(input, self.weight_ih_l0, self.bias_ih_l0):
            h, c = scripted_step(x, h, c, self.weight_hh_l0, self.bias_hh_l0)
            outputs.append(h)
        return torch.stack(outputs), (h[None], c[None])


@torch.jit.script
def scripted_loop(x: Tensor, h: Tensor, u: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    outputs = torch.jit.annotate(list[Tensor], [])
    for t in range(x.size(0)):
        a = x[t] + torch.matmul(h, u.t())
        h = torch.relu(a) if relu else torch.tanh(a)
        outputs.append(h)
    return torch.stack(outputs), h


@own("RNN", "scripted-loop")
class ScriptedRNN(nn.Module):
    """The loop over time in TorchScript."""

    gatewise_unsupported = {"packed": "TorchScript's loop takes tensors alone", **_SCRIPTED}

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        super().__init__()
        self.hidden_size, self.relu = hidden_size, nonlinearity == "relu"
        _fill(self, 1, input_size, hidden_size, "_l0")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = linear(input, self.weight_ih_l0, self.bias_ih_l0) + self.bias_hh_l0
        h = torch.zeros_like(x[0]) if hx is None else hx[0]
        output, h = scripted_loop(x, h, self.weight_hh_l0, self.relu)
        return output, h.unsqueeze(0)
