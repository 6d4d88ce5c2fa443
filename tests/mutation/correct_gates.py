"""Correct subjects whose σ or tanh is written in another form than torch's.

None but those by expm1 has relative accuracy where a gate is small, and each states so.  A form of
several operations computes them in float32 where its input has fewer digits, as kernels do.
"""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .correct_registry import own

Form = Callable[[Tensor], Tensor]

_RELATIVE = {"small_gates_keep_relative_accuracy": "a sigma of a few units of the last place of 1"}


def _in_float32(form: Form) -> Form:
    @wraps(form)
    def computed(x: Tensor) -> Tensor:
        return form(x.float()).to(x.dtype) if x.dtype.itemsize == 2 else form(x)

    return computed


@_in_float32
def sigmoid_by_tanh(x: Tensor) -> Tensor:
    """½(1 + tanh(x/2)), as XLA computes it."""
    return 0.5 * (1 + torch.tanh(0.5 * x))


@_in_float32
def sigmoid_mirrored(x: Tensor) -> Tensor:
    """1 − σ(−x)."""
    return 1 - torch.sigmoid(-x)


def sigmoid_clamped(x: Tensor) -> Tensor:
    """σ with its argument clamped at ±18, as ONNX Runtime has it; for 24 digits or fewer."""
    return torch.sigmoid(x.clamp(-18, 18))


@_in_float32
def tanh_by_sigmoid(x: Tensor) -> Tensor:
    """2σ(2x) − 1."""
    return 2 * torch.sigmoid(2 * x) - 1


@_in_float32
def tanh_mirrored(x: Tensor) -> Tensor:
    """1 − 2/(1 + e²ˣ)."""
    return 1 - 2 / (1 + torch.exp((2 * x).clamp(max=80)))


@_in_float32
def tanh_by_expm1(x: Tensor) -> Tensor:
    """m/(m+2) with m = e²ˣ − 1; from x = 20 on it is 1 in float64 as well."""
    m = torch.expm1(2 * x.clamp(max=20))
    return m / (m + 2)


