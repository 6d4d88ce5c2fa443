"""Flax NNX's cells, LSTMCell, OptimizedLSTMCell, GRUCell and SimpleCell, with `jax.vjp`.

Kernels have shape (in, out), and the carry of an LSTM is (c, h).  The LSTMs and SimpleCell have one
bias.  GRUCell has only the bias of the input: its docstring prints a b_hn, but the cell has none
(google/flax#5594).  So it is checked as a GRU without b_hh.

Without an explicit dtype, SimpleCell computes in float32 for every input, unlike the other cells.
So every cell here is made with a dtype.
"""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from gatewise.properties.subjects.adapting.adapter import Adapter

from .jax_vjp import UNSUPPORTED, of_tensors


def _run(kind: Any, x: Any, carry: Any, weights: dict[str, Any]) -> Any:
    """The new carry of a cell whose weights are named by their path in it."""
    h = jax.tree.leaves(carry)[-1]
    sizes, own = (x.shape[-1], h.shape[-1]), {"dtype": x.dtype, "param_dtype": x.dtype}
    graph, state = nnx.split(nnx.eval_shape(lambda: kind(*sizes, **own, rngs=nnx.Rngs(0))))
    for path, array in weights.items():
        layer, leaf = path.rsplit("__", 1)
        state[layer][leaf].value = array
    return nnx.merge(graph, state)(carry, x)[0]


@of_tensors
def lstm_cell(x: Any, c: Any, h: Any, **weights: Any) -> Any:
    """nnx.LSTMCell."""
    return _run(nnx.LSTMCell, x, (c, h), weights)


@of_tensors
def optimized_lstm_cell(x: Any, c: Any, h: Any, **weights: Any) -> Any:
    """nnx.OptimizedLSTMCell."""
    return _run(nnx.OptimizedLSTMCell, x, (c, h), weights)


@of_tensors
def gru_cell(x: Any, h: Any, **weights: Any) -> Any:
    """nnx.GRUCell."""
    return _run(nnx.GRUCell, x, h, weights)


@of_tensors
def simple_cell(x: Any, h: Any, **weights: Any) -> Any:
    """nnx.SimpleCell."""
    return _run(nnx.SimpleCell, x, h, weights)


_STACKED = {"dense_i__kernel": "weight_ih", "dense_h__kernel": "weight_hh"}
_LETTERS = {"i": "i", "f_": "f", "g": "g", "o": "o"}


def _adapter(own: Any, like: str, weights: dict[str, str], state: str = "") -> Adapter:
    return Adapter(
        own,
        like=like,
        weights=weights,
        transposed=True,
        state=state,
        function=True,
        unsupported={**UNSUPPORTED, "bias": "the cell always has one"},
    )


LSTMCell = _adapter(
    lstm_cell,
    "LSTMCell",
    {f"i{own}__kernel": f"weight_ih.{g}" for own, g in _LETTERS.items()}
    | {f"h{g}__kernel": f"weight_hh.{g}" for g in "ifgo"}
    | {f"h{g}__bias": f"bias.{g}" for g in "ifgo"},
    state="ch",
)
OptimizedLSTMCell = _adapter(
    optimized_lstm_cell, "LSTMCell", {**_STACKED, "dense_h__bias": "bias"}, state="ch"
)
GRUCell = _adapter(gru_cell, "GRUCell", {**_STACKED, "dense_i__bias": "bias_ih"})
SimpleCell = _adapter(simple_cell, "RNNCell", {**_STACKED, "dense_i__bias": "bias"})
