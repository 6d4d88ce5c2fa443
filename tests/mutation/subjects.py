"""Subjects of the mutation run, which can be sent to another process by their names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from gatewise.properties.subjects.protocol import Subject


class Named(Subject):
    """A subject whose factory, which most often no import finds, is found by the subject's name."""

    def __reduce__(self) -> tuple[Any, ...]:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "factory"}
        return _again, (own,)


def _again(own: dict[str, Any]) -> Subject:
    from .all import MUTANTS
    from .correct import CORRECT

    origin, _, name = own["name"].partition(".")
    found: Any = MUTANTS[name].factory if origin == "mutant" else CORRECT[name].subject.factory
    return Named(factory=found, **own)