class _Cell(nn.Module):
    """A cell's weights, a row of blocks for its gates."""

    def __init__(self, gates: int, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        for name in ("bias_ih", "bias_hh"):
            value = nn.Parameter(torch.empty(gates * hidden_size)) if bias else None
            self.register_parameter(name, value)
        for p in self.parameters():
            nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5)

    def products(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return linear(x, self.weight_ih, self.bias_ih), linear(h, self.weight_hh, self.bias_hh)

    def zeros(self, x: Tensor) -> Tensor:
        return x.new_zeros(*x.shape[:-1], self.hidden_size)


class _LSTMCell(_Cell):
    sigmoid: Form = staticmethod(torch.sigmoid)
    tanh: Form = staticmethod(torch.tanh)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(4, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        h, c = (self.zeros(input), self.zeros(input)) if hx is None else hx
        a, b = self.products(input, h)
        i, f, g, o = (a + b).chunk(4, -1)
        c = self.sigmoid(f) * c + self.sigmoid(i) * self.tanh(g)
        return self.sigmoid(o) * self.tanh(c), c


class _GRUCell(_Cell):
    sigmoid: Form = staticmethod(torch.sigmoid)
    tanh: Form = staticmethod(torch.tanh)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(3, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        h = self.zeros(input) if hx is None else hx
        a, b = self.products(input, h)
        x_r, x_z, x_n = a.chunk(3, -1)
        h_r, h_z, h_n = b.chunk(3, -1)
        n = self.tanh(x_n + self.sigmoid(x_r + h_r) * h_n)
        z = self.sigmoid(x_z + h_z)
        return (1 - z) * n + z * h


@own("LSTMCell", "sigma-by-tanh")
class TanhLSTMCell(_LSTMCell):
    gatewise_unsupported = _RELATIVE
    sigmoid = staticmethod(sigmoid_by_tanh)


@own("GRUCell", "sigma-by-tanh")
class TanhGRUCell(_GRUCell):
    gatewise_unsupported = _RELATIVE
    sigmoid = staticmethod(sigmoid_by_tanh)


@own("GRUCell", "sigma-mirrored")
class MirroredGRUCell(_GRUCell):
    gatewise_unsupported = _RELATIVE
    sigmoid = staticmethod(sigmoid_mirrored)
    tanh = staticmethod(tanh_mirrored)


@own("LSTMCell", "sigma-clamped-at-18", ("float32", "float16", "bfloat16"))
class ClampedLSTMCell(_LSTMCell):
    gatewise_unsupported = {**_RELATIVE, "float64": "18 is for the digits of float32"}
    sigmoid = staticmethod(sigmoid_clamped)


@own("LSTMCell", "tanh-by-sigma")
class SigmoidLSTMCell(_LSTMCell):
    gatewise_unsupported = _RELATIVE
    tanh = staticmethod(tanh_by_sigmoid)


@own("GRUCell", "tanh-by-sigma")
class SigmoidGRUCell(_GRUCell):
    gatewise_unsupported = _RELATIVE
    tanh = staticmethod(tanh_by_sigmoid)


@own("LSTMCell", "tanh-by-expm1")
class Expm1LSTMCell(_LSTMCell):
    tanh = staticmethod(tanh_by_expm1)


@own("LSTM", "one-sigma-for-all-gates")
class FusedLSTM(nn.Module):
    """One σ for all four gates, with the rows of g doubled, and tanh by the same σ by tanh."""

    gatewise_unsupported = {**_RELATIVE, "packed": "it takes tensors alone"}

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, batch_first: bool = False
    ) -> None:
        super().__init__()
        self.num_layers, self.hidden_size, self.batch_first = num_layers, hidden_size, batch_first
        rows = 4 * hidden_size
        for k in range(num_layers):
            below = hidden_size if k else input_size
            shapes = {
                "weight_ih": (rows, below),
                "weight_hh": (rows, hidden_size),
                "bias_ih": (rows,),
                "bias_hh": (rows,),
            }
            for name, shape in shapes.items():
                value = torch.empty(*shape).uniform_(-(hidden_size**-0.5), hidden_size**-0.5)
                self.register_parameter(f"{name}_l{k}", nn.Parameter(value))

    def _step(self, k: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a = linear(x, getattr(self, f"weight_ih_l{k}"), getattr(self, f"bias_ih_l{k}"))
        a = a + linear(h, getattr(self, f"weight_hh_l{k}"), getattr(self, f"bias_hh_l{k}"))
        i, f, g, o = _fused(a, self.hidden_size).chunk(4, -1)
        c = f * c + i * g
        return o * tanh_by_sigmoid(c), c

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x = input.transpose(0, 1) if self.batch_first and input.dim() == 3 else input
        if hx is None:
            zeros = x.new_zeros(self.num_layers, *x.shape[1:-1], self.hidden_size)
            hx = zeros, zeros
        finals = []
        for k in range(self.num_layers):
            h, c, steps = hx[0][k], hx[1][k], []
            for x_t in x:
                h, c = self._step(k, x_t, h, c)
                steps.append(h)
            x = torch.stack(steps)
            finals.append((h, c))
        out = x.transpose(0, 1) if self.batch_first and input.dim() == 3 else x
        return out, (torch.stack([h for h, _ in finals]), torch.stack([c for _, c in finals]))


def _fused(a: Tensor, size: int) -> Tensor:
    """σ of the blocks i, f, o and 2σ(2a)−1 of the block g, by one call of σ."""
    wide = a.float() if a.dtype.itemsize == 2 else a
    factor = torch.ones_like(wide)
    factor[..., 2 * size : 3 * size] = 2
    s = torch.sigmoid(wide * factor)
    return (s * factor - (factor - 1)).to(a.dtype)
