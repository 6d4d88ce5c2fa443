"""The built-in subjects: torch.nn's six modules, this project's own six, and its networks."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import torch.nn
from torch.nn.utils import rnn

from gatewise import impl
from gatewise.impl import concat_cells
from gatewise.impl.tagger import LSTMTagger

from .networks import subject
from .protocol import KINDS, PACKING, PADDING, Subject


def _of(module: ModuleType, prefix: str) -> list[Subject]:
    return [subject(f"{prefix}.{kind}", kind, getattr(module, kind)) for kind in KINDS]


_CONCAT = [
    subject("gatewise.impl.concat_cells.RNN", "SharedRNNCell", concat_cells.RNN),
    subject("gatewise.impl.concat_cells.LSTMCell", "SharedLSTMCell", concat_cells.LSTMCell),
    subject("gatewise.impl.concat_cells.GRUCell", "SharedGRUCell", concat_cells.GRUCell),
    *(
        subject(f"gatewise.impl.concat_cells.{name}", kind, getattr(concat_cells, name))
        for name, kind in (
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

_PACKING: dict[str, Any] = {
    PACKING: rnn.pack_padded_sequence,
    PADDING: rnn.pad_packed_sequence,
}
_FUNCTIONS = [
    subject(f"torch.nn.utils.rnn.{function.__name__}", kind, function)
    for kind, function in _PACKING.items()
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

#: A tagger as tutorials write it, which keeps its state between sentences: not a subject of a run,
#: for that is a fault, but one that claims are put to.
CARRYING_TAGGER = subject(
    "gatewise.impl.LSTMTagger+carry_state", "Tagger", partial(LSTMTagger, carry_state=True)
)
