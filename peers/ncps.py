"""The LSTM cell of ncps, the package of liquid networks: 1 is added to the forget gate.

`--subject gatewise.peers.ncps:LSTMCell --like NcpsLSTMCell`; needs the package ncps.  The cell
stands in ncps's mixed-memory networks.  Its blocks of rows are g, i, f, o, and it has one bias.
x is (B, I), and h and c are (B, H).
"""

from __future__ import annotations

from typing import Any, ClassVar

import gatewise as gw

from .held import HELD, Held


@gw.kind(
    weights={"weight_ih": "4H I", "weight_hh": "4H H", "bias": "4H"},
    states="h c",
    gates="g i f o",
)
def NcpsLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """f = σ(a_f + 1) in each step."""
    a = x @ w.weight_ih.T + w.bias + h @ w.weight_hh.T
    g, i, f, o = np.split(a, 4, axis=-1)
    c = gw.sigmoid(f + 1.0) * c + gw.sigmoid(i) * np.tanh(g)
    h = gw.sigmoid(o) * np.tanh(c)
    return h, (h, c)


class LSTMCell(Held):
    """ncps.torch.lstm.LSTMCell; without states it gets zeros, because it must be given them."""

    gatewise_unsupported: ClassVar[dict[str, str]] = {
        **HELD,
        "bias": "it always has one",
        "unbatched": "it takes two dimensions alone",
    }

    def __init__(self, input_size: int, hidden_size: int) -> None:
        from ncps.torch.lstm import LSTMCell as Own

        names = {"weight_ih": "input_map.weight", "weight_hh": "recurrent_map.weight"}
        names["bias"] = "input_map.bias"
        super().__init__(Own(input_size, hidden_size), {n: [own] for n, own in names.items()})
        self.hidden_size = hidden_size

    def forward(self, x: Any, hx: Any = None) -> Any:
        """x (B, I) and states (B, H) → the new states (h, c), each (B, H)."""
        zeros = x.new_zeros(len(x), self.hidden_size) if hx is None else None
        return self.run(x, (zeros, zeros) if hx is None else hx)
