"""Gatewise decides whether an implementation of a recurrent network is right.

import gatewise as gw

for record in gw.check_conformance("mine.py:MyLSTM"):
    print(record.id, record.status)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .properties.cases.case import Case as Case
    from .properties.checking.oracle import expected as expected
    from .properties.families.catalogue import CATALOGUE as CATALOGUE
    from .properties.families.own import claim as claim
    from .properties.running.engine import check_conformance as check_conformance
    from .properties.running.records import Record as Record
    from .properties.subjects.adapting.adapter import Adapter as Adapter
    from .properties.subjects.adapting.identify import identify as identify
    from .properties.subjects.protocol import Subject as Subject
    from .pytest import parametrize as parametrize
    from .reference.activations import blend as blend
    from .reference.activations import relu as relu
    from .reference.activations import sigmoid as sigmoid
    from .reference.declaring import kind as kind
    from .reference.functions import hard_sigmoid as hard_sigmoid
    from .reference.functions import hard_tanh as hard_tanh
    from .reference.functions import layer_norm as layer_norm
    from .reference.functions import log_sigmoid as log_sigmoid
    from .reference.functions import rms_norm as rms_norm
    from .reference.functions import silu as silu
    from .reference.functions import softplus as softplus

#: Name → the module that has it, imported at the first use: `gatewise.impl` needs torch alone.
_HOME = {
    "CATALOGUE": "properties.families.catalogue",
    "Adapter": "properties.subjects.adapting.adapter",
    "Case": "properties.cases.case",
    "Record": "properties.running.records",
    "Subject": "properties.subjects.protocol",
    "blend": "reference.activations",
    "check_conformance": "properties.running.engine",
    "claim": "properties.families.own",
    "expected": "properties.checking.oracle",
    "hard_sigmoid": "reference.functions",
    "hard_tanh": "reference.functions",
    "identify": "properties.subjects.adapting.identify",
    "kind": "reference.declaring",
    "layer_norm": "reference.functions",
    "log_sigmoid": "reference.functions",
    "parametrize": "pytest",
    "relu": "reference.activations",
    "rms_norm": "reference.functions",
    "sigmoid": "reference.activations",
    "silu": "reference.functions",
    "softplus": "reference.functions",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"gatewise has no {name!r}; it offers {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
