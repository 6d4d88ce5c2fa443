"""Variants of the GRU: one gate, no reset gate, layer norm.

z is the update gate and f the only gate of an MGU; x is (B, I), and h is (B, H).
"""

from __future__ import annotations

from typing import Any

from ..activations import blend, relu, sigmoid
from ..declaring import kind
from ..functions import layer_norm

_TWO = {"weight_ih": "2H I", "weight_hh": "2H H", "bias": "2H"}


@kind(weights=_TWO, gates="f n")
def MGU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """The minimal gated unit: f resets and updates, h' = (1−f)∘h + f∘n (Zhou et al. 2016)."""
    f_x, n_x = np.split(x @ w.weight_ih.T + w.bias, 2, axis=-1)
    w_f, w_n = np.split(w.weight_hh, 2)
    f = sigmoid(f_x + h @ w_f.T)
    n = np.tanh(n_x + (f * h) @ w_n.T)
    h = blend(f, n, h)
    return h, (h,)


@kind(weights=_TWO, gates="z n")
def LiGRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """No reset gate, and relu: h' = z∘h + (1−z)∘n (Ravanelli et al. 2018).

    The paper norms W x over the batch; this is left out.
    """
    z, n = np.split(x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias, 2, axis=-1)
    h = blend(sigmoid(z), h, relu(n))
    return h, (h,)


@kind(
    weights={"weight_ih": "3H I", "weight_hh": "3H H", "norm_ih": "2 3H", "norm_hh": "2 3H"},
    gates="r z n",
)
def LayerNormGRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """Layer norm of both products over all gates, in torch's form of the GRU (Ba et al. 2016).

    Row 0 of a norm is its factor, row 1 what is added; ε is 10⁻⁵.
    """
    a_x = layer_norm(x @ w.weight_ih.T, w.norm_ih[0], w.norm_ih[1], 1e-5)
    a_h = layer_norm(h @ w.weight_hh.T, w.norm_hh[0], w.norm_hh[1], 1e-5)
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(a_x, 3, axis=-1), np.split(a_h, 3, axis=-1)
    n = np.tanh(n_x + sigmoid(r_x + r_h) * n_h)
    h = blend(sigmoid(z_x + z_h), h, n)
    return h, (h,)
