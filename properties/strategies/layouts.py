"""Memory layouts of tensors, built so that they are what they promise."""

from __future__ import annotations

import torch
from torch import Tensor

from reference.formats import Array

#: `expanded` has stride 0 along the axis before the last, so its values repeat there.
LAYOUTS = ("contiguous", "transposed", "strided", "offset", "expanded")


def place(values: Array, layout: str, dtype: torch.dtype, device: str) -> Tensor:
    """A tensor holding `values` in the given layout; rows that differ are never `expanded`.

    Raises `AssertionError` when the memory is not what the layout promises: a test of strides
    that runs on a dense copy tests nothing.
    """
    dense = torch.from_numpy(values.copy()).to(device=device, dtype=dtype)
    if layout == "contiguous" or dense.ndim < 2 or dense.numel() == 0:
        return dense
    if layout == "expanded" and not (values == values[..., :1, :]).all():
        layout = "strided"  # a carried state, say, whose rows differ: stride 0 cannot hold it
    if layout == "transposed":
        placed = dense.transpose(-1, -2).contiguous().transpose(-1, -2)
        promised = placed.is_contiguous() == (1 in dense.shape[-2:])
    elif layout == "strided":
        wide = torch.full((*dense.shape[:-1], 2 * dense.shape[-1]), torch.nan).to(dense)
        placed = wide[..., ::2]
        placed.copy_(dense)
        promised = placed.stride(-1) == 2
    elif layout == "offset":
        flat = torch.full((dense.numel() + 3,), torch.nan).to(dense)
        placed = flat[3:].view(dense.shape)
        placed.copy_(dense)
        promised = placed.storage_offset() == 3
    elif layout == "expanded":
        placed = dense.select(-2, 0).unsqueeze(-2).expand(dense.shape)
        promised = placed.stride(-2) == 0 or dense.shape[-2] == 1
    else:
        raise ValueError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    assert promised, f"layout {layout} of shape {tuple(dense.shape)} has stride {placed.stride()}"
    return placed
