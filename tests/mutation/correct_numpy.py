"""Correct subjects in NumPy, and a layer of two directions with names of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatewise.properties.precisions import WIDE
from gatewise.properties.subjects.adapting.adapter import Adapter

from .correct_registry import adapted

Array = np.ndarray[Any, Any]


def sigma(a: Array) -> Array:
    """1/(1 + exp(−a)) without an overflow."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e)).astype(a.dtype)


def rnn_step(x: Array, h: Array, W: Array, U: Array, b: Any = 0.0, d: Any = 0.0) -> Array:
    """One step of a tanh RNN in NumPy."""
    return np.tanh(x @ W.T + b + h @ U.T + d)


adapted(
    "numpy-function",
    Adapter(
        rnn_step,
        like="RNNCell",
        weights={"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "d": "bias_hh"},
        nonlinearity="tanh",
        arrays="numpy",
        function=True,
    ),
    WIDE,
)


class NumpyLSTMCell:
    """An object with arrays (in, out), gates in the order i f c o, as Keras has them."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.kernel = np.zeros((input_size, 4 * hidden_size))
        self.recurrent = np.zeros((hidden_size, 4 * hidden_size))
        self.bias = np.zeros(4 * hidden_size)

    def __call__(self, x: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        h, c = state
        z = np.dot(x, self.kernel) + np.dot(h, self.recurrent) + self.bias
        i, f, g, o = np.split(z, 4, axis=-1)
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        return sigma(o) * np.tanh(c), c


adapted(
    "numpy-object",
    Adapter(
        NumpyLSTMCell,
        like="LSTMCell",
        weights={"kernel": "weight_ih", "recurrent": "weight_hh", "bias": "bias"},
        gates="ifco",
        transposed=True,
        arrays="numpy",
        needs_state=True,
        unsupported={"bias": "it always has its bias"},
    ),
    WIDE,
)


class NumpyGRU:
    """A loop over time in NumPy, on inputs (T, B, I)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.W = np.zeros((3 * hidden_size, input_size))
        self.U = np.zeros((3 * hidden_size, hidden_size))
        self.b = np.zeros(3 * hidden_size)
        self.d = np.zeros(3 * hidden_size)

    def __call__(self, x: Array, h: Array | None = None) -> tuple[Array, Array]:
        shares = np.einsum("tbi,gi->tbg", x, self.W) + self.b
        h = np.zeros_like(shares[0, :, : len(self.U) // 3]) if h is None else h
        outputs = []
        for share in shares:
            x_r, x_z, x_n = np.split(share, 3, axis=1)
            a_r, a_z, a_n = np.split(h @ self.U.T + self.d, 3, axis=1)
            r, z = sigma(x_r + a_r), sigma(x_z + a_z)
            h = (1 - z) * np.tanh(x_n + r * a_n) + z * h
            outputs.append(h)
        return np.stack(outputs), h


adapted(
    "numpy-loop",
    Adapter(
        NumpyGRU,
        like="GRU",
        weights={"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "d": "bias_hh"},
        layout="time-major",
        layer_axis=False,
        arrays="numpy",
        unsupported={"unbatched": "only three dimensions", "bias": "it always has its biases"},
    ),
    WIDE,
)


class _Side(nn.Module):
    """One direction of one layer of an LSTM."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.x = nn.Linear(input_size, 4 * hidden_size)
        self.h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = []
        for share in self.x(x):
            i, f, o, g = (share + self.h(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), h, c


class TwoSidedLSTM(nn.Module):
    """Layers in a ModuleList, each a ModuleDict of its directions."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bidirectional: bool = False
    ) -> None:
        super().__init__()
        sides = ("fw", "bw") if bidirectional else ("fw",)
        self.layers, self.hidden_size = nn.ModuleList(), hidden_size
        for k in range(num_layers):
            width = len(sides) * hidden_size if k else input_size
            self.layers.append(nn.ModuleDict({s: _Side(width, hidden_size) for s in sides}))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hs, cs = [], []
        for layer in self.layers:
            outputs = []
            for name, side in layer.items():
                zeros = x.new_zeros(x.shape[1], self.hidden_size)
                h, c = (zeros, zeros) if state is None else (s[len(hs)] for s in state)
                y, h, c = side(torch.flip(x, (0,)) if name == "bw" else x, h, c)
                outputs.append(torch.flip(y, (0,)) if name == "bw" else y)
                hs, cs = [*hs, h], [*cs, c]
            x = torch.cat(outputs, -1)
        return x, (torch.stack(hs), torch.stack(cs))


adapted(
    "sides-in-module-dicts",
    Adapter(
        TwoSidedLSTM,
        like="LSTM",
        weights={
            "layers.{layer}.{direction}.x.weight": "weight_ih",
            "layers.{layer}.{direction}.x.bias": "bias",
            "layers.{layer}.{direction}.h.weight": "weight_hh",
        },
        directions=("fw", "bw"),
        gates="ifog",
        layout="time-major",
        unsupported={
            "packed": "only tensors",
            "unbatched": "only three dimensions",
            "bias": "it always has its biases",
        },
    ),
)
