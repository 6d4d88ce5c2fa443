"""TorchRL's LSTM, GRU, LSTMCell and GRUCell: torch.nn's modules in Python alone.

`--subject gatewise.peers.torchrl:LSTM`; needs the packages torchrl and tensordict.  The cells are
drop-in.  The layers have torch.nn's parameters, and the default of `batch_first` is True there.
Their documentation says that they behave exactly as torch.nn's layers, and prints False.  So the
classes here change that default alone; put `torchrl.modules:LSTM` itself to the properties to see
the default.

TorchRL's LSTM takes `proj_size` and makes `weight_hr`, and its call does not use them.  `LSTM` here
has no such option, so that this one fault does not hide the rest; `ProjectedLSTM` has it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torchrl import modules
from torchrl.modules import GRUCell, LSTMCell

__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell", "ProjectedLSTM"]

_GAPS = {
    "bidirectional": "it raises NotImplementedError",
    "packed": "it takes tensors alone",
    "unbatched": "it takes three dimensions alone, and its error says so",
}


class _TimeMajor:
    """Before a layer of TorchRL in the bases: torch.nn's default of `batch_first`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        **placing: Any,
    ) -> None:
        own: Any = super()  # of the layer beside it
        own.__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            **placing,
        )


class LSTM(_TimeMajor, modules.LSTM):
    """TorchRL's LSTM with torch.nn's default of `batch_first`; errors are those of its base."""

    gatewise_unsupported: ClassVar[dict[str, str]] = {
        **_GAPS,
        "proj_size": "it is left out of every call; see ProjectedLSTM",
    }


class ProjectedLSTM(LSTM):
    """The same with `proj_size`, which TorchRL takes."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        **placing: Any,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size=proj_size,
            **placing,
        )


class GRU(_TimeMajor, modules.GRU):
    """TorchRL's GRU with torch.nn's default of `batch_first`; errors are those of its base."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS
