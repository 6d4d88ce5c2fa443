"""All mutants: importing the modules registers them; none of them needs Hypothesis."""

from __future__ import annotations

from . import (
    conduct,
    dropout,
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
    memory,
    parameters,
    conduct,
    evaluation,
    paths,
    lone,
)
__all__ = ["MODULES", "MUTANTS"]
