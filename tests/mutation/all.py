"""All mutants: importing the modules registers them; none of them needs Hypothesis."""

from __future__ import annotations

from . import (
    call_order,
    compiled,
    conduct,
    dropout,
    dropout_training,
    evaluation,
    gate_math,
    gradients,
    graphs,
    growth,
    lone,
    memory,
    numerics,
    parameters,
    paths,
    replicas,
    saved,
    sizes,
    states,
    traced,
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
    sizes,
    growth,
    replicas,
    saved,
    compiled,
    traced,
    lone,
)
__all__ = ["MODULES", "MUTANTS"]
