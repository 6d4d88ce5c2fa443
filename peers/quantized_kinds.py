"""What torch.ao.nn.quantized.dynamic computes, as declared kinds.

The equations are those of torch.nn on weights that were rounded, to int8 or to float16.  With int8
weights x and h are rounded to a grid before each product, x over all steps of a layer at once; the
Balls contain every point of the grid that they may be rounded to (`gatewise.reference.quantized`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gatewise as gw
from gatewise.reference.quantized import float16_weight, int8_factor, int8_weight

_Of = Callable[[Any], Any]


def _weights(gates: int) -> dict[str, str]:
    """The shapes of torch.nn's weights for a number of gates."""
    rows = f"{gates}H"
    return {"weight_ih": f"{rows} I", "weight_hh": f"{rows} H", "bias_ih": rows, "bias_hh": rows}


def _lstm(np: Any, x: Any, h: Any, c: Any, w: Any, weight: _Of, factor: _Of) -> Any:
    a = x @ weight(w.weight_ih).T + w.bias_ih + factor(h) @ weight(w.weight_hh).T + w.bias_hh
    i, f, g, o = np.split(a, 4, axis=-1)
    c = gw.sigmoid(f) * c + gw.sigmoid(i) * np.tanh(g)
    h = gw.sigmoid(o) * np.tanh(c)
    return h, (h, c)


def _gru(np: Any, x: Any, h: Any, w: Any, weight: _Of, factor: _Of) -> Any:
    a = x @ weight(w.weight_ih).T + w.bias_ih
    b = factor(h) @ weight(w.weight_hh).T + w.bias_hh
    (r, z, n), (r_h, z_h, n_h) = np.split(a, 3, axis=-1), np.split(b, 3, axis=-1)
    n = np.tanh(n + gw.sigmoid(r + r_h) * n_h)
    h = gw.blend(gw.sigmoid(z + z_h), h, n)
    return h, h


def _rnn(x: Any, h: Any, w: Any, weight: _Of, factor: _Of) -> Any:
    return x @ weight(w.weight_ih).T + w.bias_ih + factor(h) @ weight(w.weight_hh).T + w.bias_hh


def _same(h: Any) -> Any:
    return h


@gw.kind(weights=_weights(4), states="h c", gates="i f g o", input=int8_factor)
def Int8LSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """An LSTM with weights of int8."""
    return _lstm(np, x, h, c, w, int8_weight, int8_factor)


@gw.kind(weights=_weights(3), states="h", gates="r z n", input=int8_factor)
def Int8GRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """A GRU with weights of int8."""
    return _gru(np, x, h, w, int8_weight, int8_factor)


@gw.kind(weights=_weights(1), states="h", gates="h", input=int8_factor)
def Int8RNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """An RNN of tanh with weights of int8."""
    h = np.tanh(_rnn(x, h, w, int8_weight, int8_factor))
    return h, h


@gw.kind(weights=_weights(1), states="h", gates="h", input=int8_factor)
def Int8ReluRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """An RNN of relu with weights of int8."""
    h = gw.relu(_rnn(x, h, w, int8_weight, int8_factor))
    return h, h


@gw.kind(weights=_weights(4), states="h c", gates="i f g o")
def Float16LSTM(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """An LSTM with weights of float16."""
    return _lstm(np, x, h, c, w, float16_weight, _same)


@gw.kind(weights=_weights(3), states="h", gates="r z n")
def Float16GRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """A GRU with weights of float16."""
    return _gru(np, x, h, w, float16_weight, _same)


@gw.kind(weights=_weights(1), states="h", gates="h")
def Float16RNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """An RNN of tanh with weights of float16."""
    h = np.tanh(_rnn(x, h, w, float16_weight, _same))
    return h, h


@gw.kind(weights=_weights(1), states="h", gates="h")
def Float16ReluRNN(np: Any, x: Any, h: Any, w: Any) -> Any:
    """An RNN of relu with weights of float16."""
    h = gw.relu(_rnn(x, h, w, float16_weight, _same))
    return h, h
