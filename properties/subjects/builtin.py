"""The built-in subjects: six modules of torch.nn and six of this project, its networks, packing.

Packing is checked on two functions of torch.nn.utils.rnn.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import torch.nn
from torch.nn.utils import rnn

from gatewise import impl
from gatewise.impl import concat_cells
from gatewise.impl.tagger import LSTMTagger
from gatewise.reference.classes import TORCH

from .networks import subject
from .protocol import Subject


def _of(module: ModuleType, prefix: str) -> list[Subject]:
    return [subject(f"{prefix}.{name}", name, getattr(module, name)) for name in TORCH]


_CONCAT = [
    subject("gatewise.impl.concat_cells.RNN", "SharedRNNCell", concat_cells.RNN),
    subject("gatewise.impl.concat_cells.LSTMCell", "SharedLSTMCell", concat_cells.LSTMCell),
    subject("gatewise.impl.concat_cells.GRUCell", "SharedGRUCell", concat_cells.GRUCell),
    *(
        subject(f"gatewise.impl.concat_cells.{name}", like, getattr(concat_cells, name))
        for name, like in (
            ("IndependentRNN", "IndependentRNNCell"),
            ("IndependentLSTMCell", "IndependentLSTMCell"),
            ("IndependentGRUCell", "IndependentGRUCell"),
        )
    ),
]
_TAGGERS = [
    subject("gatewise.impl.LSTMTagger+torch.nn.LSTM", "Tagger", LSTMTagger),
    subject(
        "gatewise.impl.LSTMTagger+gatewise.impl.LSTM", "Tagger", partial(LSTMTagger, lstm=impl.LSTM)
    ),
]

_FUNCTION: dict[str, Any] = {
    "Packing": rnn.pack_padded_sequence,
    "Padding": rnn.pad_packed_sequence,
}
_FUNCTIONS = [
    subject(f"torch.nn.utils.rnn.{function.__name__}", like, function)
    for like, function in _FUNCTION.items()
]

#: Name → subject, in the order of a report.
BUILTIN: dict[str, Subject] = {
    s.name: s
    for s in [
        *_of(torch.nn, "torch.nn"),
        *_of(impl, "gatewise.impl"),
        *_CONCAT,
        *_TAGGERS,
        *_FUNCTIONS,
    ]
}


def torchs(like: str, device: str = "cpu") -> Subject:
    """torch.nn's module of a class, on a device."""
    return BUILTIN[f"torch.nn.{like}"].on(device)


#: A tagger as tutorials write it: it keeps its state from one sentence to the next.  That is a
#: fault, so it is not a subject of a run.  The claims of the tutorial are checked on it.
CARRYING_TAGGER = subject(
    "gatewise.impl.LSTMTagger+carry_state", "Tagger", partial(LSTMTagger, carry_state=True)
)
