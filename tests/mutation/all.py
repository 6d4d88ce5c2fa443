"""All mutants and all correct subjects: importing the modules registers them."""

from __future__ import annotations

from . import (
    conduct,
    dropout,
    gate_math,
    gradients,
    memory,
    numerics,
    parameters,
    states,
    walks,
)
from .correct import CORRECT
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
)
__all__ = ["CORRECT", "MODULES", "MUTANTS"]
