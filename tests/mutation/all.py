"""All mutants: importing the modules registers them; none of them needs Hypothesis."""

from __future__ import annotations

from . import (
    conduct,
    dropout,
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
    walks,
    numerics,
    gradients,
    upstream,
    graphs,
    dropout,
    memory,
    parameters,
    conduct,
    paths,
    lone,
)
__all__ = ["MODULES", "MUTANTS"]
