"""The cells of torchrecurrent, each against its equations as its documentation prints them.

`--subject gatewise.peers.torchrecurrent:MGU --like TrMGUCell`; needs the package torchrecurrent.
The steps name their papers.  x is (B, I), and h and c are (B, H).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

import gatewise as gw


def _biased(ih: str, hh: str, **more: str) -> dict[str, str]:
    """The weights and both biases; `ih` and `hh` are the rows of the two products."""
    return {"weight_ih": f"{ih} I", "weight_hh": f"{hh} H", "bias_ih": ih, "bias_hh": hh, **more}


@gw.kind(weights=_biased("2H", "2H"), gates="f n")
def TrMGU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """The minimal gated unit (Zhou et al. 2016)."""
    f_x, n_x = np.split(x @ w.weight_ih.T + w.bias_ih, 2, axis=-1)
    (w_f, w_n), (b_f, b_n) = np.split(w.weight_hh, 2), np.split(w.bias_hh, 2)
    f = gw.sigmoid(f_x + h @ w_f.T + b_f)
    h = gw.blend(f, np.tanh(n_x + (f * h) @ w_n.T + b_n), h)
    return h, (h,)


@gw.kind(weights=_biased("2H", "2H"), gates="z n")
def TrLiGRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """The light GRU without its batch norm (Ravanelli et al. 2018)."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    z, n = np.split(a, 2, axis=-1)
    h = gw.blend(gw.sigmoid(z), h, np.maximum(n, 0.0))
    return h, (h,)


@gw.kind(weights={"weight_ih": "H I", "vector_u": "H", "bias_ih": "H", "bias_hh": "H"})
def TrIndRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """Independent units, with tanh (Li et al. 2018)."""
    h = np.tanh(x @ w.weight_ih.T + w.bias_ih + w.vector_u * h + w.bias_hh)
    return h, (h,)


@gw.kind(
    weights={
        "weight_ih": "4H I",
        "weight_hh": "4H H",
        "weight_ph": "3H",
        "bias_ih": "4H",
        "bias_hh": "4H",
    },
    states="h c",
    gates="i f g o",
)
def TrPeepholeLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """The gates see the cell (Gers et al. 2002)."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    i, f, g, o = np.split(a, 4, axis=-1)
    p_i, p_f, p_o = np.split(w.weight_ph, 3)
    i, f = gw.sigmoid(i + p_i * c), gw.sigmoid(f + p_f * c)
    c = f * c + i * np.tanh(g)
    h = gw.sigmoid(o + p_o * c) * np.tanh(c)
    return h, (h, c)


@gw.kind(weights=_biased("2H", "2H", beta=""), states="h c", gates="f g")
def TrJANET(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """A forget gate alone; c' = σ(s)∘c + (1 − σ(s−β))∘g (van der Westhuizen & Lasenby 2018)."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    s, g = np.split(a, 2, axis=-1)
    c = gw.sigmoid(s) * c + (1.0 - gw.sigmoid(s - w.beta)) * np.tanh(g)
    return c, (c, c)


@gw.kind(weights=_biased("H", "H", weight_mm="H H"))
def TrMinimalRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """z = tanh of x's product, and one gate (Chen 2017)."""
    z = np.tanh(x @ w.weight_ih.T + w.bias_ih)
    u = gw.sigmoid(h @ w.weight_hh.T + z @ w.weight_mm.T + w.bias_hh)
    h = gw.blend(u, h, z)
    return h, (h,)


@gw.kind(weights=_biased("2H", "2H"), gates="n z")
def TrUGRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """The update-gate RNN (Collins et al. 2017)."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    n, z = np.split(a, 2, axis=-1)
    h = gw.blend(gw.sigmoid(z), h, np.tanh(n))
    return h, (h,)


@gw.kind(weights=_biased("H", "H", alpha="1", beta="1"))
def TrFastRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """h' = σ(α)·n + σ(β)·h (Kusupati et al. 2018)."""
    n = np.tanh(x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh)
    h = gw.sigmoid(w.alpha) * n + gw.sigmoid(w.beta) * h
    return h, (h,)


