"""Subjects with right values and one wrong derivative each, and two that are merely different."""

from __future__ import annotations

from typing import Any

import torch
from faulty_functions import (
    ConstantTanh,
    GatedTanh,
    NoBatching,
    NoJvp,
    Once,
    WrongBatching,
    WrongByAThousandth,
    WrongForExpanded,
    WrongForStrides,
    WrongForward,
    WrongOnceDifferentiated,
    WrongTheSecondTime,
)
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence

from gatewise import impl
from gatewise.impl.cells import gru_step, rnn_step

State = tuple[Tensor, ...]
Weights = dict[str, Tensor]


class Changed(nn.LSTM):
    """torch.nn.LSTM, called with weights, arguments and results that pass through a hook each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In a list, so that the module does not register it.
        self.plain = [nn.LSTM(*args, **{**kwargs, "device": "meta"})]

    def weight(self, name: str, w: Tensor) -> Tensor:
        return w

    def given(self, x: Any, hx: Any) -> tuple[Any, Any]:
        return x, hx

    def result(self, name: str, y: Tensor) -> Tensor:
        return y

    def forward(self, input: Any, hx: Any = None) -> Any:
        weights = {name: self.weight(name, w) for name, w in self.named_parameters()}
        args = self.given(input, hx)
        output, (h, c) = torch.func.functional_call(self.plain[0], weights, args)
        if isinstance(output, PackedSequence):
            output = output._replace(data=self.result("output", output.data))
        else:
            output = self.result("output", output)
        return output, (self.result("h_n", h), self.result("c_n", c))


def wrong_gradient_of(part: str) -> type[Changed]:
    """An LSTM whose gradient of one group of weights is off by a thousandth."""

    class Wrong(Changed):
        def weight(self, name: str, w: Tensor) -> Tensor:
            return WrongByAThousandth.apply(w) if part in name else w

    return Wrong


WrongWeightIh = wrong_gradient_of("weight_ih")
WrongWeightHh = wrong_gradient_of("weight_hh")
WrongBiasIh = wrong_gradient_of("bias_ih")
WrongWeightHr = wrong_gradient_of("weight_hr")


class DroppedBiasHh(Changed):
    def weight(self, name: str, w: Tensor) -> Tensor:
        return w.detach() if "bias_hh" in name else w


class WrongInput(Changed):
    def given(self, x: Any, hx: Any) -> tuple[Any, Any]:
        if isinstance(x, PackedSequence):
            return x._replace(data=WrongByAThousandth.apply(x.data)), hx
        return WrongByAThousandth.apply(x), hx


class DetachedPacked(Changed):
    def given(self, x: Any, hx: Any) -> tuple[Any, Any]:
        return (x._replace(data=x.data.detach()) if isinstance(x, PackedSequence) else x), hx


class DetachedH0(Changed):
    def given(self, x: Any, hx: Any) -> tuple[Any, Any]:
        return x, hx and (hx[0].detach(), hx[1])


class DetachedOutput(Changed):
    def result(self, name: str, y: Tensor) -> Tensor:
        return y.detach() if name == "output" else y


class DetachedHn(Changed):
    def result(self, name: str, y: Tensor) -> Tensor:
        return y.detach() if name == "h_n" else y


class DetachedCn(Changed):
    def result(self, name: str, y: Tensor) -> Tensor:
        return y.detach() if name == "c_n" else y


class OverwrittenGrad(Changed):
    """What a backward pass finds in `.grad` is thrown away."""

    def weight(self, name: str, w: Tensor) -> Tensor:
        passed = w.view_as(w)
        if passed.requires_grad:

            def overwrite(g: Tensor) -> None:
                w.grad = None

            passed.register_hook(overwrite)
        return passed


class SpoiltBuffer(Changed):
    def result(self, name: str, y: Tensor) -> Tensor:
        return WrongTheSecondTime.apply(y)


class WrongWhereFrozen(Changed):
    """With weight_hh frozen, nothing flows back through bias_ih either."""

    def weight(self, name: str, w: Tensor) -> Tensor:
        frozen = not getattr(self, name.replace("bias_ih", "weight_hh")).requires_grad
        return w.detach() if "bias_ih" in name and frozen else w


class DenseUpstreamOnly(Changed):
    def result(self, name: str, y: Tensor) -> Tensor:
        return WrongForStrides.apply(y)


class OwnUpstreamOnly(Changed):
    def result(self, name: str, y: Tensor) -> Tensor:
        return WrongForExpanded.apply(y)


class DetachedInEval(Changed):
    def weight(self, name: str, w: Tensor) -> Tensor:
        return w if self.training else w.detach()


class WrongUnderCreateGraph(Changed):
    def weight(self, name: str, w: Tensor) -> Tensor:
        return WrongOnceDifferentiated.apply(w)


class OwnWeights(Changed):
    """Computes with the weights that it was made with, whatever it is called with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made_with = [dict(self.named_parameters())]

    def weight(self, name: str, w: Tensor) -> Tensor:
        return self.made_with[0][name]


