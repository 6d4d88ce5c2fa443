"""torch-geometric-temporal's GConvGRU, GConvLSTM and GCLSTM, as steps of one node in a row.

`--subject gatewise.peers.geometric_temporal:GConvLSTM --like TgtGConvLSTMCell`; needs the package
torch-geometric-temporal, which needs torch-sparse.  With K = 1 a graph convolution is a matrix and
a bias, and no node sees another.  So a batch of rows is a graph of so many nodes with one loop.

GConvGRU is a GRU that resets the state before the product.  GConvLSTM has peepholes, and both LSTMs
have a bias of their own beside those of the convolutions.  It stays with `bias=False`; the classes
here have no such option, so that this one fault does not hide the rest, and those that end with
`OptionalBias` have it.  x is (B, I), and h and c are (B, H).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch_geometric_temporal.nn import recurrent

import gatewise as gw

from .held import HELD, Held


def _loop(x: Any) -> Any:
    """The edges of a graph whose first node has a loop."""
    return torch.zeros(2, 1, dtype=torch.long, device=x.device)


#: How own names begin, and how the names here end.
_ENDS = (("x", "ih"), ("h", "hh"))

_GAPS = {
    "empty_batch_gives_empty_results": "a graph has a node",
    "empty_batch_has_zero_gradients": "a graph has a node",
    "unbatched": "a graph's nodes are the first of two dimensions",
    "rejection": "it leaves the checks of its arguments to its caller",
}


def _gconv_gru(input_size: int, hidden_size: int, bias: bool = True) -> Any:
    return recurrent.GConvGRU(input_size, hidden_size, 1, bias=bias)


def _call(own: Any, x: Any, state: Any) -> Any:
    return own(x, _loop(x), H=None if state is None else state[0])


GConvGRU = gw.Adapter(
    _gconv_gru,
    like="GRUCell",
    weights={f"conv_{v}_{g}.lins.0.weight": f"weight_{w}.{g}" for v, w in _ENDS for g in "zrh"}
    | {f"conv_{v}_{g}.bias": f"bias_{w}.{g}" for v, w in _ENDS for g in "zrh"},
    call=_call,
    reset_after=False,
    unsupported=_GAPS,
)


@gw.kind(
    weights={
        "weight_ih": "4H I",
        "weight_hh": "4H H",
        "bias_ih": "4H",
        "bias_hh": "4H",
        "peephole": "3 H",
        "bias": "4H",
    },
    states="h c",
    gates="i f g o",
)
def TgtGConvLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """The graph LSTM of Seo et al. 2016 on one node: o sees the new cell, i and f the old one."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    i, f = gw.sigmoid(i + w.peephole[0] * c), gw.sigmoid(f + w.peephole[1] * c)
    c = f * c + i * np.tanh(g)
    h = gw.sigmoid(o + w.peephole[2] * c) * np.tanh(c)
    return h, (h, c)


@gw.kind(
    weights={"weight_ih": "4H I", "weight_hh": "4H H", "bias_hh": "4H", "bias": "4H"},
    states="h c",
    gates="i f g o",
)
def TgtGCLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """The LSTM of Chen et al. 2018 on one node: a matrix of x, and a convolution of h."""
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias_hh + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    c = gw.sigmoid(f) * c + gw.sigmoid(i) * np.tanh(g)
    h = gw.sigmoid(o) * np.tanh(c)
    return h, (h, c)


class _Graph(Held):
    """A cell with states h and c on a graph without edges between rows."""

    name = ""
    gatewise_unsupported: ClassVar[dict[str, str]] = {
        **HELD,
        **_GAPS,
        "bias": "its own bias stays; OptionalBias has it",
    }

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        own = getattr(recurrent, self.name)(input_size, hidden_size, 1, bias=bias)
        super().__init__(own, self.parts(bias))

    @staticmethod
    def parts(bias: bool) -> dict[str, list[str]]:
        """Names of the kind → own names."""
        raise NotImplementedError

    def forward(self, x: Any, hx: Any = None) -> Any:
        """x (B, I) and states (B, H) → the new states (h, c), each (B, H)."""
        h, c = (None, None) if hx is None else hx
        return self.run(x, _loop(x), H=h, C=c)


class GConvLSTM(_Graph):
    """GConvLSTM with K = 1."""

    name = "GConvLSTM"

    @staticmethod
    def parts(bias: bool) -> dict[str, list[str]]:
        """Names of the kind → own names."""
        named = {f"weight_{w}": [f"conv_{v}_{g}.lins.0.weight" for g in "ifco"] for v, w in _ENDS}
        if bias:
            named |= {f"bias_{w}": [f"conv_{v}_{g}.bias" for g in "ifco"] for v, w in _ENDS}
        return {
            **named,
            "peephole": [f"w_c_{g}" for g in "ifo"],
            "bias": [f"b_{g}.flat" for g in "ifco"],
        }


class GCLSTM(_Graph):
    """GCLSTM with K = 1."""

    name = "GCLSTM"

    @staticmethod
    def parts(bias: bool) -> dict[str, list[str]]:
        """Names of the kind → own names."""
        named = {"weight_ih": [f"W_{g}.T" for g in "ifco"]}
        named["weight_hh"] = [f"conv_{g}.lins.0.weight" for g in "ifco"]
        if bias:
            named["bias_hh"] = [f"conv_{g}.bias" for g in "ifco"]
        return {**named, "bias": [f"b_{g}.flat" for g in "ifco"]}


class GConvLSTMOptionalBias(GConvLSTM):
    """GConvLSTM with its option `bias`."""

    gatewise_unsupported: ClassVar[dict[str, str]] = {**HELD, **_GAPS}


class GCLSTMOptionalBias(GCLSTM):
    """GCLSTM with its option `bias`."""

    gatewise_unsupported: ClassVar[dict[str, str]] = {**HELD, **_GAPS}
