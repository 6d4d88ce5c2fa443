"""All mutants: importing the modules registers them; none of them needs Hypothesis."""

from __future__ import annotations

from . import (
    call_order,
    conduct,
    dropout,
    dropout_training,
    evaluation,
    gate_math,
    gradients,
    lone,
    memory,
    numerics,
    parameters,
    paths,
    states,
    walks,
)
from .registry import MUTANTS

MODULES = (
    gate_math,
    states,
    walks,
    numerics,
    gradients,
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
