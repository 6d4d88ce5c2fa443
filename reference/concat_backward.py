"""Gradients of the cells on [x, h] and of the tagger, derived by hand as in `backward`.

I is the input size, H the hidden size, O the output size, B the batch, V the vocabulary, T time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import constant, join, settled
from .backward import layer_backward
from .cells_backward import gru_local, lstm_factors
from .concat_cells import gate_layers, linear, parts
from .kinds import KINDS
from .log_softmax import log_softmax, log_softmax_backward
from .options import Options
from .recurrence import plus, through
from .slopes import also_summed, product, tanh_slope
from .tagger import lstm_weights
from .unroll import layer


class _Linears:
    """Collects the gradients of linear layers.  A step may use a layer several times.

    The sum over these uses of Wᵀd and of d ⊗ u covers the form that first sums the adjoints d of
    one input u: the terms are the same, and each passes as many roundings.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.weights = weights
        self.gradients: dict[str, Any] = {}

    def back(self, layers: Sequence[str], adjoint: Any, u: Any, stacked: Any = None) -> Any:
        """Add the gradients of k layers with one input u (B, n); return the adjoint of u (B, n).

        `adjoint` (B, k·m) is the adjoint of the results of the layers, side by side.  `stacked`
        (k·m, n) holds their weights; for one layer it may be None.
        """
        whole = adjoint.T @ join([u, np.ones((len(u), 1))])
        if len(set(layers)) == len(layers):
            whole = settled(whole)
        size = whole.shape[0] // len(layers)
        for k, name in enumerate(layers):
            own = whole[k * size : (k + 1) * size]
            self.gradients[name] = plus(self.gradients.get(name), own)
        w = self.weights[f"{layers[0]}.weight"] if stacked is None else stacked
        return through(adjoint, w, len(layers))

    def named(self) -> dict[str, Any]:
        """The gradients by the names of weights and biases."""
        whole = {name: settled(d) for name, d in self.gradients.items()}
        weights = {f"{name}.weight": d[:, :-1] for name, d in whole.items()}
        return weights | {f"{name}.bias": d[:, -1] for name, d in whole.items()}


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

    Shapes are those of `concat_cells.step`.  `upstream` maps any of output, h and c to the
    derivative of the loss by it; a missing name means zero.
    """
    with np.errstate(all="ignore"):
        p, size = parts(kind, weights, x, state), x.shape[-1]
        linears, layers = _Linears(weights), gate_layers(kind)
        d_logits = log_softmax_backward(p["output"], _adjoint(upstream.get("output"), p["output"]))
        if "i2h" in layers:
            du = linears.back(["i2o"], d_logits, p["u"])
            du = plus(du, linears.back(["i2h"], _adjoint(upstream.get("h"), p["h"]), p["u"]))
            starts, dx = (du[..., size:],), du[..., :size]
        else:
            dh = settled(plus(linears.back(["output"], d_logits, p["h"]), upstream.get("h")))
            if "r" in KINDS[kind].gates:
                starts, dx = _gru(linears, layers, p, state[0], dh, size)
            else:
                du, *rest = _elementwise(linears, layers, p, state, dh, upstream.get("c"))
                starts, dx = (du[..., size:], *rest), du[..., :size]
        gradients = {"input": dx, **dict(zip(("h_0", "c_0"), starts, strict=False))}
        gradients = {name: settled(d) for name, d in gradients.items()}
        own = linears.named()
        return gradients | {name: own[name] for name in weights}


def _elementwise(
    linears: _Linears,
    layers: tuple[str, ...],
    p: Mapping[str, Any],
    state: tuple[Any, ...],
    dh: Any,
    dc: Any,
) -> tuple[Any, ...]:
    """RNN and LSTM: the adjoint of u = [x, h], and that of c."""
    if len(state) == 1:
        return (linears.back(layers, product(tanh_slope(p["h"]), dh), p["u"]),)
    factors, through_c = lstm_factors(p["gates"], p["tanh_c"], state[1])
    dc, size = settled(plus(product(through_c, dh), dc)), factors.shape[-1] * 4 // 5
    back = product(factors, join([dc, dc, dc, dh, dc]))
    return linears.back(layers, back[..., :size], p["u"], p["stacked"]), back[..., size:]


def _gru(
    linears: _Linears, layers: tuple[str, ...], p: Mapping[str, Any], h: Any, dh: Any, size: int
) -> tuple[tuple[Any], Any]:
    """h' = (1−z)∘h + z∘n, n = tanh(W [x, r∘h] + b): the adjoints ((dh,), dx).

    `gru_local` charges the other form of h' as well.
    """
    H = h.shape[-1]
    by_rz, by_n, to_h = gru_local(p["rz"], p["n"], h, h, update_keeps=False)
    dv = settled(linears.back(layers[2:], product(by_n, dh), p["v"]))
    q = dv[..., size:]
    du = linears.back(layers[:2], product(by_rz, join([q, dh])), p["u"], p["stacked"])
    d_h = du[..., size:] + product(to_h, dh) + product(p["rz"][..., :H], q)
    return (d_h,), du[..., :size] + dv[..., :size]


def tag_backward(
    weights: Mapping[str, Any], ids: npt.NDArray[np.int64], upstream: Mapping[str, Any]
) -> dict[str, Any]:
    """Gradients of a tagger's weights by name; ids (T,), upstream["output"] (T, O).

    The initial state is zero.  A word's row of the embedding gets the sum, in any order, of the
    adjoints at all positions of the word.  Rows of absent words are exactly zero.
    """
    words = weights["word_embeddings.weight"][ids]
    V, H = weights["word_embeddings.weight"].shape[0], weights["hidden2tag.weight"].shape[1]
    options, own = Options("LSTM", words.shape[-1], H), lstm_weights(weights)
    state = [constant(words, np.zeros((1, H)))] * 2
    with np.errstate(all="ignore"):
        hidden = settled(layer(options, own, words, state).output)
        y = log_softmax(linear(weights, "hidden2tag", hidden))
        d_logits = log_softmax_backward(y, _adjoint(upstream.get("output"), y))
        linears = _Linears(weights)
        dh = linears.back(["hidden2tag"], d_logits, hidden)
        lstm = layer_backward(options, own, words, state, {"output": settled(dh)})
        chosen = (ids == np.arange(V)[:, None]).astype(np.float64)
        gradients = {f"lstm.{name}": lstm[name] for name in own} | linears.named()
        gradients["word_embeddings.weight"] = also_summed(chosen @ lstm["input"], len(ids) - 1)
        return {name: settled(gradients[name]) for name in weights}
