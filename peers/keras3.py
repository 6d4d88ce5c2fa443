"""Keras 3's LSTM, GRU (both forms) and SimpleRNN on its torch backend, differentiable.

Keras stacks gates i f c o and z r h in matrices (in, out).  A GRU with reset_after has a bias of
two rows, input and recurrent; every other layer has one bias.  Each layer is called as a function
of its weights (`stateless_call`), so gradients reach the weights.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from torch import Tensor

from gatewise.properties.subjects.adapting.adapter import Adapter

if keras.backend.backend() != "torch":
    raise ImportError(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=torch")


@lru_cache(maxsize=256)
def _layer(name: str, sizes: tuple[int, int], dtype: str, options: tuple[Any, ...]) -> Any:
    """A built layer; its own weights are not used."""
    input_size, hidden_size = sizes
    layer = getattr(keras.layers, name)(
        hidden_size,
        return_sequences=True,
        return_state=True,
        recurrent_initializer="zeros",  # the default needs a QR factorisation in the dtype
        dtype=dtype,
        **dict(options),
    )
    layer.build((None, None, input_size))
    return layer


def _run(name: str, x: Tensor, states: list[Tensor], weights: list[Tensor], **options: Any) -> Any:
    """x (B, T, I), states (1, B, H) → output (B, T, H) and the states (1, B, H)."""
    dtype = str(x.dtype).removeprefix("torch.")
    sizes = x.shape[-1], states[0].shape[-1]
    layer = _layer(name, sizes, dtype, tuple(options.items()))
    others = [v.value for v in layer.non_trainable_variables]
    initial = [s[0] for s in states]
    results, _ = layer.stateless_call(weights, others, x, initial_state=initial)
    return results[0], [s[None] for s in results[1:]]


def lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
) -> Any:
    """keras.layers.LSTM."""
    weights = [kernel, recurrent_kernel] + ([] if bias is None else [bias])
    return _run("LSTM", x, [h, c], weights, use_bias=bias is not None)


def gru(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
) -> Any:
    """keras.layers.GRU with reset_after; `bias` (2·3H,) is its first row, then its second."""
    weights = [kernel, recurrent_kernel] + ([] if bias is None else [bias.reshape(2, -1)])
    return _run("GRU", x, [h], weights, use_bias=bias is not None, reset_after=True)


def gru_reset_before(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
) -> Any:
    """keras.layers.GRU without reset_after."""
    weights = [kernel, recurrent_kernel] + ([] if bias is None else [bias])
    return _run("GRU", x, [h], weights, use_bias=bias is not None, reset_after=False)


def simple_rnn(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
) -> Any:
    """keras.layers.SimpleRNN."""
    weights = [kernel, recurrent_kernel] + ([] if bias is None else [bias])
    return _run("SimpleRNN", x, [h], weights, use_bias=bias is not None)


def _adapter(own: Any, like: str, gates: str = "", bias: str = "bias", **form: Any) -> Adapter:
    return Adapter(
        own,
        like=like,
        weights={"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": bias},
        gates=gates,
        transposed=True,
        layout="batch-major",
        function=True,
        unsupported={
            "packed": "Keras masks instead",
            "unbatched": "Keras takes three dimensions alone",
        },
        **form,
    )


LSTM = _adapter(lstm, "LSTM", "ifco")
GRU = _adapter(gru, "GRU", "zrh", "bias_ih;bias_hh")
GRUResetBefore = _adapter(gru_reset_before, "GRU", "zrh", reset_after=False)
SimpleRNN = _adapter(simple_rnn, "RNN")
