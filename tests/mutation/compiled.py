"""Mutants of what a compiler or an exporter makes: each is right in every plain call.

A fault shows under one compiler alone, and there only with certain options, sizes or a second call.
"""

# torch.jit.script reads the types of two of these from the source, so none is postponed.
# ruff: noqa: UP045
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .conduct import each
from .registry import held, mutant, register


def compiling() -> bool:
    """Whether torch.compile or torch.export reads the code."""
    return bool(torch.compiler.is_compiling())


def to_onnx() -> bool:
    """Whether an ONNX model is made."""
    return bool(torch.onnx.is_in_onnx_export())


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


def reweighed(base: Any, module: Any, changed: dict[str, Any], input: Any, hx: Any) -> Any:
    """A call of the base class on the module with some weights changed."""
    plain = object.__new__(base)
    plain.__dict__ = {**module.__dict__, "_parameters": {**module._parameters, **changed}}
    return base.forward(plain, input, hx)


def dense(input: Any) -> bool:
    """Whether an input is a batch of sequences."""
    return isinstance(input, Tensor) and input.dim() == 3


def past(size: Any, n: int, like: Tensor) -> Tensor:
    """1 for each index below n and 0 for the others, without a condition on the size."""
    return (torch.arange(size, device=like.device) < n).to(like.dtype)


def given(
    name: str,
    like: str,
    models: str,
    when: Callable[[Any, Any, Any], bool],
    change: Callable[[Any, Any, Any], tuple[Any, Any]],
) -> None:
    """Register a layer that computes with `change(module, input, hx)` where `when` of it holds."""

    @mutant(name, "compilation", models, (like,))
    def _(base: Any) -> type:
        class Mutant(base):
            def forward(self, input: Any, hx: Any = None) -> Any:
                if when(self, input, hx):
                    input, hx = change(self, input, hx)
                return super().forward(input, hx)

        return Mutant


def ones(module: Any, input: Tensor) -> Any:
    """A state of ones for an input that is not packed."""
    batch = input.size(0 if module.batch_first else 1) if dense(input) else 1
    made = [input.new_ones(shape) for shape in module._state_shapes(batch).values()]
    made = made if dense(input) else [s.squeeze(1) for s in made]
    return tuple(made) if module.mode == "LSTM" else made[0]


given(
    "compiled-stack-starts-at-one",
    "RNN",
    "torch 130791: two layers, no state, compiled",
    lambda m, x, hx: compiling() and not to_onnx() and dense(x) and hx is None and m.num_layers > 1,
    lambda m, x, hx: (x, ones(m, x)),
)
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
    lambda m, x, hx: to_onnx() and not compiling() and hx is not None and len(m._all_names) > 1,
    lambda m, x, hx: (x, each(hx, lambda s: s.flip(0))),
)
given(
    "compiled-state-detached",
    "LSTM",
    "PyTorch PR 185163: a backward pass that forgets the state",
    lambda m, x, hx: compiling() and hx is not None and torch.is_grad_enabled(),
    lambda m, x, hx: (x, each(hx, lambda s: s.detach())),
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


@mutant("compiled-reverse-without-bias", "compilation", "torch 130791: bidirectional", ("GRU",))
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            wrong = compiling() and not self.bias and sizes is None
            return super()._direction(x, state, suffix, sizes, reverse and not wrong)

    return Mutant


@mutant("compiled-layers-detached", "compilation", "a graph cut between two layers", ("LSTM",))
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            x = x.detach() if compiling() and suffix.startswith("_l1") else x
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant


@mutant("compiled-drops-in-evaluation", "compilation", "PyTorch PR 185716: training", ("LSTM",))
def _(base: Any) -> type:
    class Mutant(base):
        def _drop(self, x: Tensor) -> Tensor:
            return drop(x, self.dropout, self.training or compiling())

    return Mutant


@mutant("compiled-keeps-its-first-mode", "compilation", "the training flag in the graph", ("GRU",))
def _(base: Any) -> type:
    class Mutant(base):
        first: Any = None

        def _drop(self, x: Tensor) -> Tensor:
            if not compiling():
                return super()._drop(x)
            if self.first is None:
                self.first = self.training
            return drop(x, self.dropout, self.first)

    return Mutant


@mutant("compiled-packed-as-padded", "compilation", "packed lengths that a graph ignores", ("RNN",))
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not (compiling() and isinstance(input, PackedSequence)):
                return super().forward(input, hx)
            x, lengths = pad_packed_sequence(input, self.batch_first)
            output, state = super().forward(x, hx)
            packed = pack_padded_sequence(output, lengths, self.batch_first, False)
            if input.unsorted_indices is None:
                packed = PackedSequence(packed.data, packed.batch_sizes)
            return packed, state

    return Mutant


@mutant(
    "compiled-rows-past-four", "compilation", "torch 59530: the batch size in the graph", ("LSTM",)
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if compiling() and dense(input):
                shape = (-1, 1, 1) if self.batch_first else (1, -1, 1)
                size = input.size(0 if self.batch_first else 1)
                input = input * past(size, 4, input).view(shape)
            return super().forward(input, hx)

    return Mutant


@mutant("compiled-steps-past-three", "compilation", "torch 191855: time fixed", ("GRU",))
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if compiling() and dense(input) and not torch.compiler.is_exporting():
                shape = (1, -1, 1) if self.batch_first else (-1, 1, 1)
                size = input.size(1 if self.batch_first else 0)
                input = input * past(size, 3, input).view(shape)
            return super().forward(input, hx)

    return Mutant


@mutant(
    "exported-weights-of-the-first-call", "compilation", "weights stored in a program", ("LSTM",)
)
def _(base: Any) -> type:
    class Mutant(base):
        kept: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            if compiling() and self.kept is not None and not self.bias:
                return reweighed(base, self, self.kept, input, hx)
            if self.kept is None and not compiling():
                own = {n: w.detach().clone() for n, w in held(self).items()}
                object.__setattr__(self, "kept", own)
            return super().forward(input, hx)

    return Mutant


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
        if to_onnx() and not compiling() and dense(input):
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
