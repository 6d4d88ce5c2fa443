"""Mutants of what torch.compile and torch.export make: each is right in every plain call.

A fault shows under one compiler alone, and there only with certain options, sizes or a second call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .conduct import each
from .evaluation import with_weights
from .registry import held, mutant


def compiling() -> bool:
    """Whether torch.compile or torch.export reads the code."""
    return bool(torch.compiler.is_compiling())


def to_onnx() -> bool:
    """Whether an ONNX model is made."""
    return bool(torch.onnx.is_in_onnx_export())


def to_export() -> bool:
    """Whether torch.export makes a program, also on the way to an ONNX model."""
    made_now = getattr(torch.compiler, "is_exporting", compiling)  # torch 2.7
    return bool(made_now())


def reweighed(base: Any, module: Any, changed: dict[str, Any], input: Any, hx: Any) -> Any:
    """A call of the base class on the module with some weights changed."""
    return base.forward(with_weights(base, module, changed), input, hx)


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
    "compiled-state-detached",
    "LSTM",
    "PyTorch PR 185163: a backward pass that forgets the state",
    lambda m, x, hx: compiling() and hx is not None and torch.is_grad_enabled(),
    lambda m, x, hx: (x, each(hx, lambda s: s.detach())),
)


@mutant("compiled-reverse-without-bias", "compilation", "torch 130791: bidirectional", ("GRU",))
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            wrong = compiling() and not to_export() and not self.bias and sizes is None
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
    "exported-rows-past-four", "compilation", "torch 59530: the batch size in the graph", ("LSTM",)
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if to_export() and self.bidirectional and dense(input):
                shape = (-1, 1, 1) if self.batch_first else (1, -1, 1)
                size = input.size(0 if self.batch_first else 1)
                input = input * past(size, 4, input).view(shape)
            return super().forward(input, hx)

    return Mutant


@mutant("exported-steps-past-three", "compilation", "torch 59530: time in a program", ("GRU",))
def _(base: Any) -> type:
    """As a program, a scan: torch.export takes any number of steps, and this one reads three."""

    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if not to_export() or to_onnx() or sizes is not None:
                return super()._direction(x, state, suffix, sizes, reverse)
            from torch._higher_order_ops.scan import scan  # torch 2.6

            names = self._all_names[self._suffixes().index(suffix)]
            weights = {name.removesuffix(suffix): getattr(self, name) for name in names}
            shares = linear(x, weights["weight_ih"], weights.get("bias_ih"))
            shares = shares * past(shares.size(0), 3, shares).view(-1, 1, 1)

            def step(h: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
                (h,) = self._step(share, (h,), weights)
                return h, h.clone()

            final, output = scan(step, state[0], shares, dim=0, reverse=reverse)
            return output, (final,)

    return Mutant


@mutant("compiled-steps-past-three", "compilation", "torch 191855: time fixed", ("GRU",))
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if compiling() and dense(input) and not to_export():
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
