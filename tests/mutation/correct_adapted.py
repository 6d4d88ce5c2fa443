"""Correct subjects with conventions of their own, each described by an adapter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.properties.subjects.adapting.adapter import Adapter

from .correct_registry import adapted

_ROWS = {"unbatched": "only two dimensions"}
_TENSORS = {"packed": "only tensors", "unbatched": "only three dimensions"}


class LinearLSTMCell(nn.Module):
    """Two nn.Linear, one for the input and one for the state."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.i2h = nn.Linear(input_size, 4 * hidden_size, bias=bias)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size, bias=bias)
        self.hidden_size = hidden_size

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Tensor]:
        if hidden is None:
            hidden = (x.new_zeros(*x.shape[:-1], self.hidden_size),) * 2
        h, c = hidden
        preact = self.i2h(x) + self.h2h(h)
        gates = preact[..., : 3 * self.hidden_size].sigmoid()
        g_t = preact[..., 3 * self.hidden_size :].tanh()
        i_t, f_t, o_t = gates.chunk(3, -1)
        c_t = torch.mul(c, f_t) + torch.mul(i_t, g_t)
        return torch.mul(o_t, c_t.tanh()), c_t


adapted(
    "two-linears",
    Adapter(
        LinearLSTMCell,
        like="LSTMCell",
        weights={
            "i2h.weight": "weight_ih",
            "h2h.weight": "weight_hh",
            "i2h.bias": "bias_ih",
            "h2h.bias": "bias_hh",
        },
        gates="ifog",
    ),
)


class GatewiseLSTMCell(nn.Module):
    """An nn.Linear on [h, x] for each gate."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        width = input_size + hidden_size
        self.forget = nn.Linear(width, hidden_size, bias)
        self.enter = nn.Linear(width, hidden_size, bias)
        self.cell = nn.Linear(width, hidden_size, bias)
        self.leave = nn.Linear(width, hidden_size, bias)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        both = torch.cat((h, x), dim=-1)
        c = torch.sigmoid(self.forget(both)) * c
        c = c + torch.sigmoid(self.enter(both)) * torch.tanh(self.cell(both))
        return torch.sigmoid(self.leave(both)) * torch.tanh(c), c


adapted(
    "linear-for-each-gate",
    Adapter(
        GatewiseLSTMCell,
        like="LSTMCell",
        weights={
            f"{name}.{what}": f"weight_hh.{g}|weight_ih.{g}" if what == "weight" else f"bias.{g}"
            for name, g in {"forget": "f", "enter": "i", "cell": "g", "leave": "o"}.items()
            for what in ("weight", "bias")
        },
        needs_state=True,
    ),
)


class ChoGRUCell(nn.Module):
    """The first form of the GRU: reset before the product, and z = 1 takes the candidate."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for gate in "rzh":
            self.register_parameter(f"W_{gate}", nn.Parameter(torch.randn(hidden_size, input_size)))
            self.register_parameter(
                f"U_{gate}", nn.Parameter(torch.randn(hidden_size, hidden_size))
            )
            self.register_parameter(f"b_{gate}", nn.Parameter(torch.zeros(hidden_size)))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        r = torch.sigmoid(x @ self.W_r.T + h @ self.U_r.T + self.b_r)
        z = torch.sigmoid(x @ self.W_z.T + h @ self.U_z.T + self.b_z)
        candidate = torch.tanh(x @ self.W_h.T + (r * h) @ self.U_h.T + self.b_h)
        return (1 - z) * h + z * candidate


adapted(
    "reset-before-the-product",
    Adapter(
        ChoGRUCell,
        like="GRUCell",
        weights={
            f"{name}_{gate}": f"{part}.{'n' if gate == 'h' else gate}"
            for name, part in {"W": "weight_ih", "U": "weight_hh", "b": "bias"}.items()
            for gate in "rzh"
        },
        reset_after=False,
        update_keeps=False,
        needs_state=True,
        unsupported={"bias": "it always has its biases"},
    ),
)


