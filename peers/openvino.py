"""OpenVINO's operators LSTMSequence, GRUSequence and RNNSequence on a CPU, forward alone.

A model of one operator is compiled for each shape of its arguments, and the last ones are kept.
The weights are inputs of the model.  The operators are batch-major, have the directions in the
second dimension of states and outputs, and stack gates f i c o and z r h.  An LSTM and an RNN have
one bias, the sum of both; a GRU with linear_before_reset has a part for each bias of h.  Without
biases the model gets zeros, since the operators always have one.

The CPU plugin computes in float32.  It converts a model in float64 without a word.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import openvino
import torch
from openvino import opset13
from torch import Tensor, nn

from .foreign import GAPS, Layer, through

_GAPS = {
    **GAPS,
    "num_layers": "an operator is one layer",
    "dropout": "the operators have none",
    "proj_size": "the operators have none",
    "unbatched": "the operators take three dimensions alone",
    "gradients": "OpenVINO has no backward pass",
    "mixed_dtypes_are_refused": "InferRequest.infer converts arrays, as its docstring says",
    "float64": "the CPU plugin computes in float32",
    "bfloat16": "NumPy has no bfloat16, and OpenVINO takes NumPy's arrays",
}
_CORE = openvino.Core()
_OPERATORS = {
    "LSTM": opset13.lstm_sequence,
    "GRU": opset13.gru_sequence,
    "RNN": opset13.rnn_sequence,
}

Shapes = tuple[tuple[int, ...], ...]


@lru_cache(maxsize=64)
def _compiled(kind: str, dtype: str, shapes: Shapes, extra: tuple[tuple[str, Any], ...]) -> Any:
    """A compiled model of one operator; the arguments are x, states, lengths, W, R and B."""
    given = [opset13.parameter(list(shape), np.dtype(dtype)) for shape in shapes]
    given[-4] = opset13.parameter(list(shapes[-4]), np.int32)
    directions, _, hidden_size = shapes[-2]
    direction = "bidirectional" if directions == 2 else "forward"
    node = _OPERATORS[kind](*given, hidden_size, direction, **dict(extra))
    model = openvino.Model(node.outputs(), given)
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return _CORE.compile_model(model, "CPU", options)


def _gates(weight: Tensor, order: tuple[int, ...]) -> Tensor:
    """The blocks of rows of a weight (gates·H, ...) in another order."""
    blocks = weight.chunk(len(order))
    return torch.cat([blocks[place] for place in order])


class _Sequence(Layer):
    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS
    #: The operator's gates as places of torch.nn's.
    order: ClassVar[tuple[int, ...]]
    states: ClassVar[int] = 1

    def extra(self) -> dict[str, Any]:
        """The attributes of the operator beside its size and direction."""
        return {}

    def biases(self, ih: Tensor, hh: Tensor) -> Tensor:
        """The operator's bias of both of torch.nn's, in the operator's order."""
        return ih + hh

    def _stacked(self, directions: int) -> list[Tensor]:
        """W (D, gates·H, I), R (D, gates·H, H) and B."""
        held = self.weights()
        zeros = held["weight_ih_l0"].new_zeros(held["weight_ih_l0"].shape[0])
        rows: list[list[Tensor]] = []
        for end in ("", "_reverse")[:directions]:
            own = [held.get(f"{n}_l0{end}", zeros) for n in ("weight_ih", "weight_hh")]
            both = [held.get(f"{n}_l0{end}", zeros) for n in ("bias_ih", "bias_hh")]
            ih, hh = (_gates(bias, self.order) for bias in both)
            rows.append([*(_gates(w, self.order) for w in own), self.biases(ih, hh)])
        return [torch.stack(parts) for parts in zip(*rows, strict=True)]

    def compute(
        self, x: Tensor, states: tuple[Tensor, ...] | None, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One run of the operator; x (T, B, I), or (B, T, I) with batch_first."""
        x = x if self.batch_first else x.transpose(0, 1)
        directions = 2 if self.bidirectional else 1
        if states is None:
            states = (x.new_zeros(directions, x.shape[0], self.hidden_size),) * self.states
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1], device=x.device)
        start = [s.transpose(0, 1) for s in states]
        tensors = [x, *start, lengths.int().to(x.device), *self._stacked(directions)]

        def call(*arrays: Any) -> tuple[list[Any], None]:
            shapes = tuple(a.shape for a in arrays)
            extra = tuple(self.extra().items())
            model = _compiled(self.like.__name__, arrays[0].dtype.name, shapes, extra)
            found = model.create_infer_request().infer(list(arrays))
            return [found[end] for end in model.outputs], None

        output, *final = through(call, *tensors)
        output = output.permute(0, 2, 1, 3).flatten(2)  # (B, D, T, H) → (B, T, D·H)
        output = output if self.batch_first else output.transpose(0, 1)
        return output.contiguous(), tuple(s.transpose(0, 1).contiguous() for s in final)


class LSTM(_Sequence):
    """LSTMSequence."""

    like, order, states = nn.LSTM, (1, 0, 2, 3), 2


class GRU(_Sequence):
    """GRUSequence with linear_before_reset."""

    like, order = nn.GRU, (1, 0, 2)

    def extra(self) -> dict[str, Any]:
        """torch.nn's form of the reset gate."""
        return {"linear_before_reset": True}

    def biases(self, ih: Tensor, hh: Tensor) -> Tensor:
        """The sums of z and r, and both biases of h."""
        size = 2 * self.hidden_size
        return torch.cat([ih[:size] + hh[:size], ih[size:], hh[size:]])


class RNN(_Sequence):
    """RNNSequence."""

    like, order = nn.RNN, (0,)

    def extra(self) -> dict[str, Any]:
        """tanh or relu."""
        return {"activations": (self.nonlinearity,)}
