"""The sLSTM of xLSTM, with the stabiliser of its exponential gates.

x is (B, I); h, c, the normaliser n and the stabiliser m are (B, H).
"""

from __future__ import annotations

from typing import Any

from ..activations import sigmoid
from ..declaring import kind
from ..functions import log_sigmoid


@kind(
    weights={"weight_ih": "4H I", "weight_hh": "4H H", "bias": "4H"},
    states="h c n m",
    gates="i f z o",
)
def SLSTM(np: Any, x: Any, h: Any, c: Any, n: Any, m: Any, w: Any) -> Any:
    """i = exp(ã_i), f = σ(ã_f), c' = f∘c + i∘z, n' = f∘n + i, h' = o∘c'/n' (Beck et al. 2024).

    i and f are both divided by exp(m'), with m' = max(log f + m, ã_i) (eq. 15–17).  h' does not
    depend on m: c'/n' is the same.
    """
    i, f, z, o = np.split(x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias, 4, axis=-1)
    f = log_sigmoid(f) + m
    m = np.maximum(f, i)
    i, f = np.exp(i - m), np.exp(f - m)
    c = f * c + i * np.tanh(z)
    n = f * n + i
    h = sigmoid(o) * (c / n)
    return h, (h, c, n, m)
