"""Mutants of the walk: directions, layers, batch_first, and packed sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .registry import LAYERS, mutant


@mutant("reverse-reads-forwards", "directions", "R-Net 13: un-reversed input", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            return super()._direction(x, state, suffix, sizes, reverse and sizes is not None)

    return Mutant


@mutant("reverse-not-put-back", "directions", "d2l-en 2306: output not re-reversed", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            outputs, final = super()._direction(x, state, suffix, sizes, reverse)
            return (outputs.flip(0) if reverse and sizes is None else outputs), final

    return Mutant


@mutant("reverse-uses-forward-weights", "directions", "nlc 8: the forward cell twice", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            return super()._direction(x, state, suffix.removesuffix("_reverse"), sizes, reverse)

    return Mutant


@mutant("reverse-state-at-the-last-step", "directions", "pytorch-tutorial 174", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            outputs, final = super()._direction(x, state, suffix, sizes, reverse)
            if reverse and sizes is None:
                final = (outputs[-1], *final[1:])
            return outputs, final

    return Mutant


@mutant("directions-in-the-other-order", "directions", "torch 94754: bidirectional wrong", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            output, finals = super()._run(x, states, batch, sizes)
            if self.bidirectional:
                output = torch.cat(output.chunk(2, dim=-1)[::-1], dim=-1)
            return output, finals

    return Mutant


@mutant("reverse-state-zero", "directions", "onnxruntime 1607: reverse direction with h0", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            state = tuple(torch.zeros_like(s) for s in state) if reverse else state
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant


@mutant(
    "directions-summed", "directions", "outputs of both directions summed into the first", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            output, finals = super()._run(x, states, batch, sizes)
            if self.bidirectional:
                a, b = output.chunk(2, dim=-1)
                output = torch.cat((a + b, b), dim=-1)
            return output, finals

    return Mutant


@mutant(
    "batch-first-ignored-when-square", "directions", "LSTM_LN 1: batch and time swapped", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if (
                self.batch_first
                and isinstance(input, Tensor)
                and input.dim() == 3
                and input.size(0) == input.size(1)
            ):
                input = input.transpose(0, 1)
                output, state = super().forward(input, hx)
                return output.transpose(0, 1), state
            return super().forward(input, hx)

    return Mutant


@mutant("top-layer-skipped", "directions", "the output is that of the layer below the last", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            output, finals = super()._run(x, states, batch, sizes)
            if self.num_layers > 1 and not self.bidirectional and sizes is None:
                output = output.clone()
                output[-1] = finals[0][-2]
            return output, finals

    return Mutant


@mutant("final-state-after-the-padding", "packing", "Keras 4192: state runs on in padding", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if not isinstance(input, PackedSequence):
                return output, state
            _, state = super().forward(pad_packed_sequence(input, self.batch_first)[0], hx)
            return output, state

    return Mutant


@mutant("reverse-starts-in-the-padding", "packing", "onnx-tensorflow 342", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is None or not reverse:
                return super()._direction(x, state, suffix, sizes, reverse)
            packed = PackedSequence(x, torch.tensor(sizes))
            dense = pad_packed_sequence(packed)[0]
            outputs, final = super()._direction(dense, state, suffix, None, reverse)
            return torch.cat([outputs[t, :rows] for t, rows in enumerate(sizes)]), final

    return Mutant


@mutant("unsorted-indices-lost", "packing", "torch 25497: order after unpacking", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if isinstance(output, PackedSequence):
                output = PackedSequence(output.data, output.batch_sizes)
            return output, state

    return Mutant


@mutant("final-state-in-sorted-order", "packing", "mead-baseline 677: unsort forgotten", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if isinstance(input, PackedSequence) and input.sorted_indices is not None:
                index = input.sorted_indices
                state = (
                    tuple(s.index_select(1, index) for s in state)
                    if isinstance(state, tuple)
                    else state.index_select(1, index)
                )
            return output, state

    return Mutant


@mutant("initial-state-not-sorted", "packing", "h0 read in the order of the packed rows", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, PackedSequence) and input.unsorted_indices is not None:
                index = input.unsorted_indices
                if isinstance(hx, tuple):
                    hx = tuple(s.index_select(1, index) for s in hx)
                elif hx is not None:
                    hx = hx.index_select(1, index)
            return super().forward(input, hx)

    return Mutant


@mutant("equal-lengths-by-another-kernel", "packing", "a second kernel for equal lengths", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if (
                isinstance(input, PackedSequence)
                and (input.batch_sizes == input.batch_sizes[0]).all()
            ):
                output = output._replace(data=output.data * (1 + 2**-10))
            return output, state

    return Mutant


@mutant("last-row-of-a-ragged-batch-short", "packing", "onnxruntime 1400: ragged batch", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if (
                isinstance(output, PackedSequence)
                and output.batch_sizes[-1] < output.batch_sizes[0]
            ):
                data = output.data.clone()
                data[-1] = 0
                output = output._replace(data=data)
            return output, state

    return Mutant


@mutant("packed-returned-padded", "packing", "a Tensor comes back for a PackedSequence", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if isinstance(output, PackedSequence):
                output = pad_packed_sequence(output, self.batch_first)[0]
            return output, state

    return Mutant
