"""tinygrad's LSTMCell, with tinygrad's own backward pass.

Each call makes a cell, gives it the module's weights, and runs it.  tinygrad has torch.nn's names,
order of gates and two biases.  To compute a tensor cuts it off the graph that made it, so the
backward pass goes through a second forward pass of the same cell, as a loss would.

tinygrad compiles programs with clang for each shape.  Where there is no clang, its device PYTHON
runs the same operations in Python.  The environment variable DEV chooses another device.  A new
shape takes a second or more, so the cases have few shapes; NOOPT=1, PARALLEL=0 and SPEC=0 make
compiling faster.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any, ClassVar

import tinygrad
from torch import Tensor, nn

from .foreign import GAPS, Cell, through

_FOUND = "CPU" if shutil.which(os.environ.get("CC", "clang")) else "PYTHON"
_DEVICE = tinygrad.Device.DEFAULT if "DEV" in os.environ else _FOUND


def _arrays(tensors: Sequence[Any]) -> list[Any]:
    """Tensors as arrays, computed at once."""
    tinygrad.Tensor.realize(*tensors)
    return [t.numpy() for t in tensors]


class LSTMCell(Cell):
    """tinygrad.nn.LSTMCell."""

    like = nn.LSTMCell
    gatewise_shapes: ClassVar[list[tuple[int, ...]]] = [(3, 2, 4), (2, 5, 3)]
    gatewise_unsupported: ClassVar[dict[str, str]] = {
        **GAPS,
        "unbatched": "it takes a batch alone",
        "bfloat16": "NumPy has no bfloat16, and arrays come and go as NumPy's",
    }

    def compute(self, x: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """One call of a cell of tinygrad.nn; x (B, I) and states (B, H) → h and c (B, H)."""
        given = (x, *(states or ()))

        def call(*arrays: Any) -> tuple[Sequence[Any], Any]:
            leaves = [tinygrad.Tensor(a, device=_DEVICE) for a in arrays]
            cell = tinygrad.nn.LSTMCell(self.input_size, self.hidden_size, self.bias)
            for name, leaf in zip(self.names, leaves[len(given) :], strict=True):
                setattr(cell, name, leaf)
            state = None if states is None else tuple(leaves[1 : len(given)])

            def pull(*upstream: Any) -> list[Any]:
                above = [tinygrad.Tensor(u, device=_DEVICE) for u in upstream]
                results = cell(leaves[0], state)
                loss = sum((r * u).sum() for r, u in zip(results, above, strict=True))
                return _arrays(loss.gradient(*leaves))

            return _arrays(cell(leaves[0], state)), pull

        return through(call, *given, *self.weights().values())
