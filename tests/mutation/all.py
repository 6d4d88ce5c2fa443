"""All mutants: importing the modules registers them; none of them needs Hypothesis.

`growth`, `replicas` and `sizes` are not imported yet: `docs/strength.jsonl` has every
registered mutant, and these were only put to the claims that they are for.
"""

from __future__ import annotations

from . import (
    call_order,
    conduct,
    dropout,
    dropout_training,
    evaluation,
    gate_math,
    gradients,
    graphs,
    lone,
    memory,
    numerics,
    parameters,
    paths,
    states,
    upstream,
    walks,
)
from .registry import MUTANTS

MODULES = (
    gate_math,
    states,
    upstream,
    walks,
    numerics,
    gradients,
    graphs,
    dropout,
    dropout_training,
    memory,
    parameters,
    conduct,
    evaluation,
    call_order,
    paths,
    lone,
)
__all__ = ["MODULES", "MUTANTS"]
