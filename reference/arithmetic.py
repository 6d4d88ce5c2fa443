"""What Balls, Duals and the tape share: the shape of a value, and how NumPy calls them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: NumPy's functions that move the elements of one array.
SHAPE_FUNCTIONS: tuple[Any, ...] = (
    np.reshape,
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.flip,
    np.expand_dims,
    np.squeeze,
    np.broadcast_to,
)


class Valued:
    """Something with a value `v`: an array, or another arithmetic."""

    __slots__ = ()
    v: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        shape: tuple[int, ...] = self.v.shape
        return shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.v)


def clip_ends(low: Any, high: Any, named: dict[str, Any]) -> tuple[Any, Any]:
    """The ends that np.clip was given, by place or by name; takes those names from `named`."""
    low, high = named.pop("min", low), named.pop("max", high)
    return named.pop("a_min", low), named.pop("a_max", high)
