"""pytorch-forecasting's LSTM and GRU: torch.nn's layers that take lengths beside a padded tensor.

`--subject gatewise.peers.pytorch_forecasting:LSTM`; needs the package pytorch-forecasting.  Without
lengths a call is torch.nn's.  So a packed input is padded here, and the layer gets the padded
tensor with its lengths; its padded output is packed again.  Lengths of 0, which these layers take
too, are none that a packed input can have.
"""

from __future__ import annotations

from typing import Any

from pytorch_forecasting.models.nn import rnn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def _with_lengths(forward: Any, packed: PackedSequence, hx: Any, batch_first: bool) -> Any:
    """Call `forward` on the padded input and its lengths → packed output and the states."""
    ordered = packed.sorted_indices is None
    x, lengths = pad_packed_sequence(packed, batch_first)
    output, state = forward(x, hx, lengths=lengths, enforce_sorted=ordered)
    return pack_padded_sequence(output, lengths, batch_first, enforce_sorted=ordered), state


class LSTM(rnn.LSTM):
    """The LSTM, which takes the lengths of a packed input as an argument."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch.nn.LSTM; raises what the layer raises."""
        if isinstance(input, PackedSequence):
            return _with_lengths(super().forward, input, hx, self.batch_first)
        return super().forward(input, hx)


class GRU(rnn.GRU):
    """The GRU, which takes the lengths of a packed input as an argument."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch.nn.GRU; raises what the layer raises."""
        if isinstance(input, PackedSequence):
            return _with_lengths(super().forward, input, hx, self.batch_first)
        return super().forward(input, hx)
