"""Equinox's cells, LSTMCell and GRUCell, with gradients from `jax.vjp`.

The cells take one row, as vectors, and `jax.vmap` runs them on a batch.  Both have torch.nn's order
of gates.  LSTMCell has one bias.  GRUCell has the sums of the biases of r and z and the bias of the
input of n in `bias`, and the bias of the state of n in `bias_n`.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from gatewise.properties.subjects.adapting.adapter import Adapter

from .jax_vjp import UNSUPPORTED, of_tensors


def _run(kind: Any, x: Any, state: Any, weights: dict[str, Any]) -> Any:
    """What a cell with these weights returns for x (I,) or (B, I)."""
    h = jax.tree.leaves(state)[0]
    biased = weights["bias"] is not None
    shapes = eqx.filter_eval_shape(kind, x.shape[-1], h.shape[-1], biased, key=jax.random.key(0))
    held = {name: array for name, array in weights.items() if array is not None}
    cell = eqx.tree_at(lambda c: [getattr(c, name) for name in held], shapes, [*held.values()])
    return (jax.vmap(cell) if x.ndim == 2 else cell)(x, state)


@of_tensors
def lstm_cell(x: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias: Any = None) -> Any:
    """equinox.nn.LSTMCell: x (I,) or (B, I), h and c (H,) or (B, H) → the new h and c."""
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias}
    return _run(eqx.nn.LSTMCell, x, (h, c), weights)


@of_tensors
def gru_cell(
    x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any = None, bias_n: Any = None
) -> Any:
    """equinox.nn.GRUCell: x (I,) or (B, I), h (H,) or (B, H) → the new h."""
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias, "bias_n": bias_n}
    return _run(eqx.nn.GRUCell, x, h, weights)


_MATRICES = {"weight_ih": "weight_ih", "weight_hh": "weight_hh"}

LSTMCell = Adapter(
    lstm_cell,
    like="LSTMCell",
    weights={**_MATRICES, "bias": "bias"},
    function=True,
    unsupported=UNSUPPORTED,
)
GRUCell = Adapter(
    gru_cell,
    like="GRUCell",
    weights={**_MATRICES, "bias": "bias.r;bias.z;bias_ih.n", "bias_n": "bias_hh.n"},
    function=True,
    unsupported=UNSUPPORTED,
)
