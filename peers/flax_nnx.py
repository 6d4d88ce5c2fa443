"""Flax NNX's cells: LSTMCell, OptimizedLSTMCell, GRUCell and SimpleCell.

Kernels have shape (in, out), and the carry of an LSTM is (c, h).  The LSTMs and SimpleCell have one
bias.  GRUCell has only the bias of the input: its docstring prints a b_hn, but the cell has none
(google/flax#5594).  So it is checked as a GRU without b_hh.

Without an explicit dtype, SimpleCell computes in float32 for every input, unlike the other cells.
So every cell here is made with a dtype.  JAX computes in float64 only if `jax_enable_x64` is set;
importing this module sets it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gatewise.properties.subjects.adapting.adapter import Adapter

jax.config.update("jax_enable_x64", True)


@lru_cache(maxsize=256)
def _cell(name: str, input_size: int, hidden_size: int, dtype: str) -> Any:
    """A cell.  `_run` replaces its weights before each call."""
    kind, own = getattr(nnx, name), jnp.dtype(dtype)
    return kind(input_size, hidden_size, dtype=own, param_dtype=own, rngs=nnx.Rngs(0))


def _run(name: str, x: Any, carry: Any, weights: dict[str, Any]) -> Any:
    """The new carry, with weights named by their path in the cell."""
    h = carry[1] if isinstance(carry, tuple) else carry
    cell = _cell(name, x.shape[-1], h.shape[-1], str(x.dtype))
    for path, array in weights.items():
        layer, leaf = path.rsplit("__", 1)
        getattr(getattr(cell, layer), leaf).value = jnp.asarray(array)
    given = jax.tree.map(jnp.asarray, carry)
    return jax.tree.map(np.asarray, cell(given, jnp.asarray(x))[0])


def lstm_cell(x: Any, c: Any, h: Any, **weights: Any) -> Any:
    """nnx.LSTMCell."""
    return _run("LSTMCell", x, (c, h), weights)


def optimized_lstm_cell(x: Any, c: Any, h: Any, **weights: Any) -> Any:
    """nnx.OptimizedLSTMCell."""
    return _run("OptimizedLSTMCell", x, (c, h), weights)


def gru_cell(x: Any, h: Any, **weights: Any) -> Any:
    """nnx.GRUCell."""
    return _run("GRUCell", x, h, weights)


def simple_cell(x: Any, h: Any, **weights: Any) -> Any:
    """nnx.SimpleCell."""
    return _run("SimpleCell", x, h, weights)


_STACKED = {"dense_i__kernel": "weight_ih", "dense_h__kernel": "weight_hh"}
_LETTERS = {"i": "i", "f_": "f", "g": "g", "o": "o"}


def _adapter(own: Any, like: str, weights: dict[str, str], state: str = "") -> Adapter:
    return Adapter(
        own,
        like=like,
        weights=weights,
        transposed=True,
        state=state,
        arrays="numpy",
        function=True,
        unsupported={"bias": "the cell always has one"},
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
