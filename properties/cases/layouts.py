"""Memory layouts of tensors.  Each tensor is checked to have its layout when it is made."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatewise.reference.formats import Array

#: `expanded` has stride 0 along the axis before the last, so its values repeat there.
LAYOUTS = ("contiguous", "transposed", "strided", "offset", "expanded")

#: In `swapped` the first two axes are exchanged in memory, as in a time-major view of batch-major
#: data.  `single` is one number with stride 0 along every axis, as `zeros(()).expand` makes it.
ALL_LAYOUTS = (*LAYOUTS, "swapped", "single")


def fitted(values: Array, layout: str) -> Array:
    """Repeat `values` along the axes of stride 0, where a layout can hold only equal values."""
    if layout == "expanded" and values.ndim > 1 and values.shape[-2] > 0:
        return np.broadcast_to(values[..., :1, :], values.shape)
    if layout == "single" and values.size > 0:
        return np.broadcast_to(values.reshape(-1)[0], values.shape)
    return values


def place(values: Array, layout: str, dtype: torch.dtype, device: str) -> Tensor:
    """Make a tensor of `values` in a layout; `contiguous` if it has too few axes for the layout.

    If the values differ where the layout must repeat them, the layout is `strided` instead.
    Raises `AssertionError` if the memory does not have the layout, because a test of strides on a
    dense copy tests nothing.  Raises `ValueError` for an unknown layout.
    """
    dense = torch.from_numpy(values.copy()).to(device=device, dtype=dtype)
    axes = {"strided": 1, "offset": 1, "single": 1}.get(layout, 2)
    if layout == "contiguous" or dense.ndim < axes or dense.numel() == 0:
        return dense
    if not np.array_equal(values, fitted(values, layout), equal_nan=True):
        layout = "strided"  # stride 0 cannot hold rows that differ, such as a carried state
    if layout == "transposed":
        placed = dense.transpose(-1, -2).contiguous().transpose(-1, -2)
        promised = placed.is_contiguous() == (1 in dense.shape[-2:])
    elif layout == "swapped":
        placed = dense.transpose(0, 1).contiguous().transpose(0, 1)
        promised = placed.is_contiguous() == (1 in dense.shape[:2])
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
    elif layout == "single":
        placed = dense.flatten()[0].expand(dense.shape)
        promised = not any(placed.stride())
    else:
        raise ValueError(f"layout {layout!r} is not one of {', '.join(ALL_LAYOUTS)}")
    assert promised, f"layout {layout} of shape {tuple(dense.shape)} has stride {placed.stride()}"
    return placed
