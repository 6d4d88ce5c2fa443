"""The twelve built-in subjects: torch.nn's six modules and this project's own six."""

from __future__ import annotations

from types import ModuleType

import torch.nn

import impl

from .protocol import KINDS, Subject


def _of(module: ModuleType, prefix: str) -> list[Subject]:
    return [Subject(f"{prefix}.{kind}", kind, getattr(module, kind)) for kind in KINDS]


#: Name → subject, in the order of a report.
BUILTIN: dict[str, Subject] = {s.name: s for s in [*_of(torch.nn, "torch.nn"), *_of(impl, "impl")]}
