"""Correct subjects, written differently: no property may be falsified by one of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise import impl
from gatewise.properties.precisions import PLAIN, WIDE
from gatewise.reference.classes import CLASSES, TORCH

from . import (
    correct_adapted,
    correct_autograd,
    correct_cells,
    correct_compiled,
    correct_gates,
    correct_layers,
    correct_numpy,
    correct_packed,
    correct_renamed,
    correct_settings,
    correct_states,
)
from .correct_registry import CORRECT as CORRECT  # all of them, those of the modules above as well
from .correct_registry import add
from .gate_math import State
from .registry import held, projected, recurrent, stepping

#: Importing them registers subjects that are written as a stranger writes them.
MODULES = (
    correct_adapted,
    correct_autograd,
    correct_cells,
    correct_compiled,
    correct_gates,
    correct_layers,
    correct_numpy,
    correct_packed,
    correct_renamed,
    correct_settings,
    correct_states,
)

# Those that sum in a form of their own are put in WIDE alone: such a sum is accumulated in storage,
# and the rows of 16-bit precisions state float32 accumulators.


def _halved(x: Tensor, w: Tensor) -> Tensor:
    """x Wᵀ as the sum of its even and its odd columns."""
    return x[..., ::2] @ w[:, ::2].T + x[..., 1::2] @ w[:, 1::2].T


def _reversed(x: Tensor, w: Tensor) -> Tensor:
    """x Wᵀ summed from the last column to the first, one at a time."""
    total = x[..., -1:] * w[:, -1]
    for k in range(w.shape[1] - 2, -1, -1):
        total = total + x[..., k : k + 1] * w[:, k]
    return total


def _einsum(x: Tensor, w: Tensor) -> Tensor:
    return torch.einsum("...i,oi->...o", x, w)


def _weights(module: Any, suffix: str) -> tuple[Tensor, Tensor | None]:
    bias = getattr(module, f"bias_hh{suffix}", None)
    return getattr(module, f"weight_hh{suffix}"), bias


def by(product: Any) -> Any:
    """A step whose recurrent product is `product(h, w)`, the bias added last."""

    def step(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
        w, b = _weights(module, suffix)
        a = product(state[0], w)
        return _finish(kind, module, x, a if b is None else a + b, state, suffix)

    return step


def _finish(
    kind: str, module: Any, x: Tensor, a: Tensor, state: State, suffix: str, blend: Any = None
) -> State:
    """The gates from the input's share and the recurrent term."""
    if kind == "RNN":
        f = torch.tanh if module.nonlinearity == "tanh" else torch.relu
        return (f(x + a),)
    if kind == "LSTM":
        i, f, g, o = (x + a).chunk(4, dim=-1)
        c = torch.addcmul(torch.sigmoid(f) * state[1], torch.sigmoid(i), torch.tanh(g))
        return projected(module, torch.sigmoid(o) * torch.tanh(c), suffix), c
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    a_r, a_z, a_n = a.chunk(3, dim=-1)
    r, z = torch.sigmoid(a_r + x_r), torch.sigmoid(a_z + x_z)
    n = torch.tanh(torch.addcmul(x_n, r, a_n))
    h = state[0]
    return ((blend or (lambda z, n, h: n + z * (h - n)))(z, n, h),)


def _one_minus(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = recurrent(module, state[0], suffix)
    return _finish(kind, module, x, a, state, suffix, lambda z, n, h: (1 - z) * n + z * h)


def _minus(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = recurrent(module, state[0], suffix)
    return _finish(kind, module, x, a, state, suffix, lambda z, n, h: h - (1 - z) * (h - n))


def _gate_by_gate(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    """A product for each gate."""
    w, b = _weights(module, suffix)
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    biases = [None] * gates if b is None else b.chunk(gates)
    parts = [linear(state[0], v, c) for v, c in zip(w.chunk(gates), biases, strict=True)]
    return _finish(kind, module, x, torch.cat(parts, dim=-1), state, suffix)


def _in_double(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    """A step in float64, rounded at its end."""
    w, b = _weights(module, suffix)
    a = linear(state[0].double(), w.double(), None if b is None else b.double())
    wide = tuple(s.double() for s in state)
    if kind == "LSTM" and hasattr(module, f"weight_hr{suffix}"):
        i, f, g, o = (x.double() + a).chunk(4, dim=-1)
        c = torch.sigmoid(f) * wide[1] + torch.sigmoid(i) * torch.tanh(g)
        h = linear(torch.sigmoid(o) * torch.tanh(c), getattr(module, f"weight_hr{suffix}").double())
        return h.to(x.dtype), c.to(x.dtype)
    return tuple(s.to(x.dtype) for s in _finish(kind, module, x.double(), a, wide, suffix))


class _Tanh(torch.autograd.Function):
    """tanh with its own backward, (1−y)(1+y), that can be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * ((1 - y) * (1 + y))

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return tangent * ((1 - y) * (1 + y))


def _own_backward(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = x + recurrent(module, state[0], suffix)
    return ((_Tanh.apply(a) if module.nonlinearity == "tanh" else torch.relu(a)),)


def _checking(layer: type) -> type:
    """A layer that refuses a weight of another shape and a tensor on another device.

    Else these products broadcast or cut the one, and compute nothing of the other on meta.  A cell
    calls this project's own first, whose checks it has.
    """

    class Checking(layer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._made = {n: tuple(w.shape) for n, w in held(self).items()}

        def forward(self, input: Any, hx: Any = None) -> Any:
            for name, shape in self._made.items():
                own = tuple(getattr(self, name).shape)
                if own != shape:
                    raise RuntimeError(f"{name} has shape {own}, expected {shape}")
            device = self.weight_ih_l0.device
            given = (input, *(hx if isinstance(hx, tuple) else (hx,)))
            for tensor in given:
                own = getattr(tensor, "device", device)
                if own != device:
                    raise RuntimeError(f"input or state on device {own}, weights on {device}")
            return super().forward(input, hx)

    return Checking


_EVERY = tuple(TORCH)
for _name, _step, _classes, _precisions in (
    ("columns-in-halves", by(_halved), _EVERY, WIDE),
    ("columns-from-the-last", by(_reversed), _EVERY, WIDE),
    ("einsum", by(_einsum), _EVERY, PLAIN),
    ("gate-by-gate", _gate_by_gate, _EVERY, PLAIN),
    ("step-in-double", _in_double, _EVERY, PLAIN),
    ("one-minus-z", _one_minus, ("GRU", "GRUCell"), PLAIN),
    ("h-minus", _minus, ("GRU", "GRUCell"), PLAIN),
    ("own-backward", _own_backward, ("RNN", "RNNCell"), WIDE),
):
    for _like, _factory in stepping(_step, _classes):
        _cell = CLASSES[_like].cell
        add(_name, _like, _factory if _cell else _checking(_factory), _precisions)


def _subclass(kind: str) -> type:
    return type(f"My{kind}", (getattr(nn, kind),), {})


for _like in TORCH:
    add("subclass-of-torch", _like, _subclass(_like))


class OneLayer(nn.LSTM):
    """Offers one layer, and says so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("num_layers", 1) != 1:
            raise NotImplementedError("one layer only")
        super().__init__(*args, **kwargs)


class ForwardsOnly(impl.GRU):
    """Offers one direction, and says so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("bidirectional"):
            raise NotImplementedError("one direction only")
        super().__init__(*args, **kwargs)


class StepByStep(impl.LSTM):
    """Forms the input product of each step on its own."""

    def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
        if sizes is not None:
            return super()._direction(x, state, suffix, sizes, reverse)
        steps = range(x.size(0))
        outputs: list[Any] = [None] * len(steps)
        for t in reversed(steps) if reverse else steps:
            (outputs[t],), state = super()._direction(x[t : t + 1], state, suffix, None, False)
        return torch.stack(outputs), state


class RowByRow(impl.RNNCell):
    """Computes each row of a batch on its own."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        whole = super().forward(input, hx)  # its checks
        if input.dim() == 1 or not input.size(0):
            return whole
        rows = [
            super(RowByRow, self).forward(x, None if hx is None else hx[b])
            for b, x in enumerate(input)
        ]
        return torch.stack(rows)


add("one-layer", "LSTM", OneLayer)
add("forwards-only", "GRU", ForwardsOnly)
add("step-by-step", "LSTM", StepByStep)
add("row-by-row", "RNNCell", RowByRow)
