"""pytorch-forecasting's LSTM and GRU, which take lengths beside a padded tensor, and its sLSTM.

`--subject gatewise.peers.pytorch_forecasting:LSTM`, and `--subject
gatewise.peers.pytorch_forecasting:SLSTM --like PfSLSTM`; needs the package pytorch-forecasting.

LSTM and GRU are torch.nn's layers.  Without lengths a call is torch.nn's.  So a packed input is
padded here, and the layer gets the padded tensor with its lengths; its padded output is packed
again.  These layers take lengths of 0 too, which a packed input cannot have: `LengthsLSTM` and
`LengthsGRU` are asked for them.

The sLSTM names the xLSTM paper, and has other equations than that paper.  It is checked against the
equations of its code, without layer norm and residual connections.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pytorch_forecasting import layers
from pytorch_forecasting.models.nn import rnn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import gatewise as gw

from .held import HELD, Held


def _with_lengths(forward: Any, packed: PackedSequence, hx: Any, batch_first: bool) -> Any:
    """Call `forward` on the padded input and its lengths → packed output and the states."""
    ordered = packed.sorted_indices is None
    x, lengths = pad_packed_sequence(packed, batch_first)
    output, state = forward(x, hx, lengths=lengths, enforce_sorted=ordered)
    return pack_padded_sequence(output, lengths, batch_first, enforce_sorted=ordered), state


class LSTM(rnn.LSTM):
    """The LSTM, which takes the lengths of a packed input as an argument."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch.nn.LSTM; raises what the layer raises."""
        if isinstance(input, PackedSequence):
            return _with_lengths(super().forward, input, hx, self.batch_first)
        return super().forward(input, hx)


class GRU(rnn.GRU):
    """The GRU, which takes the lengths of a packed input as an argument."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch.nn.GRU; raises what the layer raises."""
        if isinstance(input, PackedSequence):
            return _with_lengths(super().forward, input, hx, self.batch_first)
        return super().forward(input, hx)


def _call(own: Any, x: Any, state: Any, lengths: Any = None) -> Any:
    hx = state[0] if state is not None and len(state) == 1 else state
    return own(x, hx) if lengths is None else own(x, hx, lengths=lengths, enforce_sorted=False)


def _lengths(own: Any, like: str) -> gw.Adapter:
    """The layer with lengths of its own, which may be 0."""
    return gw.Adapter(own, like, lengths="absolute", call=_call)


LengthsLSTM = _lengths(rnn.LSTM, "LSTM")
LengthsGRU = _lengths(rnn.GRU, "GRU")


def _share(np: Any, a: Any) -> Any:
    """exp(a − mean), cut at e^±5, over its sum over the units."""
    e = np.exp(np.clip(a - np.mean(a, axis=-1, keepdims=True), -5.0, 5.0))
    return e / (np.sum(e, axis=-1, keepdims=True) + 1e-6)


@gw.kind(
    weights={"weight_ih": "4H I", "weight_hh": "4H H", "bias_ih": "4H", "bias_hh": "4H"},
    states="h c",
    gates="i f g o",
)
def PfSLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """i and f are shares of exponentials over the units, and then shares of i + f."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    i, f, g, o = np.split(a, 4, axis=-1)
    i, f = _share(np, i), _share(np, f)
    both = i + f + 1e-6
    c = f / both * c + i / both * np.tanh(g)
    h = gw.sigmoid(o) * np.tanh(c)
    return h, (h, c)


_XLSTM_GAPS = {
    **HELD,
    "bias": "it always has biases",
    "dropout": "it drops units of the input and of the state in each step",
    "packed": "it takes tensors alone",
    "unbatched": "it takes three dimensions alone",
}


class SLSTM(Held):
    """sLSTMLayer without layer norm and residual connections."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _XLSTM_GAPS

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1) -> None:
        own = layers.sLSTMLayer(
            input_size, hidden_size, num_layers, use_layer_norm=False, use_residual=False
        )
        weights = {
            f"{part}_{end}_l{k}": [f"cells.{k}.{held}_weights.{part}"]
            for k in range(num_layers)
            for part in ("weight", "bias")
            for end, held in (("ih", "input"), ("hh", "hidden"))
        }
        super().__init__(own, weights)

    def forward(self, x: Any, hx: Any = None) -> Any:
        """x (T, B, I), states (L, B, H) → output (T, B, H) and the last states (L, B, H)."""
        given = (None, None) if hx is None else [list(state.unbind()) for state in hx]
        output, states = self.run(x, *given)
        return output, tuple(torch.stack(state) for state in states)
