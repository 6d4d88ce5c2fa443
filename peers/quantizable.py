"""torch.ao.nn.quantizable.LSTM: torch.nn's LSTM, split into modules that observers can watch.

It runs here in floating point, before quantization.  Each layer has a cell with two Linear
layers, one for the input and one for the hidden state.
"""

from __future__ import annotations

import torch.ao.nn.quantizable

from gatewise.properties.subjects.adapting.adapter import Adapter

_CELL = "layers.{layer}.layer_{direction}.cell"

LSTM = Adapter(
    torch.ao.nn.quantizable.LSTM,
    like="LSTM",
    weights={
        f"{_CELL}.igates.weight": "weight_ih",
        f"{_CELL}.igates.bias": "bias_ih",
        f"{_CELL}.hgates.weight": "weight_hh",
        f"{_CELL}.hgates.bias": "bias_hh",
    },
    directions=("fw", "bw"),
    unsupported={
        "packed": "it takes tensors alone",
        "unbatched": "it takes three dimensions alone",
    },
)
