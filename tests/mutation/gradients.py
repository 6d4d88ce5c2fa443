"""Mutants of the derivatives, whose forward results are right."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .gate_math import GRUS, LSTMS, State, gru, lstm
from .registry import CELLS, CLASSES, LAYERS, mutant, register, stepping, weights


class _Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


class _FirstOrderOnly(torch.autograd.Function):
    """tanh, whose backward is treated as constant: the second derivative is wrong."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        slope = (1 - y * y).detach()
        return grad * slope


class _DenseOnly(torch.autograd.Function):
    """The identity, whose gradient is read wrongly where it is not contiguous."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        if grad.is_contiguous():
            return grad
        return grad.contiguous() * 0.5


def gradient(name: str, models: str, classes: Any = CLASSES) -> Any:
    """Register a change of the weights that leaves their values alone."""
    return weights(name, models, classes, "gradients")


@gradient("weight-hh-off-by-1e-3", "a gradient in low precision")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 1 + 1e-3) if name.startswith("weight_hh") else w


@gradient("weight-ih-not-trained", "burn 5235: a weight that never learns")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 0.0) if name.startswith("weight_ih") else w


@gradient("bias-hh-gradient-dropped", "mxnet 17872: bias gradients zero")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 0.0) if name.startswith("bias_hh") else w


@gradient("bias-ih-gradient-doubled", "both biases' gradients summed into one")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 2.0) if name.startswith("bias_ih") else w


@gradient("upper-bias-gradient-dropped", "mxnet 17872: zero for layers above the first", LAYERS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 0.0) if name.startswith("bias") and "_l0" not in name else w


@gradient("reverse-weights-not-trained", "the reverse direction's recurrent weights", LAYERS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 0.0) if name.startswith("weight_hh") and "_rev" in name else w


@gradient("projection-not-trained", "the gradient of weight_hr dropped", ("LSTM",))
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _Scaled.apply(w, 0.0) if name.startswith("weight_hr") else w


class _OtherGate(torch.autograd.Function):
    """The identity of a bias, whose gradient is that of the gates in another order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: int) -> Tensor:
        ctx.gates = gates
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.cat(grad.chunk(ctx.gates)[::-1]), None


@gradient("another-gates-delta", "cuTAGI 77: another gate's delta for a bias", LSTMS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return _OtherGate.apply(w, 4) if name.startswith("bias") else w


def _detached_c(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, c=lambda i, f, g, c: f * c.detach() + i * g)


def _no_recurrent_gradient(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    h = _Scaled.apply(state[0], 0.0)
    if kind == "LSTM":
        return lstm(module, x, (h, state[1]), suffix)
    return gru(module, x, (h,), suffix)


def _constant_slope(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    if kind == "LSTM":
        return lstm(module, x, state, suffix, g=_FirstOrderOnly.apply)
    return gru(module, x, state, suffix, n=lambda x, r, h: _FirstOrderOnly.apply(x + r * h))


def _update_not_differentiated(
    kind: str, module: Any, x: Tensor, state: State, suffix: str
) -> State:
    return gru(module, x, state, suffix, h=lambda z, n, h: (1 - z.detach()) * n + z.detach() * h)


for _name, _models, _classes, _step in (
    ("cell-path-detached", "the gradient through c stops", LSTMS, _detached_c),
    ("recurrent-gradient-dropped", "AiDotNet 722: dH = 0", (*LSTMS, *GRUS), _no_recurrent_gradient),
    ("second-derivative-wrong", "torch 9229: double backward", (*LSTMS, *GRUS), _constant_slope),
    ("update-gate-detached", "z taken as constant", GRUS, _update_not_differentiated),
):
    for _like, _factory in stepping(_step, _classes):
        register(_name, _like, _factory, "gradients", _models)


@mutant("bptt-cut-after-8", "gradients", "truncated BPTT left on", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is not None or reverse or x.size(0) <= 8:
                return super()._direction(x, state, suffix, sizes, reverse)
            outputs = []
            for start in range(0, x.size(0), 8):
                state = tuple(s.detach() for s in state) if start else state
                part, state = super()._direction(x[start : start + 8], state, suffix, None, False)
                outputs.append(part)
            return torch.cat(outputs), state

    return Mutant


@mutant("h0-detached", "gradients", "torch 96416: the gradient of h0 missing")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is not None:
                hx = (hx[0].detach(), hx[1]) if isinstance(hx, tuple) else hx.detach()
            return super().forward(input, hx)

    return Mutant


@mutant("input-detached", "gradients", "axon 646: the input's gradient is wrong")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor):
                return super().forward(_Scaled.apply(input, 0.999), hx)
            return super().forward(input._replace(data=_Scaled.apply(input.data, 0.999)), hx)

    return Mutant


@mutant("final-state-detached", "gradients", "torch 96416: loss on h_n alone", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if isinstance(state, tuple):
                return output, (_Scaled.apply(state[0], 0.0), state[1])
            return output, _Scaled.apply(state, 0.0)

    return Mutant


@mutant("dense-upstream-only", "gradients", "torch 619: a non-contiguous upstream gradient")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if base.__name__.endswith("Cell"):
                if isinstance(result, tuple):
                    return _DenseOnly.apply(result[0]), result[1]
                return _DenseOnly.apply(result)
            output, state = result
            if isinstance(output, Tensor):
                output = _DenseOnly.apply(output)
            return output, state

    return Mutant


@mutant("gradients-overwritten", "gradients", ".grad replaced where it should be added to")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if torch.is_grad_enabled():
                for p in self.parameters():
                    p.grad = None
            return super().forward(input, hx)

    return Mutant


@mutant("frozen-weights-fail", "gradients", "torch 776: frozen weights")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if torch.is_grad_enabled():
                for p in self.parameters():
                    p.requires_grad_(True)
            return super().forward(input, hx)

    return Mutant


@mutant("in-place-step", "gradients", "torch/rl 1742: in-place operations break backward", CELLS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            h = result[0] if isinstance(result, tuple) else result
            a = torch.tanh(h)
            a.mul_(0)  # tanh's backward reads what is overwritten here
            h = h + a
            return (h, result[1]) if isinstance(result, tuple) else h

    return Mutant
