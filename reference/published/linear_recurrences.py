"""Cells without a product with the old state: each unit has its own recurrence.

x is (B, I), and h and c are (B, H).
"""

from __future__ import annotations

from typing import Any

from ..activations import blend, relu, sigmoid
from ..declaring import kind
from ..functions import softplus


@kind(weights={"weight_ih": "H I", "weight_hh": "H", "bias": "H"})
def IndRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """h' = relu(W x + u∘h + b): independent units (Li et al. 2018)."""
    h = relu(x @ w.weight_ih.T + w.weight_hh * h + w.bias)
    return h, (h,)


@kind(weights={"weight_ih": "2H I", "bias": "2H"}, gates="z n")
def MinGRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """h' = (1−z)∘h + z∘n, where z = σ(·) and n depend on x alone (Feng et al. 2024, sec. 3.1)."""
    z, n = np.split(x @ w.weight_ih.T + w.bias, 2, axis=-1)
    h = blend(sigmoid(z), n, h)
    return h, (h,)


@kind(weights={"weight_ih": "3H I", "bias": "3H"}, gates="f i n")
def MinLSTM(np: Any, x: Any, h: Any, w: Any) -> Any:
    """h' = (f∘h + i∘n)/(f + i), where f, i = σ(·) and n depend on x alone (Feng et al. 2024)."""
    f, i, n = np.split(x @ w.weight_ih.T + w.bias, 3, axis=-1)
    f, i = sigmoid(f), sigmoid(i)
    both = f + i
    h = f / both * h + i / both * n
    return h, (h,)


@kind(weights={"weight_ih": "4H I", "weight_c": "2 H", "bias": "2H"}, states="c", gates="n f r s")
def SRU(np: Any, x: Any, c: Any, w: Any) -> Any:
    """c' = f∘c + (1−f)∘n and h = r∘c' + (1−r)∘s: n and s are products of x (Lei et al. 2018).

    f and r see the old c by their own weights.  Where I = H the paper's s is x itself.
    """
    n, f, r, s = np.split(x @ w.weight_ih.T, 4, axis=-1)
    b_f, b_r = np.split(w.bias, 2)
    f = sigmoid(f + w.weight_c[0] * c + b_f)
    r = sigmoid(r + w.weight_c[1] * c + b_r)
    c = blend(f, c, n)
    return blend(r, c, s), (c,)


@kind(
    weights={"weight_in": "H I", "weight_gates": "2H H", "decay": "H", "bias": "2H"},
    gates="r i",
)
def RGLRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """a = exp(−8·softplus(λ)∘r), h' = a∘h + √(1−a²)∘(i∘u), the RG-LRU of Griffin (De et al. 2024).

    u = W x is the linear layer before it in its block, so I need not be H.  The block's convolution
    is left out.  `decay` is λ, with log σ(−λ) = −softplus(λ).  Of √(1−a²) by
    expm1, or by (1−a)(1+a), the gradients are not covered: where a is small their terms cancel.
    """
    u = x @ w.weight_in.T
    r, i = np.split(sigmoid(u @ w.weight_gates.T + w.bias), 2, axis=-1)
    a = np.exp(-8.0 * softplus(w.decay) * r)
    h = a * h + np.sqrt(1.0 - a * a) * (i * u)
    return h, (h,)