@gw.kind(
    weights={"weight_ih": "3H I", "weight_hh": "2H", "bias_ih": "3H", "bias_hh": "2H"},
    gates="a c n",
)
def TrBR(np: Any, x: Any, h: Any, w: Any) -> Any:
    """Bistable units: h' = c∘h + (1−c)∘tanh(W x + a∘h), a = 1 + tanh (Vecoven et al. 2021)."""
    a, c, n = np.split(x @ w.weight_ih.T + w.bias_ih, 3, axis=-1)
    (u_a, u_c), (b_a, b_c) = np.split(w.weight_hh, 2), np.split(w.bias_hh, 2)
    a, c = 1.0 + np.tanh(a + u_a * h + b_a), gw.sigmoid(c + u_c * h + b_c)
    h = gw.blend(c, h, np.tanh(n + a * h))
    return h, (h,)


@gw.kind(weights=_biased("H", "H"))
def TrATR(np: Any, x: Any, h: Any, w: Any) -> Any:
    """Addition and subtraction: σ(p+q)∘p + σ(p−q)∘h (Zhang et al. 2018)."""
    p, q = x @ w.weight_ih.T + w.bias_ih, h @ w.weight_hh.T + w.bias_hh
    h = gw.sigmoid(p + q) * p + gw.sigmoid(p - q) * h
    return h, (h,)


@gw.kind(weights=_biased("2H", "H"), gates="z k")
def TrSTAR(np: Any, x: Any, h: Any, w: Any) -> Any:
    """h' = tanh((1−k)∘h + k∘z) (Turkoglu et al. 2021)."""
    z, k = np.split(x @ w.weight_ih.T + w.bias_ih, 2, axis=-1)
    k = gw.sigmoid(k + h @ w.weight_hh.T + w.bias_hh)
    h = np.tanh(gw.blend(k, np.tanh(z), h))
    return h, (h,)


@gw.kind(
    weights={"weight_ih": "3H I", "weight_hh": "2H H", "bias_ih": "2H", "bias_hh": "2H"},
    states="h c",
    gates="n i f",
)
def TrRAN(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """The recurrent additive network: c' = i∘n + f∘c with n = W x (Lee et al. 2017)."""
    n, i, f = np.split(x @ w.weight_ih.T, 3, axis=-1)
    i_h, f_h = np.split(h @ w.weight_hh.T + w.bias_hh + w.bias_ih, 2, axis=-1)
    c = gw.sigmoid(i + i_h) * n + gw.sigmoid(f + f_h) * c
    h = np.tanh(c)
    return h, (h, c)


@gw.kind(weights=_biased("3H", "2H"), gates="t e n")
def TrCFN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """The chaos-free network: h' = θ∘tanh(h) + η∘tanh(W x) (Laurent & von Brecht 2017)."""
    t, e, n = np.split(x @ w.weight_ih.T + w.bias_ih, 3, axis=-1)
    t_h, e_h = np.split(h @ w.weight_hh.T + w.bias_hh, 2, axis=-1)
    h = gw.sigmoid(t + t_h) * np.tanh(h) + gw.sigmoid(e + e_h) * np.tanh(n)
    return h, (h,)


def _made(name: str, input_size: int, hidden_size: int, bias: bool = True) -> nn.Module:
    """A cell without both of its biases where `bias` is false."""
    import torchrecurrent

    own = getattr(torchrecurrent, f"{name}Cell")
    made: nn.Module = own(input_size, hidden_size, bias=bias, recurrent_bias=bias)
    return made


def _cell(name: str) -> Callable[..., nn.Module]:
    return partial(_made, name)


MGU = _cell("MGU")
LiGRU = _cell("LiGRU")
IndRNN = _cell("IndRNN")
PeepholeLSTM = _cell("PeepholeLSTM")
JANET = _cell("JANET")
MinimalRNN = _cell("MinimalRNN")
UGRNN = _cell("UGRNN")
FastRNN = _cell("FastRNN")
BR = _cell("BR")
ATR = _cell("ATR")
STAR = _cell("STAR")
RAN = _cell("RAN")
CFN = _cell("CFN")
