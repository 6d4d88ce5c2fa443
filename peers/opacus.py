"""Opacus's DPLSTM, DPGRU and DPRNN: drop-ins made of Linear layers, for per-sample gradients.

Opacus renames the parameters of its cells, so their names are torch.nn's.
"""

from __future__ import annotations

from typing import ClassVar

from opacus.layers import DPGRU, DPLSTM, DPRNN

_GAPS = {
    "unbatched": "it takes three dimensions alone",
    "rejection": "it leaves the checks of its arguments to its caller",
}


class LSTM(DPLSTM):
    """Opacus's LSTM and what it does not support.  Its constructor rejects a projection."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS


class GRU(DPGRU):
    """Opacus's GRU and what it does not support."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS


class RNN(DPRNN):
    """Opacus's RNN and what it does not support."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS
