"""ONNX Runtime's LSTM, GRU and RNN operators on a CPU, each as a model of one node.

ONNX stacks gates i o f c and z r h, directions along the first axis, and both biases in one B
(https://onnx.ai/onnx/operators/); GRU has linear_before_reset, which is `reset_after`.

The CPU kernels support only float32.  Their logistic function is a rational approximation, clamped
at ±18, whose error is absolute.  Over every float32 from 2⁻²⁴ to 64 in magnitude the error was at
most 2.99 units of 2⁻²⁴ (tanh: 5.46 units, and at most 8 units relative to its value).  The bounds
of values cover this.  The kernels return 0 for σ(−20), which is 2·10⁻⁹, so σ has no relative
accuracy in its tail.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.reference.kinds import KINDS


@lru_cache(maxsize=256)
def _session(
    kind: str, hidden_size: int, directions: int, inputs: tuple[str, ...], extra: tuple[Any, ...]
) -> onnxruntime.InferenceSession:
    """A model of one node with the named inputs; all other inputs are absent."""
    places = ["X", "W", "R", "B", "", "h", "c"][: 5 + len(KINDS[kind].states)]
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(KINDS[kind].states)]
    node = helper.make_node(
        kind,
        [name if name in inputs else "" for name in places],
        outputs,
        hidden_size=hidden_size,
        direction="bidirectional" if directions == 2 else "forward",
        **dict(extra),
    )
    ends = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names]
        for names in (inputs, outputs)
    ]
    # Opset 14 is the first with the operators in their present form; IR 8 is of the same release.
    model = helper.make_model(
        helper.make_graph([node], kind, *ends),
        opset_imports=[helper.make_opsetid("", 14)],
        ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


class Operator:
    """Holds the weights of an operator and runs it; without `bias` it omits the input B."""

    kind = ""

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool = True, bidirectional: bool = False
    ) -> None:
        rows = len(KINDS[self.kind].gates) * hidden_size
        self.hidden_size, self.bias, self.directions = hidden_size, bias, 1 + bidirectional
        for end in ("", "_reverse")[: self.directions]:
            setattr(self, f"W{end}", np.zeros((rows, input_size), np.float32))
            setattr(self, f"R{end}", np.zeros((rows, hidden_size), np.float32))
            if bias:
                setattr(self, f"Wb{end}", np.zeros(rows, np.float32))
                setattr(self, f"Rb{end}", np.zeros(rows, np.float32))

    def extra(self) -> dict[str, Any]:
        """Attributes of the node, except the size and the direction."""
        return {}

    def __call__(self, x: Any, state: Any = None) -> Any:
        """Run on x (T, B, I), states (D, B, H) → Y (T, B, D·H) and the final states."""
        ends = ("", "_reverse")[: self.directions]
        held = {n: np.stack([getattr(self, n + end) for end in ends]) for n in ("W", "R")}
        feeds = {"X": x, **held}
        if self.bias:
            b = [np.concatenate([getattr(self, f"{n}{end}") for n in ("Wb", "Rb")]) for end in ends]
            feeds["B"] = np.stack(b)
        if state is not None:
            states = state if isinstance(state, tuple) else (state,)
            feeds |= dict(zip(("h", "c"), states, strict=False))
        extra = tuple(self.extra().items())
        session = _session(self.kind, self.hidden_size, self.directions, tuple(feeds), extra)
        y, *last = session.run(None, {n: np.ascontiguousarray(a) for n, a in feeds.items()})
        return y.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1), *last


class LSTMOperator(Operator):
    """The operator LSTM."""

    kind = "LSTM"


class GRUOperator(Operator):
    """The operator GRU with linear_before_reset 1."""

    kind = "GRU"

    def extra(self) -> dict[str, Any]:
        """The attribute of torch's form."""
        return {"linear_before_reset": 1}


class GRUResetBeforeOperator(GRUOperator):
    """The operator GRU with linear_before_reset 0, its default."""

    def extra(self) -> dict[str, Any]:
        """The attribute of the original form."""
        return {"linear_before_reset": 0}


class RNNOperator(Operator):
    """The operator RNN."""

    kind = "RNN"

    def __init__(self, *sizes: int, nonlinearity: str = "tanh", **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.activation = {"tanh": "Tanh", "relu": "Relu"}[nonlinearity]

    def extra(self) -> dict[str, Any]:
        """One activation for each direction."""
        return {"activations": (self.activation,) * self.directions}


def _adapter(operator: type[Operator], gates: str = "", reset_after: bool = True) -> Adapter:
    return Adapter(
        operator,
        like=operator.kind,
        weights={
            "W{direction}": "weight_ih",
            "R{direction}": "weight_hh",
            "Wb{direction}": "bias_ih",
            "Rb{direction}": "bias_hh",
        },
        gates=gates,
        arrays="numpy",
        reset_after=reset_after,
        unsupported={
            "batch_first": "layout 1 is not implemented by the CPU kernels",
            "dropout": "the operator has none",
            "num_layers": "the operator is one layer",
            "proj_size": "the operator has none",
            "packed": "the adapter passes no sequence_lens",
            "unbatched": "the operator takes three dimensions alone",
            "float64": "the CPU kernels are float32 alone",
            "small_gates_keep_relative_accuracy": "the kernels clamp the argument of σ at ±18",
        },
    )


LSTM = _adapter(LSTMOperator, "iofc")
GRU = _adapter(GRUOperator, "zrh")
GRUResetBefore = _adapter(GRUResetBeforeOperator, "zrh", reset_after=False)
RNN = _adapter(RNNOperator)