class DetachedCell(impl.LSTM):
    """Each step takes the cell state as a constant."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        return super()._step(x, (state[0], state[1].detach()), weights)


class CutAfterEightSteps(impl.LSTM):
    """Truncated BPTT: every eighth step starts from a constant state."""

    def _direction(self, x: Tensor, state: State, *args: Any) -> Any:
        self.t = 0
        return super()._direction(x, state, *args)

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        if self.t and self.t % 8 == 0:
            state = tuple(s.detach() for s in state)
        self.t += 1
        return super()._step(x, state, weights)


class ConstantBackward(impl.GRU):
    """The candidate's tanh is differentiated once only."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        x_r, x_z, x_n = x.chunk(3, dim=-1)
        h_r, h_z, h_n = linear(state[0], w, b).chunk(3, dim=-1)
        z, n = torch.sigmoid(x_z + h_z), ConstantTanh.apply(x_n + torch.sigmoid(x_r + h_r) * h_n)
        return ((1 - z) * n + z * state[0],)


class WrongJvp(impl.GRU):
    """Wrong by a thousandth in forward mode alone."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        return (WrongForward.apply(gru_step(x, state[0], w, b)),)


class WrongBatch(impl.GRU):
    """Under vmap the rows change places."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        return (gru_step(x, WrongBatching.apply(state[0]), w, b),)


class WrongTransforms(impl.GRU):
    """Wrong by a thousandth under torch.func alone, where autograd's engine is right."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        if torch._C._functorch.is_functorch_wrapped_tensor(w):
            w = WrongByAThousandth.apply(w)
        return (gru_step(x, state[0], w, b),)


class WithoutJvp(impl.GRU):
    """Right, and offers no forward mode."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        return (NoJvp.apply(super()._step(x, state, weights)[0]),)


class WithoutBatching(impl.GRU):
    """Right, and offers no batching rule."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        return (NoBatching.apply(super()._step(x, state, weights)[0]),)


class OnceDifferentiable(impl.GRU):
    """Right, and states that its backward pass cannot be differentiated."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        return (Once.apply(super()._step(x, state, weights)[0]),)


class RaisesUnderTransforms(impl.GRU):
    """Fails under torch.func by an error that states no lack."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            raise RuntimeError("the kernel is out of order")
        return super()._step(x, state, weights)


class OtherOrder(impl.GRU):
    """Right, with its parameters registered in the opposite order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in reversed([name for name, _ in self.named_parameters()]):
            parameter = getattr(self, name)
            delattr(self, name)
            self.register_parameter(name, parameter)


class ExtraAxis(impl.GRU):
    """Returns its last state with an axis more."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, h = super().forward(input, hx)
        return output, h[None]


class ClampedRNN(impl.RNN):
    """relu as clamp, whose slope at exactly 0 is 1."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        if self.nonlinearity == "relu":
            return (torch.clamp(x + linear(state[0], w, b), min=0),)
        return (rnn_step(x, state[0], w, b, self.nonlinearity),)


class OverflowingGates(impl.GRU):
    """σ by two branches of torch.where: the branch not taken overflows, and its gradient is NaN."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        x_r, x_z, x_n = x.chunk(3, dim=-1)
        h_r, h_z, h_n = linear(state[0], w, b).chunk(3, dim=-1)
        r, z = (
            torch.where(a >= 0, 1 / (1 + torch.exp(-a)), torch.exp(a) / (1 + torch.exp(a)))
            for a in (x_r + h_r, x_z + h_z)
        )
        n = torch.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * state[0],)


class Doubled(impl.LSTM):
    """Correct: computes in float64 and rounds its results, and so its gradients, once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain = [impl.LSTM(*args, **{**kwargs, "device": "meta"})]

    def forward(self, input: Any, hx: Any = None) -> Any:
        weights = {name: w.double() for name, w in self.named_parameters()}
        dtype = self.weight_ih_l0.dtype
        wide = hx and tuple(s.double() for s in hx)
        packed = isinstance(input, PackedSequence)
        x = input._replace(data=input.data.double()) if packed else input.double()
        output, (h, c) = torch.func.functional_call(self.plain[0], weights, (x, wide))
        output = output._replace(data=output.data.to(dtype)) if packed else output.to(dtype)
        return output, (h.to(dtype), c.to(dtype))


class HandWritten(impl.LSTM):
    """Correct: the output gate has its own backward, in another form than torch's."""

    def _step(self, x: Tensor, state: State, weights: Weights) -> State:
        w, b = weights["weight_hh"], weights.get("bias_hh")
        i, f, g, o = (x + linear(state[0], w, b)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        h = GatedTanh.apply(torch.sigmoid(o), c)
        w_hr = weights.get("weight_hr")
        return (h if w_hr is None else linear(h, w_hr)), c
