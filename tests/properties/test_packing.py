"""Faults with packed sequences, each falsified by the claim that it breaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .planted import assert_falsified


class PackedLSTM(nn.LSTM):
    """torch.nn.LSTM whose packed inputs go to `packed`; a right one returns `super().packed`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            return self.packed(input, hx)
        return super().forward(input, hx)

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        return super().forward(input, hx)

    def dense(self, input: PackedSequence, hx: Any) -> tuple[Tensor, Any, Tensor]:
        """Output and final states of the padded batch, as if padding were input; the lengths."""
        x, lengths = pad_packed_sequence(input, self.batch_first)
        output, state = super().forward(x, hx)
        return output, state, lengths


class FinalStateOfThePadding(PackedLSTM):
    """The states after the last step of the longest sequence are returned for all."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        return super().packed(input, hx)[0], self.dense(input, hx)[1]


class ReverseStartsInThePadding(PackedLSTM):
    """The padded batch is run, and its output packed; final states are right."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        right, state = super().packed(input, hx)
        output, _, lengths = self.dense(input, hx)
        packed = pack_padded_sequence(output, lengths, self.batch_first, enforce_sorted=False)
        return right._replace(data=packed.data), state


class SortedIndicesLost(PackedLSTM):
    """The output keeps what unpacking needs, and loses how it was sorted."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        output, state = super().packed(input, hx)
        kept = output.unsorted_indices
        return PackedSequence(output.data, output.batch_sizes, None, kept), state


class UnsortedIndicesLost(PackedLSTM):
    """The output is in sorted order, and says nothing of it."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        output, state = super().packed(input, hx)
        return PackedSequence(output.data, output.batch_sizes), state


class StatesInSortedOrder(PackedLSTM):
    """Final states are returned longest sequence first."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        output, state = super().packed(input, hx)
        if input.sorted_indices is not None:
            state = tuple(s.index_select(1, input.sorted_indices) for s in state)
        return output, state


class InitialStatesNotSorted(PackedLSTM):
    """Initial states are taken in sorted order, whatever the caller's."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        if hx is not None and input.unsorted_indices is not None:
            hx = tuple(s.index_select(1, input.unsorted_indices) for s in hx)
        return super().packed(input, hx)


class ReadsPastTheData(PackedLSTM):
    """Adds 0 × what lies in memory after the packed data, as a blocked kernel's tail may."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        data = input.data
        after = data.storage_offset() + data.numel()
        if after < data.untyped_storage().nbytes() // data.element_size():
            tail = data.as_strided((1,), (1,), after)
            input = input._replace(data=data + 0 * tail)
        return super().packed(input, hx)


class BatchFirstStates(PackedLSTM):
    """With batch_first, initial states of a packed input are flipped along the batch."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        if self.batch_first and hx is not None:
            hx = tuple(s.flip(1) for s in hx)
        return super().packed(input, hx)


class EqualLengthsLoseABias(PackedLSTM):
    """The kernel for equal lengths is another, and adds one bias only."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        if not self.bias or input.batch_sizes[0] != input.batch_sizes[-1]:
            return super().packed(input, hx)
        with torch.no_grad():
            biases = [p for name, p in self.named_parameters() if name.startswith("bias_hh")]
            kept = [b.clone() for b in biases]
            for b in biases:
                b.zero_()
            result = super().packed(input, hx)
            for b, old in zip(biases, kept, strict=True):
                b.copy_(old)
        return result


class ForgetsTheShorter(PackedLSTM):
    """Rows that end before the longest are run from a zero cell state."""

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        _, lengths = pad_packed_sequence(input)
        if hx is not None and int(lengths.min()) < int(lengths.max()):
            longest = (lengths == lengths.max()).to(hx[1])[:, None]
            hx = hx[0], hx[1] * longest
        return super().packed(input, hx)


@pytest.mark.parametrize(
    ("fault", "prop", "message"),
    [
        (SortedIndicesLost, "packed_gives_packed", "sorted_indices of the output is None"),
        (UnsortedIndicesLost, "packed_gives_packed", "sorted_indices of the output is None"),
        (
            UnsortedIndicesLost,
            "output_pads_to_total_length",
            r"lengths of the output is \[\d.*\], expected",
        ),
        (
            UnsortedIndicesLost,
            "pack_sequence_gives_each_sequence",
            r"lengths of the outputs is \(\d.*\), expected",
        ),
        (
            ForgetsTheShorter,
            "packed_equals_each_sequence_alone",
            r"output of sequence \d+ of length \d+\[.*got \S+, expected",
        ),
        (
            FinalStateOfThePadding,
            "final_states_are_at_the_true_end",
            r"[hc]_n of sequences of length \d+\[.*got \S+, expected",
        ),
        (
            StatesInSortedOrder,
            "final_states_are_at_the_true_end",
            r"[hc]_n of sequences of length \d+\[.*got \S+, expected",
        ),
        (
            ReverseStartsInThePadding,
            "reverse_starts_at_the_true_end",
            r"output of the reverse direction\[.*got \S+, expected",
        ),
        (
            ReadsPastTheData,
            "padding_content_cannot_leak",
            r"with band in the padding, \w+\[.*got nan",
        ),
        (InitialStatesNotSorted, "unsorted_equals_sorted", r"\w+, sorted,\[.*got \S+, expected"),
        (StatesInSortedOrder, "unsorted_equals_sorted", r"[hc]_n, sorted,\[.*got \S+, expected"),
        (EqualLengthsLoseABias, "equal_lengths_equal_dense", r"\w+\[.*got \S+, expected"),
        (
            BatchFirstStates,
            "batch_first_leaves_packed_alone",
            r"\w+ with batch_first,\[.*got \S+, expected",
        ),
    ],
)
def test_a_packing_fault_is_falsified(fault: Any, prop: str, message: str) -> None:
    assert_falsified(fault, prop, message)
