"""Variants of the LSTM: peepholes, coupled gates, a constant in a gate, clip, layer norm, masks.

i, f, g, o are the input gate, the forget gate, the candidate and the output gate; x is (B, I), and
h and c are (B, H).
"""

from __future__ import annotations

from typing import Any

from ..activations import blend, sigmoid
from ..declaring import kind
from ..functions import layer_norm

_FOUR = {"weight_ih": "4H I", "weight_hh": "4H H", "bias": "4H"}


@kind(weights={**_FOUR, "peephole": "3 H"}, states="h c", gates="i f g o")
def PeepholeLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """The gates see the cell: i and f the old one, o the new one (Gers & Schmidhuber 2000).

    The rows of `peephole` are those of i, f and o.
    """
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    i = sigmoid(i + w.peephole[0] * c)
    f = sigmoid(f + w.peephole[1] * c)
    c = f * c + i * np.tanh(g)
    o = sigmoid(o + w.peephole[2] * c)
    h = o * np.tanh(c)
    return h, (h, c)


@kind(weights={"weight_ih": "3H I", "weight_hh": "3H H", "bias": "3H"}, states="h c", gates="i g o")
def CoupledLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """f = 1 − i: coupled input and forget gate, CIFG (Greff et al. 2017)."""
    i, g, o = np.split(x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias, 3, axis=-1)
    c = blend(sigmoid(i), np.tanh(g), c)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)


@kind(weights=_FOUR, states="h c", gates="i f g o")
def ForgetOneLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """f = σ(a_f + 1): 1 is added in each step, as ncps and Haiku do.

    Keras's `unit_forget_bias` is something else: an initial value of the bias.
    """
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)


@kind(weights=_FOUR, states="h c", gates="i f g o")
def ClippedLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """c is cut at ±3 in each step: TensorFlow's `cell_clip` of 3."""
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    c = np.clip(sigmoid(f) * c + sigmoid(i) * np.tanh(g), -3.0, 3.0)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)


@kind(
    weights={
        "weight_ih": "4H I",
        "weight_hh": "4H H",
        "norm_ih": "2 4H",
        "norm_hh": "2 4H",
        "norm_c": "2 H",
    },
    states="h c",
    gates="i f g o",
)
def LayerNormLSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """Layer norm of both products over all gates, and of the new cell (Ba et al. 2016, eq. 20–22).

    So does PyTorch's LayerNormLSTMCell of its benchmarks.  TensorFlow's and Keras's norm each gate
    by itself.  Row 0 of a norm is its factor, row 1 what is added; ε is 10⁻⁵.
    """
    a = layer_norm(x @ w.weight_ih.T, w.norm_ih[0], w.norm_ih[1], 1e-5)
    a = a + layer_norm(h @ w.weight_hh.T, w.norm_hh[0], w.norm_hh[1], 1e-5)
    i, f, g, o = np.split(a, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    c = layer_norm(c, w.norm_c[0], w.norm_c[1], 1e-5)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)


@kind(weights=_FOUR, states="h c dh dc", gates="i f g o")
def ZoneoutLSTM(np: Any, x: Any, h: Any, c: Any, dh: Any, dc: Any, w: Any) -> Any:
    """Where a mask is 1 the unit keeps its old value: c' = dc∘c + (1−dc)∘ĉ (Krueger et al. 2017).

    The masks dh and dc are states that no step changes, so a caller passes one for all steps.  The
    new output is made of ĉ, the cell before its mask.  In evaluation a mask is its expectation, the
    rate of zoneout.
    """
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = blend(dh, h, sigmoid(o) * np.tanh(new))
    return h, (h, blend(dc, c, new), dh, dc)


@kind(weights=_FOUR, states="h c d", gates="i f g o")
def RecurrentDropoutLSTM(np: Any, x: Any, h: Any, c: Any, d: Any, w: Any) -> Any:
    """A mask on the candidate alone: c' = f∘c + i∘(d∘g) (Semeniuta et al. 2016).

    The mask d is a state that no step changes.  It has the scale 1/(1−p) where a unit is kept.
    """
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * (d * np.tanh(g))
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c, d)
