"""Opacus's DPLSTM, DPGRU and DPRNN: drop-ins made of Linear layers, for gradients of each row.

Parameter names are torch.nn's; the cells' own are renamed.
"""

from __future__ import annotations

from typing import ClassVar

from opacus.layers import DPGRU, DPLSTM, DPRNN

_GAPS = {
    "unbatched": "it takes three dimensions alone",
    "rejection": "it leaves the checks of its arguments to its caller",
}


class LSTM(DPLSTM):
    """Opacus's LSTM, with what it does not offer; its constructor refuses a projection."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS


class GRU(DPGRU):
    """Opacus's GRU, with what it does not offer."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS


class RNN(DPRNN):
    """Opacus's RNN, with what it does not offer."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS
