"""Lengths, masks and resets: how an implementation that takes them is called.

torch.nn takes sequences of different lengths as a PackedSequence.  Many libraries take a padded
tensor and, for each row, its length or a mask of its steps.  The padded input is (T, B, I) here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

#: How lengths are passed: (B,) steps, (B,) shares of T, or a mask that is True where a step counts.
LENGTHS = ("absolute", "relative", "mask")
PADDINGS = ("right", "left")


@dataclass(frozen=True)
class Sequences:
    """How lengths and resets are passed; the fields are those of `Adapter`."""

    lengths: str = ""
    padding: str = "right"
    resets: bool = False

    def arguments(self, x: Tensor, lengths: Tensor) -> dict[str, Any]:
        """The argument of the call for `lengths` (B,), int64; x is (T, B, I), a mask (T, B)."""
        if self.lengths == "mask":
            return {"mask": steps_of(x, lengths, self.padding)}
        if self.lengths == "relative":
            # Libraries take them in float32, whatever the format of x.
            return {"lengths": (lengths.double() / len(x)).to(torch.float32)}
        return {"lengths": lengths}

    def padded(
        self, packed: PackedSequence, call: Callable[[Tensor, Tensor], dict[str, Tensor]]
    ) -> dict[str, Any]:
        """The results of `call(x, lengths)` on a padded tensor, with a packed output.

        The rows are in the caller's order, as those of the states are.
        """
        x, lengths = pad_packed_sequence(packed)
        x, lengths = self.placed(x, lengths), lengths.to(x.device)
        results: dict[str, Any] = dict(call(x, lengths))
        output = self.placed(results["output"], lengths, back=True)
        order = packed.sorted_indices
        if order is not None:
            output, lengths = output[:, order], lengths[order]
        data = pack_padded_sequence(output, lengths.cpu()).data
        results["output"] = PackedSequence(
            data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        )
        return results

    def placed(self, x: Tensor, lengths: Tensor, back: bool = False) -> Tensor:
        """x (T, B, ·) with each row's steps at the side where the padding is not; or back again."""
        if self.padding == "right":
            return x
        time = torch.arange(len(x), device=x.device)[:, None]
        shift = len(x) - lengths.to(x.device)
        source = (time + shift if back else time - shift) % len(x)
        return x.gather(0, source[..., None].expand_as(x))


def steps_of(x: Tensor, lengths: Tensor, padding: str = "right") -> Tensor:
    """The mask (T, B) of the steps that count in x (T, B, ·)."""
    time = torch.arange(len(x), device=x.device)[:, None]
    lengths = lengths.to(x.device)
    return time < lengths if padding == "right" else time >= len(x) - lengths
