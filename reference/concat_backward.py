"""Gradients of the cells on [x, h] and of the tagger, by hand, as in `backward`.

I is the input size, H the hidden size, O the output size, B the batch, V the vocabulary, T time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import also_rounded
from .backward import layer_backward
from .cells_backward import plus, through
from .concat_cells import cell_of, gate_layers, linear, parts
from .log_softmax import log_softmax, log_softmax_backward
from .parameters import Options
from .slopes import also_summed, product, settled, sigmoid_slope, tanh_slope
from .tagger import lstm_weights
from .unroll import layer


class _Linears:
    """Collects gradients of linear layers, which may be used several times in a step.

    A sum over the uses of Wᵀd and of d ⊗ u covers the form that first sums the adjoints d of one
    input u: a term passes as many roundings, and the terms are the same.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.weights = weights
        self.gradients: dict[str, Any] = {}

    def back(self, name: str, adjoint: Any, u: Any) -> Any:
        """The adjoint (B, n) of the layer's input u (B, n), from that of its result (B, m)."""
        own = {f"{name}.weight": adjoint.T @ u, f"{name}.bias": np.sum(adjoint, axis=0)}
        for key, gradient in own.items():
            self.gradients[key] = plus(self.gradients.get(key), gradient)
        return through(adjoint, self.weights[f"{name}.weight"], 1)


def _adjoint(d: Any, result: Any) -> Any:
    return np.zeros_like(result) if d is None else d


def concat_backward(
    kind: str,
    weights: Mapping[str, Any],
    x: Any,
    state: tuple[Any, ...],
    upstream: Mapping[str, Any],
) -> dict[str, Any]:
    """Gradients of one step by name: input, h_0, c_0 of an LSTM, and every weight.

    Shapes are those of `concat_cells.step`; `upstream` maps any of output, h and c to the loss's
    derivative by it; what is absent is zero.
    """
    with np.errstate(all="ignore"):
        p, size = parts(kind, weights, x, state), x.shape[-1]
        linears, layers = _Linears(weights), gate_layers(kind)
        d_logits = log_softmax_backward(p["output"], _adjoint(upstream.get("output"), p["output"]))
        if kind == "SharedRNN":
            du = linears.back("i2o", d_logits, p["u"])
            du = plus(du, linears.back("i2h", _adjoint(upstream.get("h"), p["h"]), p["u"]))
            starts, dx = (du[..., size:],), du[..., :size]
        else:
            dh = settled(plus(linears.back("output", d_logits, p["h"]), upstream.get("h")))
            if cell_of(kind) == "GRU":
                starts, dx = _gru(linears, layers, p, state[0], dh, size)
            else:
                du, *rest = _elementwise(linears, layers, p, state, dh, upstream.get("c"))
                starts, dx = (du[..., size:], *rest), du[..., :size]
    gradients = {name: linears.gradients[name] for name in weights}
    return {"input": dx, **dict(zip(("h_0", "c_0"), starts, strict=False)), **gradients}


def _elementwise(
    linears: _Linears,
    layers: tuple[str, ...],
    p: Mapping[str, Any],
    state: tuple[Any, ...],
    dh: Any,
    dc: Any,
) -> tuple[Any, ...]:
    """RNN and LSTM: the adjoint of u, and of c."""
    if len(state) == 1:
        return (linears.back(layers[0], product(tanh_slope(p["h"]), dh), p["u"]),)
    dc = settled(plus(product(p["o"], tanh_slope(p["tanh_c"]), dh), dc))
    adjoints = (
        product(p["g"], sigmoid_slope(p["i"]), dc),
        product(sigmoid_slope(p["f"]), state[1], dc),
        product(p["i"], tanh_slope(p["g"]), dc),
        product(p["tanh_c"], sigmoid_slope(p["o"]), dh),
    )
    du = None
    for name, adjoint in zip(layers, adjoints, strict=True):
        du = plus(du, linears.back(name, adjoint, p["u"]))
    return du, product(p["f"], dc)


def _gru(
    linears: _Linears, layers: tuple[str, ...], p: Mapping[str, Any], h: Any, dh: Any, size: int
) -> tuple[tuple[Any], Any]:
    """h' = (1−z)∘h + z∘n, n = tanh(W [x, r∘h] + b); both forms as in `gru_backward`."""
    r, z, n = p["r"], p["z"], p["n"]
    apart, rest = also_rounded(n - h, n, h), also_rounded(1.0 - z, z, 1.0)
    dv = settled(linears.back(layers[2], product(z, tanh_slope(n), dh), p["v"]))
    q = dv[..., size:]
    du = linears.back(layers[0], product(sigmoid_slope(r), h, q), p["u"])
    du = plus(du, linears.back(layers[1], product(apart, sigmoid_slope(z), dh), p["u"]))
    through_h = product(rest, dh) + product(r, q)
    return (du[..., size:] + through_h,), du[..., :size] + dv[..., :size]


def tag_backward(
    weights: Mapping[str, Any], ids: npt.NDArray[np.int64], upstream: Mapping[str, Any]
) -> dict[str, Any]:
    """Gradients of a tagger's weights by name, from a zero state; ids (T,), upstream (T, O).

    The embedding's row of a word gains the adjoint of every place where the word stands, in any
    order; rows of absent words are exactly zero.
    """
    words = weights["word_embeddings.weight"][ids]
    V, H = weights["word_embeddings.weight"].shape[0], weights["hidden2tag.weight"].shape[1]
    options, own = Options("LSTM", words.shape[-1], H), lstm_weights(weights)
    state = [np.zeros((1, H)), np.zeros((1, H))]
    with np.errstate(all="ignore"):
        hidden = settled(layer(options, own, words, state).output)
        y = log_softmax(linear(weights, "hidden2tag", hidden))
        d_logits = log_softmax_backward(y, _adjoint(upstream.get("output"), y))
        linears = _Linears(weights)
        dh = linears.back("hidden2tag", d_logits, hidden)
        lstm = layer_backward(options, own, words, state, {"output": settled(dh)})
        chosen = (ids == np.arange(V)[:, None]).astype(np.float64)
        gradients = {f"lstm.{name}": lstm[name] for name in own} | linears.gradients
        gradients["word_embeddings.weight"] = also_summed(chosen @ lstm["input"], len(ids) - 1)
    return {name: gradients[name] for name in weights}
