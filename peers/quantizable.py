"""torch.ao.nn.quantizable.LSTM: torch.nn's LSTM in steps that can be observed, before quantizing.

It is run in floating point.  Layers are cells with two Linear layers each, input and hidden.
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
