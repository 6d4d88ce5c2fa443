"""Mutants of what torch.jit.trace, torch.jit.script and the ONNX exporters make.

Each is right in every plain call, and shows only with certain options, sizes or a second call.
"""

# torch.jit.script reads the types of two of these from the source, so none is postponed.
# ruff: noqa: UP045
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import torch
from torch import Tensor, nn

from .compiled import compiling, dense, given, ones, past, reweighed, to_onnx
from .conduct import each
from .registry import held, mutant, register


def exporting() -> bool:
    """Whether the ONNX exporter that traces records a call."""
    return to_onnx() and not compiling()


def tracing() -> bool:
    """Whether torch.jit.trace records a call, and for no ONNX model."""
    return bool(torch.jit.is_tracing()) and not to_onnx()


@contextmanager
def untraced() -> Iterator[None]:
    """What runs in here leaves no trace, as in an extension that torch.jit does not know."""
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)


given(
    "dynamo-onnx-starts-at-one",
    "GRU",
    "an exporter that leaves the absent state to the runtime",
    lambda m, x, hx: compiling() and to_onnx() and hx is None,
    lambda m, x, hx: (x, ones(m, x)),
)
given(
    "onnx-state-of-another-layer",
    "GRU",
    "onnx 921: the initial state of a stack built from the wrong axis",
    lambda m, x, hx: exporting() and hx is not None and m.bidirectional and m.num_layers > 1,
    lambda m, x, hx: (x, each(hx, lambda s: s.flip(0))),
)


def constant(s: Tensor) -> Tensor:
    """A copy that a trace holds as a constant."""
    with untraced():
        return s.detach().clone()


given(
    "traced-state-constant",
    "RNN",
    "torch 17656: the state of the traced call used ever after",
    lambda m, x, hx: tracing() and hx is not None and m.bidirectional,
    lambda m, x, hx: (x, each(hx, constant)),
)


@mutant("traced-weights-copied", "compilation", "weights copied when traced", ("RNN",))
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not tracing() or self.training:
                return super().forward(input, hx)
            copies = {name: constant(w) for name, w in held(self).items()}
            return reweighed(base, self, copies, input, hx)

    return Mutant


@mutant("traced-projection-of-the-first-layer", "compilation", "icefall PR 621", ("LSTM",))
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not (tracing() and self.proj_size and self.num_layers > 1):
                return super().forward(input, hx)
            return reweighed(base, self, {"weight_hr_l1": self.weight_hr_l0}, input, hx)

    return Mutant


@mutant("traced-reverse-results-in-reverse", "compilation", "onnxruntime 1607: reversed", ("GRU",))
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            output, final = super()._direction(x, state, suffix, sizes, reverse)
            turned = tracing() and reverse and sizes is None and not self.bias
            return (output.flip(0) if turned else output), final

    return Mutant


class TracedBatch(nn.GRU):
    """In a trace, rows past those of the traced call read zeros."""

    def forward(self, input: Any, hx: Any = None) -> Any:  # type: ignore[override]
        if tracing() and dense(input):
            axis = 0 if self.batch_first else 1
            with untraced():
                rows = int(input.size(axis))
            shape = (-1, 1, 1) if self.batch_first else (1, -1, 1)
            input = input * past(input.size(axis), rows, input).view(shape)
        return super().forward(input, hx)


class OnnxTime(nn.GRU):
    """In an ONNX model, steps past those of the exported call read zeros."""

    def forward(self, input: Any, hx: Any = None) -> Any:  # type: ignore[override]
        if exporting() and dense(input):
            axis = 1 if self.batch_first else 0
            with untraced():
                steps = int(input.size(axis))
            shape = (1, -1, 1) if self.batch_first else (-1, 1, 1)
            input = input * past(input.size(axis), steps, input).view(shape)
        return super().forward(input, hx)


class ScriptedLSTM(nn.LSTMCell):
    """As a script, starts from c = 0."""

    def forward(
        self, input: Tensor, hx: Optional[tuple[Tensor, Tensor]] = None
    ) -> tuple[Tensor, Tensor]:
        if not torch.jit.is_scripting():
            return super().forward(input, hx)
        x = input if input.dim() == 2 else input.unsqueeze(0)
        zero = torch.zeros(x.size(0), self.hidden_size, dtype=x.dtype, device=x.device)
        h = zero if hx is None else hx[0].view(zero.size())
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        h, c = torch.lstm_cell(x, (h, zero), weights[0], weights[1], weights[2], weights[3])
        return (h, c) if input.dim() == 2 else (h.squeeze(0), c.squeeze(0))


class ScriptedRNN(nn.RNNCell):
    """As a script, computes tanh whatever its nonlinearity."""

    def forward(self, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            return super().forward(input, hx)
        x = nn.functional.linear(input, self.weight_ih, self.bias_ih)
        h = torch.zeros_like(x) if hx is None else hx
        return torch.tanh(x + nn.functional.linear(h, self.weight_hh, self.bias_hh))


for _factory, _like, _name, _models in (
    (TracedBatch, "GRU", "traced-batch-fixed", "torch 59530: a fixed batch size"),
    (OnnxTime, "GRU", "onnx-time-fixed", "torch 32605: a fixed number of steps"),
    (ScriptedLSTM, "LSTMCell", "scripted-without-c", "a script that is given one state of two"),
    (ScriptedRNN, "RNNCell", "scripted-tanh", "an option that the script does not read"),
):
    register(_name, _like, _factory, "compilation", _models)
