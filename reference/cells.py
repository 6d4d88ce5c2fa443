"""One step of every cell, written once for float64 arrays, complex arrays, Balls and Duals.

A step takes `x_share`, the input's part of the pre-activations: x W_ihᵀ + b_ih.  This part does
not depend on the state, so a layer computes it for all steps in one product.  The equations are
those of the torch.nn documentation; each step names its differences from the papers.  B is the
batch, H the hidden size, R the width of the hidden state (H, or the projection size).  B may be
any leading shape.  A bias may be None.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from .activations import blend, constant, lstm_activations, relu, sigmoid


class Weights(NamedTuple):
    """Weights of one layer in one direction, named without suffix; None for an absent weight."""

    ih: Any
    hh: Any
    b_ih: Any = None
    b_hh: Any = None
    hr: Any = None


def weights_of(weights: Mapping[str, Any], suffix: str, like: Any) -> Weights:
    """The weights whose names end with `suffix`, in the arithmetic of `like`."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    return Weights(*(constant(like, weights.get(name + suffix)) for name in names))


class RNNParts(NamedTuple):
    """Values of one RNN step: the new hidden state h and its pre-activation a, (B, H) each."""

    h: Any
    a: Any


class LSTMParts(NamedTuple):
    """Values of one LSTM step: h', c', i f g o (B, 4H), tanh(c'), and m = o∘tanh(c') (B, H).

    m is h' before any projection.
    """

    h: Any
    c: Any
    gates: Any
    tanh_c: Any
    m: Any


class GRUParts(NamedTuple):
    """Values of one GRU step: the new hidden state h', r and z (B, 2H), `inner`, the candidate n.

    r multiplies `inner`.  It is W_hn h + b_hn, or h if the reset gate comes before the product.
    """

    h: Any
    rz: Any
    inner: Any
    n: Any


#: The values of a step: the new states first.  Those of a declared kind have no names.
Parts = RNNParts | LSTMParts | GRUParts | tuple[Any, ...]


def affine(x: Any, w: Any, b: Any = None) -> Any:
    """x Wᵀ + b for x (B, n), w (m, n), b (m) → (B, m)."""
    y = x @ w.T
    return y if b is None else y + b


def rnn_parts(
    x_share: Any, h: Any, w_hh: Any, b_hh: Any = None, nonlinearity: str = "tanh"
) -> RNNParts:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it (Elman 1990).

    Shapes: x_share (B, H), h (B, H) → (B, H).
    """
    a = x_share + affine(h, w_hh, b_hh)
    return RNNParts(np.tanh(a) if nonlinearity == "tanh" else relu(a), a)


def lstm_parts(
    x_share: Any, h: Any, c: Any, w_hh: Any, b_hh: Any = None, w_hr: Any = None
) -> LSTMParts:
    """c' = f∘c + i∘g;  h' = o∘tanh(c'), projected to W_hr h' if `w_hr` is given.

    i, f, o = σ(·) and g = tanh(·) of the blocks of W_ih x + b_ih + W_hh h + b_hh, in the order
    i f g o.  Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, no peepholes;
    the projection is that of Sak et al. 2014.  Shapes: x_share (B, 4H), h (B, R), c (B, H) →
    h' (B, R), c' (B, H).
    """
    gates = lstm_activations(x_share + affine(h, w_hh, b_hh))
    c, tanh_c, m = lstm_state(gates, c)
    return LSTMParts(m if w_hr is None else m @ w_hr.T, c, gates, tanh_c, m)


@singledispatch
def lstm_state(gates: Any, c: Any) -> tuple[Any, Any, Any]:
    """c' = f∘c + i∘g, tanh(c') and m = o∘tanh(c'), each (B, H), from i, f, g, o (B, 4H)."""
    size = c.shape[-1]
    i, f, g, o = (gates[..., k * size : (k + 1) * size] for k in range(4))
    c = f * c + i * g
    tanh_c = np.tanh(c)
    return c, tanh_c, o * tanh_c


def gru_parts(
    x_share: Any,
    h: Any,
    w_hh: Any,
    b_hh: Any = None,
    reset_after: bool = True,
    update_keeps: bool = True,
) -> GRUParts:
    """h' = (1−z)∘n + z∘h, or with `update_keeps=False` h' = z∘n + (1−z)∘h.

    torch, Keras and ONNX keep the old state where z = 1 (Cho et al. 2014); Chung et al. 2014
    print the other equation.  torch's form (`reset_after`):
    n = tanh(W_in x + b_in + r∘(W_hn h + b_hn)).  The original form (Cho et al. 2014):
    n = tanh(W_in x + b_in + W_hn (r∘h) + b_hn).  Shapes: x_share (B, 3H), h (B, H) → (B, H).
    """
    if reset_after:
        return gru_state(x_share, affine(h, w_hh, b_hh), h, update_keeps)
    size = h.shape[-1]
    rz_, n_ = slice(0, 2 * size), slice(2 * size, 3 * size)
    b_rz, b_n = (None, None) if b_hh is None else (b_hh[rz_], b_hh[n_])
    rz = sigmoid(x_share[..., rz_] + affine(h, w_hh[rz_], b_rz))
    n = np.tanh(x_share[..., n_] + affine(rz[..., :size] * h, w_hh[n_], b_n))
    z = rz[..., size:]
    return GRUParts(blend(z, h, n) if update_keeps else blend(z, n, h), rz, h, n)


@singledispatch
def gru_state(x_share: Any, a_h: Any, h: Any, update_keeps: bool) -> GRUParts:
    """The step in torch's form, from x_share (B, 3H) and a_h = W_hh h + b_hh (B, 3H)."""
    size = h.shape[-1]
    rz_, n_ = slice(0, 2 * size), slice(2 * size, 3 * size)
    rz = sigmoid(x_share[..., rz_] + a_h[..., rz_])
    inner = a_h[..., n_]
    n = np.tanh(x_share[..., n_] + rz[..., :size] * inner)
    z = rz[..., size:]
    return GRUParts(blend(z, h, n) if update_keeps else blend(z, n, h), rz, inner, n)
