"""Cells whose linear layers act on [x, h], with one layer for all gates or one for each gate.

A tutorial's code has one layer for all gates ("shared").  Its text describes one layer for each
gate ("independent").  I is the input size, H the hidden size, O the output size, B the batch.
Weights have torch.nn.Linear's names and shapes: a layer `gate` is the pair `gate.weight`
(H, I+H), `gate.bias` (H,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from .activations import blend, constant, join, lstm_activations, settled, sigmoid
from .cells import affine, lstm_state
from .kinds import KINDS, Kind
from .log_softmax import log_softmax


def _linear(kind: Kind) -> bool:
    """Whether the kind is the shared RNN: one gate, without a nonlinearity."""
    return kind.shared and len(kind.gates) == 1


def gate_layers(kind: str) -> tuple[str, ...]:
    """Name of the layer of each gate, in torch.nn's order of gates; a shared layer is repeated."""
    own = KINDS[kind]
    if _linear(own):
        return ("i2h",)
    return tuple("gate" if own.shared else f"gate_{g}" for g in own.gates)


def weight_shapes(
    kind: str, input_size: int, hidden_size: int, output_size: int
) -> dict[str, tuple[int, ...]]:
    """Name → shape of every weight, in order of registration."""
    I, H, O = input_size, hidden_size, output_size  # noqa: E741
    layers = dict.fromkeys(gate_layers(kind), (H, I + H))
    layers |= {"i2o": (O, I + H)} if _linear(KINDS[kind]) else {"output": (O, H)}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def gate_count(kind: str, input_size: int, hidden_size: int) -> int:
    """Number of parameters of the gates: (I+H)·H + H for each layer; a shared one counts once."""
    shapes = weight_shapes(kind, input_size, hidden_size, 1)
    layers = set(gate_layers(kind))
    return sum(prod(s) for n, s in shapes.items() if n.partition(".")[0] in layers)


def linear(weights: Mapping[str, Any], layer: str, u: Any) -> Any:
    """u Wᵀ + b of a named layer."""
    return affine(u, weights[f"{layer}.weight"], weights[f"{layer}.bias"])


def side_by_side(weights: Mapping[str, Any], layers: Sequence[str]) -> tuple[Any, Any]:
    """Weights (k·H, I+H) and biases (k·H,) of k layers, concatenated along the first axis."""
    parts = ([weights[f"{layer}.{part}"] for layer in layers] for part in ("weight", "bias"))
    w, b = (np.concatenate(part) for part in parts)
    return w, b


def parts(kind: str, weights: Mapping[str, Any], x: Any, state: tuple[Any, ...]) -> dict[str, Any]:
    """One step with all its values, named by the letters of the equations in `step`.

    `gates` are i, f, g, o of an LSTM side by side, `rz` the gates of a GRU, and `stacked` the
    weights of the layers of these gates.
    """
    own, layers, u = KINDS[kind], gate_layers(kind), join([x, state[0]])
    if _linear(own):
        y = log_softmax(linear(weights, "i2o", u))
        return {"output": y, "h": linear(weights, "i2h", u), "u": u}
    p: dict[str, Any] = {"u": u}
    if len(own.gates) == 1:
        h = np.tanh(linear(weights, layers[0], u))
    elif "c" in own.states:
        p["stacked"], b = (constant(u, w) for w in side_by_side(weights, layers))
        p["gates"] = lstm_activations(affine(u, p["stacked"], b))
        p["c"], p["tanh_c"], h = lstm_state(p["gates"], state[1])
    else:
        p["stacked"], b = (constant(u, w) for w in side_by_side(weights, layers[:2]))
        p["rz"] = sigmoid(affine(u, p["stacked"], b))
        H = state[0].shape[-1]
        p["v"] = join([x, p["rz"][..., :H] * state[0]])
        p["n"] = np.tanh(linear(weights, layers[2], p["v"]))
        h = blend(p["rz"][..., H:], p["n"], state[0])
    return p | {"output": log_softmax(linear(weights, "output", h)), "h": h}


def step(kind: str, weights: Mapping[str, Any], x: Any, state: tuple[Any, ...]) -> dict[str, Any]:
    """One step: x (B, I), state (h,) or (h, c) of (B, H) → output (B, O), h, and c of an LSTM.

    RNN, shared: h' = W_i2h u + b without a nonlinearity and y = log_softmax(W_i2o u + b), with
    u = [x, h] and the old h.  RNN, independent: h' = tanh(W u + b), y = log_softmax(W_out h' + b).
    LSTM: c' = f∘c + i∘g, h' = o∘tanh(c'); i, f, o = σ and g = tanh of their layers of u.
    GRU: n = tanh(W v + b) with v = [x, r∘h], h' = (1−z)∘h + z∘n; its z is one minus torch's.
    """
    through = parts(kind, weights, x, state)
    return {name: settled(through[name]) for name in ("output", "h", "c") if name in through}
