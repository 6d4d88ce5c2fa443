"""An adapter that contradicts itself or its implementation is one clear line, before any run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from torch import nn

from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.properties.subjects.capabilities import SubjectError


def needs_three(x: Any, h: Any, U: Any) -> Any:
    """A function without the argument that a mapping names."""


class Crashing(nn.Module):
    """Cannot be made."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        raise RuntimeError("no kernel")


CELL = {"weight_ih": "weight_ih", "weight_hh": "weight_hh"}

BAD: list[tuple[Any, dict[str, Any], str]] = [
    (nn.LSTM, {"like": "Transformer"}, "like='Transformer': expected one of 'RNNCell'"),
    (nn.LSTM, {"gates": "ifg"}, "gates='ifg': expected each of the 4 letters i f g o once; c may"),
    (nn.LSTM, {"gates": "iffo"}, "gates='iffo': expected each of the 4 letters"),
    (nn.LSTM, {"gates": "zrn"}, "gates='zrn': expected each of the 4 letters i f g o"),
    (nn.LSTM, {"state": "h"}, "state='h': expected one of '', 'hc', 'ch'"),
    (nn.LSTM, {"layout": "NTC"}, "layout='NTC': expected one of '', 'time-major', 'batch-major'"),
    (
        nn.LSTMCell,
        {"like": "LSTMCell", "layer_axis": False},
        "layer_axis=False: expected of a layer",
    ),
    (nn.LSTM, {"arrays": "jax"}, "arrays='jax': expected one of 'torch', 'numpy'"),
    (nn.LSTM, {"arrays": "numpy"}, "arrays='numpy': LSTM makes a torch.nn.Module"),
    (nn.LSTM, {"reset_after": False}, "reset_after=False: expected of a GRU alone"),
    (nn.LSTM, {"nonlinearity": "relu"}, "nonlinearity='relu': expected of an RNN alone"),
    (nn.LSTM, {"directions": ("fw",)}, "directions=('fw',): expected two different words"),
    (nn.LSTM, {"weights": {}}, "weights={}: expected own names of the weights"),
    (nn.LSTM, {"weights": {"W": "weights"}}, "'weights' is not one of weight_ih, weight_hh"),
    (nn.LSTM, {"weights": {"W": "weight_ih.q"}}, "gate 'q' of weight_ih is not one of i f g o"),
    (
        nn.LSTM,
        {"weights": {"W{size}": "weight_ih"}},
        "expected only the fields {layer} and",
    ),
    (nn.LSTM, {"weights": {"W": "weight_ih"}}, "weights= leaves out weight_hh.i, weight_hh.f"),
    (
        nn.LSTMCell,
        {"like": "LSTMCell", "weights": {**CELL, "bias_ih": "weight_hh"}},
        "weights= holds weight_hh.f, weight_hh.g, weight_hh.i, weight_hh.o twice",
    ),
    (
        nn.LSTMCell,
        {"like": "LSTMCell", "weights": CELL},
        "LSTMCell(3, 2): weights= leaves out the parameter 'bias_ih' of shape (8,); map it, or",
    ),
    (
        nn.LSTMCell,
        {"like": "LSTMCell", "weights": {"W": "weight_ih", "weight_hh": "weight_hh"}},
        "weights= names 'W', and there is no such parameter; it has weight_ih, weight_hh, bias_ih",
    ),
    (
        nn.LSTMCell,
        {"like": "LSTMCell", "transposed": True},
        "LSTMCell(3, 2): 'weight_ih' has shape (8, 3), and the mapping gives it (3, 8)",
    ),
    (
        nn.GRUCell,
        {"like": "GRUCell", "weights": {**CELL, "bias_ih": "bias"}},
        "weights= has one bias for b_in + b_hn, but only b_hn is multiplied by the reset gate",
    ),
    (Crashing, {}, "Crashing(3, 2) raises RuntimeError: no kernel"),
    (
        needs_three,
        {"like": "GRUCell", "function": True, "weights": {"W": "weight_ih", "U": "weight_hh"}},
        "weights= names 'W', which is no argument of needs_three; it has x, h, U",
    ),
    (nn.LSTM, {"unsupported": {"packed": ""}}, "unsupported=: 'packed' has no reason"),
    (nn.LSTM, {"unsupported": ["packed"]}, "unsupported=: a list was given; expected {name"),
    (
        nn.RNN,
        {"like": "RNN", "nonlinearity": "tanh", "unsupported": {"nonlinearity": "it is tanh"}},
        "unsupported={'nonlinearity': ...} contradicts what the adapter states",
    ),
    ("LSTM", {}, "own='LSTM': expected a class, a factory or a function"),
]


@pytest.mark.parametrize(("own", "arguments", "line"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_contradiction_is_one_clear_line(own: Any, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(SubjectError) as caught:
        Adapter(own, **{"like": "LSTM", **arguments})
    text = str(caught.value)
    assert re.match(r"Adapter\(\w+\): ", text)
    assert line in text
    assert "\n" not in text
