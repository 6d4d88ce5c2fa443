"""The table of correct subjects, and the three ways to enter one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from gatewise.properties.levels import CONTRACT, HARDENING
from gatewise.properties.precisions import PLAIN
from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.properties.subjects.capabilities import gaps_of
from gatewise.properties.subjects.protocol import Subject

from .subjects import Named

Factory = TypeVar("Factory", bound=Callable[..., Any])


@dataclass(frozen=True)
class Correct:
    """A correct subject, and what it is held to.

    `precisions` are those whose stated arithmetic is its own.  `level` is the strictest level of
    claims that it is held to: some refuse nothing, so they leave the level `hardening` out.
    """

    subject: Subject
    precisions: tuple[str, ...]
    level: str = HARDENING


#: Name → subject.
CORRECT: dict[str, Correct] = {}


def _enter(full: str, correct: Correct) -> None:
    if full in CORRECT:
        raise ValueError(f"correct subject {full!r} exists; expected another name")
    CORRECT[full] = correct


def add(name: str, kind: str, factory: Any, precisions: Iterable[str] = PLAIN) -> None:
    """Register a correct subject that is held to every level and states no gap."""
    full = f"{kind}-{name}"
    _enter(full, Correct(Named(f"correct.{full}", kind, factory), tuple(precisions)))


def own(like: str, name: str, precisions: Iterable[str] = PLAIN) -> Callable[[Factory], Factory]:
    """Register a class as a user hands it in: what it states as not offered is read from it."""

    def register(factory: Factory) -> Factory:
        full = f"{like}-{name}"
        subject = Named(f"correct.{full}", like, factory, unsupported=gaps_of(factory, like))
        _enter(full, Correct(subject, tuple(precisions), CONTRACT))
        return factory

    return register


def adapted(name: str, adapter: Adapter, precisions: Iterable[str] = PLAIN) -> None:
    """Register what an adapter describes."""
    full, made = f"{adapter.like}-{name}", adapter.subject()
    subject = Named(
        f"correct.{full}",
        made.like,
        made.factory,
        unsupported=made.unsupported,
        form=made.form,
        computes=made.computes,
    )
    _enter(full, Correct(subject, tuple(precisions), CONTRACT))
