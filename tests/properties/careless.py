"""Subjects that let wrong arguments pass, each in one way that libraries have had."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise import impl


def _batch(input: Any) -> int:
    if isinstance(input, PackedSequence):
        return int(input.batch_sizes[0])
    return input.shape[1] if input.dim() == 3 else 1


class BroadcastsARow(impl.GRU):
    """One row of states serves every row of the input, as cells of torch 0.3 had it."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(hx, Tensor) and hx.dim() == 3 and hx.shape[1] == 1 and not self.batch_first:
            hx = hx.expand(-1, _batch(input), -1)
        return super().forward(input, hx)


class LeavesRowsOut(impl.GRU):
    """Rows of the states beyond those of a packed input are not looked at."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence) and isinstance(hx, Tensor) and hx.dim() == 3:
            hx = hx[:, : _batch(input)]
        return super().forward(input, hx)


class LeavesLayersOut(impl.GRU):
    """States beyond those of its own layers are not looked at."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(hx, Tensor):
            hx = hx[: self.num_layers * (1 + self.bidirectional)]
        return super().forward(input, hx)


class ChecksTheWidthOfAStateAlone(impl.GRU):
    """Without states, features are cut off or filled up: torch before 2.3 did not look."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if hx is None and isinstance(input, Tensor) and 1 < input.dim() < 4:
            spare = self.input_size - input.shape[-1]
            input = torch.nn.functional.pad(input, (0, spare))
        return super().forward(input, hx)


class FitsWidths(impl.LSTMCell):
    """A state that is too wide is cut."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(hx, tuple) and len(hx) == 2:
            hx = tuple(s[..., : self.hidden_size] for s in hx)
        return super().forward(input, hx)


class TakesAStateForABatch(impl.RNNCell):
    """An unbatched input with a batch of states is taken for each of them, as torch 2.13 does."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(hx, Tensor) and input.dim() == 1 and hx.dim() == 2:
            input = input.expand(hx.shape[0], -1)
        return super().forward(input, hx)


class SegfaultsOnRank(impl.LSTMCell):
    """A state of another rank than the input's ends the process, as in torch 2.13."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(hx, tuple) and hx[0].dim() > input.dim():
            ctypes.string_at(0)
        return super().forward(input, hx)


class ConvertsDtypes(impl.GRU):
    """Everything is converted to the dtype of the weights."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        own = next(self.parameters())
        hx = hx.to(own.dtype) if isinstance(hx, Tensor) else hx
        return super().forward(input.to(own.dtype) if hasattr(input, "to") else input, hx)


class IgnoresDevices(impl.GRU):
    """A state on meta counts as none."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, None if getattr(hx, "is_meta", False) else hx)


class TakesAnything(impl.GRU):
    """Lists and arrays are made tensors."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if not isinstance(input, Tensor | PackedSequence) and not isinstance(input, str | None):
            input = torch.as_tensor(input, dtype=next(self.parameters()).dtype)
        return super().forward(input, hx)


class ReturnsNothingForNothing(impl.GRU):
    """No steps, no output."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor) and input.numel() == 0:
            return input, hx
        return super().forward(input, hx)


class NamesNothing(impl.GRU):
    """Every refusal has the same words."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        try:
            return super().forward(input, hx)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise RuntimeError("invalid argument") from error


class Asserts(impl.GRU):
    """Checks by assertions, which `python -O` leaves out."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor) and isinstance(hx, Tensor):
            assert input.dim() == hx.dim(), "hx has another rank than the input"
        return super().forward(input, hx)


class RefusesEverything(impl.GRU):
    """Never lets anything pass."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        raise RuntimeError("input is wrong, and so is hx")


class ReadsOneTooMany(impl.GRU):
    """Reads one number past the end of the input, and adds nothing of it to the output."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        if isinstance(output, Tensor):
            end = input.storage_offset() + input.numel()
            room = input.untyped_storage().nbytes() // input.element_size()
            if input.is_contiguous() and end < room:
                output = output + 0 * torch.as_strided(input, (1,), (1,), end)
        return output, state


class ReadsBeforeAWeight(impl.LSTMCell):
    """Reads the number before the first weight."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        h, c = super().forward(input, hx)
        w = self.weight_hh
        if w.storage_offset():
            h = h + 0 * torch.as_strided(w, (1,), (1,), w.storage_offset() - 1)
        return h, c


class ClampsOptions(impl.GRU):
    """Options that are out of range are brought into it."""

    def __init__(self, *args: Any, dropout: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, dropout=min(max(float(dropout or 0), 0.0), 1.0), **kwargs)


class TakesAnyNonlinearity(impl.RNNCell):
    """A name that is not known is tanh."""

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        named = "relu" if nonlinearity == "relu" else "tanh"
        super().__init__(*args, nonlinearity=named, **kwargs)


class RoundsSizes(impl.LSTM):
    """Sizes that are no integers are rounded down."""

    def __init__(self, input_size: Any, hidden_size: Any, **kwargs: Any) -> None:
        whole = [int(s) if isinstance(s, float) else s for s in (input_size, hidden_size)]
        super().__init__(*whole, **kwargs)


class ProjectsAnyWidth(impl.LSTM):
    """A projection that is not narrower than the state is none."""

    def __init__(
        self, input_size: int, hidden_size: int, proj_size: Any = 0, **kwargs: Any
    ) -> None:
        if isinstance(proj_size, int) and proj_size >= hidden_size:
            proj_size = 0
        super().__init__(input_size, hidden_size, proj_size=proj_size, **kwargs)


class SaysOnlyThatItFailed(impl.LSTM):
    """A constructor whose refusals have the same words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise ValueError("cannot be made") from error


class FollowsBatchSizes(impl.GRU):
    """What batch sizes leave out of the data is left out."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            rows = int(input.batch_sizes.sum())
            input = PackedSequence(input.data[:rows], *input[1:])
        return super().forward(input, hx)


def sorts_in_silence(input: Any, lengths: Any, batch_first: bool, enforce_sorted: bool) -> Any:
    """Takes every order for a sorted one."""
    return pack_padded_sequence(input, lengths, batch_first, enforce_sorted=False)


def cuts_in_silence(packed: Any, batch_first: bool, value: float, total: Any) -> Any:
    """A total length below the longest cuts it."""
    output, lengths = pad_packed_sequence(packed, batch_first, value)
    return output.narrow(1 if batch_first else 0, 0, min(int(total), output.shape[0])), lengths