class FusedLSTM(nn.Module):
    """One matrix (in, out) on [x, h], batch first, states (c, h)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(input_size + hidden_size, 4 * hidden_size))
        self.offset = nn.Parameter(torch.zeros(4 * hidden_size))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if state is None:
            state = (x.new_zeros(1, len(x), self.offset.numel() // 4),) * 2
        c, h = (s[0] for s in state)
        ys = []
        for x_t in x.unbind(1):
            a = torch.addmm(self.offset, torch.cat([x_t, h], dim=1), self.kernel)
            g, i, f, o = a.chunk(4, dim=1)
            c = torch.addcmul(torch.sigmoid(i) * torch.tanh(g), torch.sigmoid(f), c)
            h = torch.sigmoid(o) * torch.tanh(c)
            ys.append(h)
        return torch.stack(ys, dim=1), (c[None], h[None])


adapted(
    "one-matrix-on-both",
    Adapter(
        FusedLSTM,
        like="LSTM",
        weights={"kernel": "weight_ih|weight_hh", "offset": "bias"},
        gates="gifo",
        transposed=True,
        state="ch",
        layout="batch-major",
        unsupported={**_TENSORS, "bias": "it always has its bias"},
    ),
)


class MatricesGRU(nn.Module):
    """Three matrices for the input and three for the state, in ParameterLists."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.w = nn.ParameterList(torch.randn(hidden_size, input_size) for _ in range(3))
        self.u = nn.ParameterList(torch.randn(hidden_size, hidden_size) for _ in range(3))
        self.b = nn.ParameterList(torch.zeros(hidden_size) for _ in range(4))

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = x.new_zeros(x.shape[1], len(self.b[0])) if h is None else h
        outputs = []
        for x_t in x:
            z = torch.sigmoid(linear(x_t, self.w[0], self.b[0]) + linear(h, self.u[0]))
            r = torch.sigmoid(linear(x_t, self.w[1], self.b[1]) + linear(h, self.u[1]))
            new = torch.tanh(
                linear(x_t, self.w[2], self.b[2]) + r * linear(h, self.u[2], self.b[3])
            )
            h = z * new + (1 - z) * h
            outputs.append(h)
        return torch.stack(outputs), h


adapted(
    "matrix-for-each-gate",
    Adapter(
        MatricesGRU,
        like="GRU",
        weights={
            **{f"w.{k}": f"weight_ih.{g}" for k, g in enumerate("zrn")},
            **{f"u.{k}": f"weight_hh.{g}" for k, g in enumerate("zrn")},
            "b.0": "bias.z",
            "b.1": "bias.r",
            "b.2": "bias_ih.n",
            "b.3": "bias_hh.n",
        },
        layout="time-major",
        layer_axis=False,
        update_keeps=False,
        unsupported={**_TENSORS, "bias": "it always has its biases"},
    ),
)


class KeywordRNN(nn.Module):
    """Takes the state by keyword alone."""

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        super().__init__()
        self.wx = nn.Linear(input_size, hidden_size)
        self.wh = nn.Linear(hidden_size, hidden_size, bias=False)
        self.f = getattr(torch, nonlinearity)

    def forward(self, input: Tensor, *, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shares = self.wx(input)
        h = shares.new_zeros(shares.shape[1:]) if hx is None else hx.squeeze(0)
        outputs = []
        for t in range(shares.shape[0]):
            h = self.f(shares[t] + self.wh(h))
            outputs.append(h)
        return torch.stack(outputs), h.unsqueeze(0)


def by_keyword(own: Any, x: Tensor, state: Any) -> Any:
    """How KeywordRNN is called."""
    return own(x) if state is None else own(x, hx=state[0])


adapted(
    "state-by-keyword",
    Adapter(
        KeywordRNN,
        like="RNN",
        weights={"wx.weight": "weight_ih", "wx.bias": "bias", "wh.weight": "weight_hh"},
        layout="time-major",
        call=by_keyword,
        unsupported={**_TENSORS, "bias": "it always has its bias"},
    ),
)


def gru_step(x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Any = None, d: Any = None) -> Tensor:
    """One step of a GRU, as a function of its weights."""
    x_r, x_z, x_n = linear(x, w, b).chunk(3, -1)
    h_r, h_z, h_n = linear(h, u, d).chunk(3, -1)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    return n + torch.sigmoid(x_z + h_z) * (h - n)


_PARTS = {"w": "weight_ih", "u": "weight_hh", "b": "bias_ih", "d": "bias_hh"}
adapted("function", Adapter(gru_step, like="GRUCell", weights=_PARTS, function=True))
