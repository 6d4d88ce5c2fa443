"""Correct cells as strangers write them: their own nn.Module and another way to form the gates."""

# The documentation writes `gatewise_unsupported = {…}` in a class.
# ruff: noqa: RUF012
from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.properties.precisions import WIDE

from .correct_registry import own


class _Weights(nn.Module):
    """Holds a cell's weights under torch's names, and nothing else."""

    def __init__(self, gates: int, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_ih = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        for name in ("bias_ih", "bias_hh"):
            vector = nn.Parameter(torch.empty(gates * hidden_size)) if bias else None
            self.register_parameter(name, vector)
        for p in self.parameters():
            nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5)


@own("GRUCell", "addmm-addcmul")
class AddmmGRUCell(_Weights):
    """Adds each bias by addmm, and forms candidate and new state by addcmul."""

    gatewise_unsupported = {"unbatched": "torch.addmm takes matrices"}

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(3, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if hx is None:
            hx = input.new_zeros(len(input), self.hidden_size)
        if self.bias_ih is None:
            x, a = torch.mm(input, self.weight_ih.t()), torch.mm(hx, self.weight_hh.t())
        else:
            x = torch.addmm(self.bias_ih, input, self.weight_ih.t())
            a = torch.addmm(self.bias_hh, hx, self.weight_hh.t())
        x_r, x_z, x_n = x.chunk(3, 1)
        a_r, a_z, a_n = a.chunk(3, 1)
        r, z = (x_r + a_r).sigmoid(), (x_z + a_z).sigmoid()
        n = torch.addcmul(x_n, r, a_n).tanh()
        return torch.addcmul(n, z, hx - n)


@own("GRUCell", "lerp")
class LerpGRUCell(_Weights):
    """Goes from the candidate to the old state by torch.lerp."""

    gatewise_unsupported = {
        "autocast_stays_within_the_low_bound": "torch.lerp takes tensors of one dtype",
        "autocast_trains": "torch.lerp takes tensors of one dtype",
        "calls_under_autocast_may_come_before": "torch.lerp takes tensors of one dtype",
    }

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(3, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        h = input.new_zeros(*input.shape[:-1], self.hidden_size) if hx is None else hx
        x_r, x_z, x_n = linear(input, self.weight_ih, self.bias_ih).chunk(3, -1)
        h_r, h_z, h_n = linear(h, self.weight_hh, self.bias_hh).chunk(3, -1)
        n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        return torch.lerp(n, h, torch.sigmoid(x_z + h_z))


@own("GRUCell", "split-two-and-one")
class SplitGRUCell(_Weights):
    """Applies sigma to reset and update in one piece, by split([2H, H])."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(3, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        sizes = [2 * self.hidden_size, self.hidden_size]
        x_gates, x_new = linear(input, self.weight_ih, self.bias_ih).split(sizes, dim=-1)
        if hx is None:
            hx = torch.zeros_like(x_new)
        h_gates, h_new = linear(hx, self.weight_hh, self.bias_hh).split(sizes, dim=-1)
        reset, update = torch.sigmoid(x_gates + h_gates).chunk(2, dim=-1)
        new = torch.tanh(x_new + reset * h_new)
        return (1 - update) * new + update * hx


@own("GRUCell", "dict-of-weights")
class FunctionalGRUCell(_Weights):
    """Calls a pure function with a dict of the weights."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(3, input_size, hidden_size, bias)
        self.names = [name for name, _ in self.named_parameters()]

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        h = input.new_zeros(*input.shape[:-1], self.hidden_size) if hx is None else hx
        return gru({name: getattr(self, name) for name in self.names}, input, h)


def gru(p: dict[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
    """One step of a GRU, a slice for each gate."""
    size = h.shape[-1]

    def gate(k: int, end: str, v: Tensor) -> Tensor:
        rows = slice(k * size, (k + 1) * size)
        out = v @ p[f"weight_{end}"][rows].T
        return out + p[f"bias_{end}"][rows] if f"bias_{end}" in p else out

    r = torch.sigmoid(gate(0, "ih", x) + gate(0, "hh", h))
    z = torch.sigmoid(gate(1, "ih", x) + gate(1, "hh", h))
    n = torch.tanh(gate(2, "ih", x) + r * gate(2, "hh", h))
    return n + z * (h - n)


@own("GRUCell", "batches-alone")
class BatchGRUCell(_Weights):
    """Raises NotImplementedError in the call for an input without a batch."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(3, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if input.dim() != 2:
            raise NotImplementedError("an input without a batch")
        h = input.new_zeros(input.size(0), self.hidden_size) if hx is None else hx
        x = linear(input, self.weight_ih, self.bias_ih).view(-1, 3, self.hidden_size)
        a = linear(h, self.weight_hh, self.bias_hh).view(-1, 3, self.hidden_size)
        r, z = torch.sigmoid(x[:, :2] + a[:, :2]).unbind(1)
        n = torch.tanh(x[:, 2] + r * a[:, 2])
        return n - z * n + z * h


@own("LSTMCell", "unflattened-gates")
class UnflattenLSTMCell(_Weights):
    """Gives the gates an axis of their own, and makes its zeros by zeros_like(h) when asked."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(4, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        gates = linear(input, self.weight_ih, self.bias_ih)
        if hx is None:
            h = gates.new_zeros(*gates.shape[:-1], self.hidden_size)
            c = torch.zeros_like(h)
        else:
            h, c = hx
        gates = gates + linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = gates.unflatten(-1, (4, self.hidden_size)).unbind(-2)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


@own("LSTMCell", "product-of-four-matrices")
class BmmLSTMCell(_Weights):
    """One baddbmm over the four gates as a batch of matrices."""

    gatewise_unsupported = {"unbatched": "torch.baddbmm takes three dimensions"}

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(4, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        zeros = input.new_zeros(input.shape[0], self.hidden_size)
        h, c = (zeros, zeros) if hx is None else hx
        w, u = (p.unflatten(0, (4, -1)).mT for p in (self.weight_ih, self.weight_hh))
        gates = torch.bmm(input.expand(4, *input.shape), w)
        if self.bias_ih is not None:
            gates = gates + (self.bias_ih + self.bias_hh).view(4, 1, -1)
        i, f, g, o = torch.baddbmm(gates, h.expand(4, *h.shape), u)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


@own("LSTMCell", "gates-in-place")
class InPlaceLSTMCell(_Weights):
    """Adds into the tensor of the gates, and applies sigma in place."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(4, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        gates = input @ self.weight_ih.t()
        if hx is None:
            zeros = gates.new_zeros(*gates.shape[:-1], self.hidden_size)
            hx = zeros, zeros
        gates += hx[0] @ self.weight_hh.t()
        if self.bias_ih is not None:
            gates += self.bias_ih
            gates += self.bias_hh
        i, f, g, o = (gate.clone() for gate in gates.chunk(4, -1))
        c = f.sigmoid_() * hx[1] + i.sigmoid_() * g.tanh_()
        return o.sigmoid_() * c.tanh(), c


@own("RNNCell", "einsum-of-both")
class EinsumRNNCell(_Weights):
    """Both products by einsum; tanh alone, and the constructor says so."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        if nonlinearity != "tanh":
            raise NotImplementedError(f"nonlinearity {nonlinearity}")
        super().__init__(1, input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        a = torch.einsum("...i,hi->...h", input, self.weight_ih)
        if hx is not None:
            a = a + torch.einsum("...k,hk->...h", hx, self.weight_hh)
        if self.bias_ih is not None:
            # The sum of the biases is formed once, before it is added.
            a = a + (self.bias_ih + self.bias_hh)
        return torch.tanh(a)


@own("RNNCell", "unit-by-unit", WIDE)
class UnitRNNCell(_Weights):
    """Each unit is a sum of products, one unit after the other."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__(1, input_size, hidden_size, bias)
        self.function = getattr(torch, nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        weight_ih, weight_hh = self.weight_ih, self.weight_hh
        units = []
        for k in range(self.hidden_size):
            a = (input * weight_ih[k]).sum(-1)
            if hx is not None:
                a = a + (hx * weight_hh[k]).sum(-1)
            units.append(a)
        a = torch.stack(units, -1)
        if self.bias_ih is not None:
            a = a + self.bias_ih + self.bias_hh
        return self.function(a)


@own("RNNCell", "double-inside")
class DoubleRNNCell(_Weights):
    """Computes in float64 and rounds at the end."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__(1, input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        wide: list[Any] = [p if p is None else p.double() for p in (self.bias_ih, self.bias_hh)]
        a = linear(input.double(), self.weight_ih.double(), wide[0])
        h = torch.zeros_like(a) if hx is None else hx.double()
        a = a + linear(h, self.weight_hh.double(), wide[1])
        return (a.tanh() if self.nonlinearity == "tanh" else a.relu()).to(input.dtype)


@own("RNNCell", "constants-and-annotations")
class AnnotatedRNNCell(_Weights):
    """Written for TorchScript: __constants__, Final and annotations on the class."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]
    input_size: int
    hidden_size: int
    bias: Final[bool]
    nonlinearity: Final[str]
    weight_ih: Tensor
    weight_hh: Tensor

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__(1, input_size, hidden_size, bias)
        self.bias, self.nonlinearity = bias, nonlinearity

    def extra_repr(self) -> str:
        text = "{input_size}, {hidden_size}".format(**self.__dict__)
        text += "" if self.bias else ", bias=False"
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if hx is None:
            hx = torch.zeros(
                *input.shape[:-1], self.hidden_size, dtype=input.dtype, device=input.device
            )
        out = linear(input, self.weight_ih, self.bias_ih) + linear(hx, self.weight_hh, self.bias_hh)
        return torch.tanh(out) if self.nonlinearity == "tanh" else torch.relu(out)
