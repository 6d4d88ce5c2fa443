"""Results and weights as float64 arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from gatewise.reference.formats import Array


def as_array(got: Any) -> Array:
    """Convert a tensor on any device, or an array, to a float64 array."""
    if isinstance(got, Tensor):
        got = got.detach().cpu().double().numpy()
    return np.asarray(got, dtype=np.float64)
