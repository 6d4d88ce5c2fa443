"""Haiku's cores LSTM, GRU and VanillaRNN, and their unrolls, with gradients from `jax.vjp`.

Matrices are (in, out).  LSTM has one matrix on [x, h], gates in the order i g f o, and one bias.
It adds 1 to the forget gate in each step, so it is like ForgetOneLSTM: a note in its docstring says
that 1 is added to b_f.  GRU resets the state before the product, and z = 1 takes the candidate, as
its docstring says.  VanillaRNN has relu, and two biases.

The unrolls are `hk.dynamic_unroll` of the core in an `hk.ResetCore`, of one layer and direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from gatewise.properties.subjects.adapting.adapter import Adapter

from .jax_vjp import UNSUPPORTED, of_tensors

try:
    import haiku as hk
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}; haiku is in the package dm-haiku") from error


def _run(core: Callable[..., Any], x: Any, state: Any, params: Any) -> Any:
    """The new state of one step of a core; x (I,) or (B, I)."""
    run = hk.transform(lambda: core(_width(state))(x, state))
    return hk.without_apply_rng(run).apply(params)[1]


def _unroll(core: Callable[..., Any], x: Any, state: Any, resets: Any, params: Any) -> Any:
    """The output and the last state; x (T, B, I) or (T, I), resets (T, B) or None."""
    resets = jnp.zeros(x.shape[:-1], bool) if resets is None else resets
    own = hk.transform(
        lambda: hk.dynamic_unroll(hk.ResetCore(core(_width(state))), (x, resets), state)
    )
    return hk.without_apply_rng(own).apply(params)


def _width(state: Any) -> int:
    return int((state.hidden if isinstance(state, hk.LSTMState) else state).shape[-1])


def _lstm(w: Any, b: Any) -> Any:
    return {"lstm/linear": {"w": w, "b": b}}


def _gru(w_i: Any, w_h: Any, b: Any) -> Any:
    return {"gru": {"w_i": w_i, "w_h": w_h, "b": b}}


def _rnn(w_i: Any, b_i: Any, w_h: Any, b_h: Any) -> Any:
    own = "vanilla_rnn/linear"
    return {own: {"w": w_i, "b": b_i}, f"{own}_1": {"w": w_h, "b": b_h}}


@of_tensors
def lstm(x: Any, h: Any, c: Any, w: Any, b: Any) -> Any:
    """A step of hk.LSTM: x (I,) or (B, I), h and c (H,) or (B, H) → the new h and c."""
    return _run(hk.LSTM, x, hk.LSTMState(h, c), _lstm(w, b))


@of_tensors
def gru(x: Any, h: Any, w_i: Any, w_h: Any, b: Any) -> Any:
    """A step of hk.GRU: x (I,) or (B, I), h (H,) or (B, H) → the new h."""
    return _run(hk.GRU, x, h, _gru(w_i, w_h, b))


@of_tensors
def vanilla_rnn(x: Any, h: Any, w_i: Any, b_i: Any, w_h: Any, b_h: Any) -> Any:
    """A step of hk.VanillaRNN: x (I,) or (B, I), h (H,) or (B, H) → the new h."""
    return _run(hk.VanillaRNN, x, h, _rnn(w_i, b_i, w_h, b_h))


@of_tensors
def unrolled_lstm(x: Any, h: Any, c: Any, w: Any, b: Any, resets: Any = None) -> Any:
    """An unroll of hk.LSTM: x (T, B, I) or (T, I) → the output, and the last h and c."""
    return _unroll(hk.LSTM, x, hk.LSTMState(h, c), resets, _lstm(w, b))


@of_tensors
def unrolled_gru(x: Any, h: Any, w_i: Any, w_h: Any, b: Any, resets: Any = None) -> Any:
    """An unroll of hk.GRU: x (T, B, I) or (T, I) → the output and the last h."""
    return _unroll(hk.GRU, x, h, resets, _gru(w_i, w_h, b))


@of_tensors
def unrolled_vanilla_rnn(
    x: Any, h: Any, w_i: Any, b_i: Any, w_h: Any, b_h: Any, resets: Any = None
) -> Any:
    """An unroll of hk.VanillaRNN: x (T, B, I) or (T, I) → the output and the last h."""
    return _unroll(hk.VanillaRNN, x, h, resets, _rnn(w_i, b_i, w_h, b_h))


_BIAS = {"bias": "the core always has one"}
_LSTM: dict[str, Any] = {
    "weights": {"w": "weight_ih|weight_hh", "b": "bias"},
    "gates": "igfo",
}
_GRU: dict[str, Any] = {
    "weights": {"w_i": "weight_ih", "w_h": "weight_hh", "b": "bias"},
    "gates": "zrn",
    "reset_after": False,
    "update_keeps": False,
}
_RNN: dict[str, Any] = {
    "weights": {"w_i": "weight_ih", "b_i": "bias_ih", "w_h": "weight_hh", "b_h": "bias_hh"},
    "nonlinearity": "relu",
}


def _step(own: Any, like: str, **stated: Any) -> Adapter:
    gaps = {**UNSUPPORTED, **_BIAS}
    return Adapter(own, like, transposed=True, function=True, unsupported=gaps, **stated)


def _layer(own: Any, like: str, **stated: Any) -> Adapter:
    gaps = {**UNSUPPORTED, **_BIAS, "packed": "hk.dynamic_unroll takes arrays alone"}
    return Adapter(
        own,
        like,
        transposed=True,
        layout="time-major",
        layer_axis=False,
        function=True,
        resets=True,
        unsupported=gaps,
        **stated,
    )


LSTM = _step(lstm, "ForgetOneLSTMCell", **_LSTM)
GRU = _step(gru, "GRUCell", **_GRU)
VanillaRNN = _step(vanilla_rnn, "RNNCell", **_RNN)
UnrolledLSTM = _layer(unrolled_lstm, "ForgetOneLSTM", **_LSTM)
UnrolledGRU = _layer(unrolled_gru, "GRU", **_GRU)
UnrolledVanillaRNN = _layer(unrolled_vanilla_rnn, "RNN", **_RNN)
