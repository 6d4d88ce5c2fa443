"""One step of every cell, written once: arrays, complex arrays and Balls all flow through.

A step takes the input's share of the pre-activations, `x W_ihᵀ + b_ih`, since that is the same
for every step and a layer forms it for all of them in one product.  Equations are those of the
torch.nn documentation; departures from the papers are named at each step.  B is the batch, H the
hidden size, R the width of the hidden state (H, or the projection's).  Any leading shape serves
as B.  A bias may be None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .activations import blend, relu, sigmoid
from .parameters import Options


def affine(x: Any, w: Any, b: Any = None) -> Any:
    """x Wᵀ + b for x (B, n), w (m, n), b (m) → (B, m)."""
    y = x @ w.T
    return y if b is None else y + b


class RNNParts(NamedTuple):
    """What a step of an RNN goes through: the new state, and its pre-activation a."""

    h: Any
    a: Any


class LSTMParts(NamedTuple):
    """What a step of an LSTM goes through; m = o∘tanh(c') is h' before any projection."""

    h: Any
    c: Any
    gates: tuple[Any, Any, Any, Any]
    tanh_c: Any
    m: Any


class GRUParts(NamedTuple):
    """What a step of a GRU goes through.

    `inner` is what the reset gate multiplies: W_hn h + b_hn, or h where the gate comes first.
    """

    h: Any
    r: Any
    z: Any
    n: Any
    inner: Any


Parts = RNNParts | LSTMParts | GRUParts


def rnn_parts(
    x_share: Any, h: Any, w_hh: Any, b_hh: Any = None, nonlinearity: str = "tanh"
) -> RNNParts:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it (Elman 1990).

    Shapes: x_share (B, H), h (B, H) → (B, H).
    """
    a = x_share + affine(h, w_hh, b_hh)
    return RNNParts(np.tanh(a) if nonlinearity == "tanh" else relu(a), a)


def lstm_gates(x_share: Any, h: Any, w_hh: Any, b_hh: Any = None) -> tuple[Any, Any, Any, Any]:
    """i, f, o = σ(·) and g = tanh(·) of the pre-activations, each (B, H), as (i, f, g, o)."""
    a = x_share + affine(h, w_hh, b_hh)
    size = a.shape[-1] // 4
    s = sigmoid(a)
    g = np.tanh(a[..., 2 * size : 3 * size])
    return s[..., :size], s[..., size : 2 * size], g, s[..., 3 * size :]


def lstm_parts(
    x_share: Any, h: Any, c: Any, w_hh: Any, b_hh: Any = None, w_hr: Any = None
) -> LSTMParts:
    """c' = f∘c + i∘g;  h' = o∘tanh(c'), projected to W_hr h' where there is a `w_hr`.

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, no peepholes; the
    projection is that of Sak et al. 2014.  Shapes: x_share (B, 4H), h (B, R), c (B, H) →
    h' (B, R), c' (B, H).
    """
    gates = i, f, g, o = lstm_gates(x_share, h, w_hh, b_hh)
    c = f * c + i * g
    tanh_c = np.tanh(c)
    m = o * tanh_c
    return LSTMParts(m if w_hr is None else m @ w_hr.T, c, gates, tanh_c, m)


def gru_gates(
    x_share: Any, h: Any, w_hh: Any, b_hh: Any = None, reset_after: bool = True
) -> tuple[Any, Any, Any, Any]:
    """r, z, the candidate n of a GRU and what r multiplies, each (B, H).

    torch's form (`reset_after`): n = tanh(W_in x + b_in + r∘(W_hn h + b_hn)).  The original form
    (Cho et al. 2014): n = tanh(W_in x + b_in + W_hn (r∘h) + b_hn).
    """
    size = x_share.shape[-1] // 3
    rz, n = slice(0, 2 * size), slice(2 * size, 3 * size)
    if reset_after:
        a_h = affine(h, w_hh, b_hh)
        s = sigmoid(x_share[..., rz] + a_h[..., rz])
        r, z = s[..., :size], s[..., size:]
        inner = a_h[..., n]
        return r, z, np.tanh(x_share[..., n] + r * inner), inner
    b_rz, b_n = (None, None) if b_hh is None else (b_hh[rz], b_hh[n])
    s = sigmoid(x_share[..., rz] + affine(h, w_hh[rz], b_rz))
    r, z = s[..., :size], s[..., size:]
    return r, z, np.tanh(x_share[..., n] + affine(r * h, w_hh[n], b_n)), h


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
    print the other.  Shapes: x_share (B, 3H), h (B, H) → (B, H).
    """
    r, z, n, inner = gru_gates(x_share, h, w_hh, b_hh, reset_after)
    new = blend(z, h, n) if update_keeps else blend(z, n, h)
    return GRUParts(new, r, z, n, inner)


def parts(
    options: Options, weights: Mapping[str, Any], suffix: str, x_share: Any, state: tuple[Any, ...]
) -> Parts:
    """One step of any kind, with all that it goes through; weights found by `suffix`."""
    w_hh, b_hh = weights[f"weight_hh{suffix}"], weights.get(f"bias_hh{suffix}")
    if options.kind == "LSTM":
        h, c = state
        return lstm_parts(x_share, h, c, w_hh, b_hh, weights.get(f"weight_hr{suffix}"))
    (h,) = state
    if options.kind == "GRU":
        return gru_parts(x_share, h, w_hh, b_hh, options.reset_after, options.update_keeps)
    return rnn_parts(x_share, h, w_hh, b_hh, options.nonlinearity)


def step(
    options: Options, weights: Mapping[str, Any], suffix: str, x_share: Any, state: tuple[Any, ...]
) -> tuple[Any, ...]:
    """One step of any kind: state (h,) or (h, c) → the next state, weights found by `suffix`."""
    return tuple(parts(options, weights, suffix, x_share, state)[: len(state)])


def input_share(weights: Mapping[str, Any], suffix: str, x: Any) -> Any:
    """x W_ihᵀ + b_ih for x (..., I) → (..., gates·H)."""
    return affine(x, weights[f"weight_ih{suffix}"], weights.get(f"bias_ih{suffix}"))


def cell(
    options: Options, weights: Mapping[str, Any], x: Any, state: tuple[Any, ...]
) -> tuple[Any, ...]:
    """A torch.nn cell: x (B, I) or (I,), state (h,) or (h, c) of (B, H) or (H,) → next state."""
    with np.errstate(all="ignore"):
        return step(options, weights, "", input_share(weights, "", x), state)
