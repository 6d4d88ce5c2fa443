"""Layers that take lengths, masks or resets, right and wrong, and the adapters that say so."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import gatewise as gw

PLAIN = {"unbatched": "three dimensions alone"}


class Masked(nn.Module):
    """A layer of an LSTM in a loop, batch-major; a step that does not count keeps the state.

    `fault` is a planted fault, or "".
    """

    fault = ""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size, bias)

    def steps(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """The mask (B, T) of the steps that count."""
        batch, time = x.shape[:2]
        if lengths is None:
            return x.new_ones(batch, time, dtype=torch.bool)
        return torch.arange(time, device=x.device) < lengths[:, None]

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Any = None,
        mask: Any = None,
        resets: Any = None,
    ) -> Any:
        """x (B, T, I) → output (B, T, H), (h, c)."""
        if state is None:
            state = (x.new_zeros(1, x.shape[0], self.cell.hidden_size),) * 2
        h, c = (s[0] for s in state)
        start = h, c
        steps = self.steps(x, lengths) if mask is None else mask
        outputs = []
        for t in range(x.shape[1]):
            if resets is not None and self.fault != "no reset":
                clear = resets[:, t, None]
                h, c = (torch.where(clear, torch.zeros_like(s), s) for s in (h, c))
            new_h, new_c = self.cell(x[:, t], (h, c))
            if self.fault == "mask of output alone":
                h, c = new_h, new_c
            elif self.fault == "mask as a factor":
                m = steps[:, t, None].to(x.dtype)
                h, c = m * new_h + (1 - m) * h, m * new_c + (1 - m) * c
            else:
                h, c = (
                    torch.where(steps[:, t, None], new, old)
                    for new, old in ((new_h, h), (new_c, c))
                )
            outputs.append(h)
        if self.fault == "empty rows get the state of row 0":
            empty = ~steps.any(1)[:, None]
            h = torch.where(empty, h[:1], h)
        if self.fault == "empty rows take c from h":
            empty = ~steps.any(1)[:, None]
            c = torch.where(empty, start[0], c)
        return torch.stack(outputs, 1), (h[None], c[None])


class Truncated(Masked):
    """Relative lengths, cut instead of rounded."""

    def steps(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """The mask (B, T) of the steps that count."""
        return super().steps(x, None if lengths is None else (lengths * x.shape[1]).int())


class Rounded(Masked):
    """Relative lengths, rounded."""

    def steps(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """The mask (B, T) of the steps that count."""
        own = None if lengths is None else torch.round(lengths * x.shape[1]).int()
        return super().steps(x, own)


def wrong(fault: str, of: type[Masked] = Masked) -> type[Masked]:
    """The layer with a planted fault."""
    return type("Wrong", (of,), {"fault": fault})


def adapter(own: type[nn.Module], lengths: str = "absolute", **more: Any) -> Any:
    """The adapter of such a layer."""
    ends = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return gw.Adapter(
        own,
        like="LSTM",
        weights={f"cell.{end}": end for end in ends},
        layout="batch-major",
        lengths=lengths,
        unsupported=PLAIN,
        **more,
    )
