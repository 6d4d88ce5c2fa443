"""All mutants: importing the modules registers them; none of them needs Hypothesis."""

from __future__ import annotations

from . import (
    conduct,
    dropout,
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
    sizes,
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
    graphs,
    growth,
    upstream,
    dropout,
    memory,
    parameters,
    conduct,
    paths,
    replicas,
    sizes,
    lone,
)
__all__ = ["MODULES", "MUTANTS"]
