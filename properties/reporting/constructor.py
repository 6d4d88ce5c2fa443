"""How a subject's constructor differs from torch.nn's: its defaults, its order, what it ignores."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from gatewise.reference.classes import TORCH

from ..cases.case import Case
from ..subjects.capabilities import OPTIONS, options_of
from ..subjects.protocol import Subject

#: Options that change the parameters, and a value that does.
_CHANGES = {"bias": False, "num_layers": 2, "bidirectional": True, "proj_size": 1}


def constructor_faults(subject: Subject, case: Case) -> tuple[str, ...]:
    """One line for each way in which the constructor differs that may matter to a case.

    An option that the case states has no default to differ.  Constructing may raise: that says
    nothing here, since a property says it.
    """
    if subject.like not in TORCH or "torch_names" in subject.unsupported:
        return ()
    return tuple(_differences(subject, case))


def _differences(subject: Subject, case: Case) -> Iterator[str]:
    arguments = _arguments(subject)
    stated = subject.arguments(case)[1]
    for option in options_of(subject.like):
        default = arguments[option].default if option in arguments else inspect.Parameter.empty
        differs = default is not inspect.Parameter.empty and default != OPTIONS[option]
        if differs and option not in stated:
            yield (
                f"the constructor's default is {option}={default!r}, "
                f"torch.nn's is {option}={OPTIONS[option]!r}"
            )
    yield from _order(subject, list(arguments))
    for option, value in _CHANGES.items():
        taken = option in stated and option in options_of(subject.like)
        if taken and _ignored(subject, option, value):
            yield f"the constructor accepts {option}={value!r} and ignores it"


def _arguments(subject: Subject) -> dict[str, inspect.Parameter]:
    """The named arguments of the constructor, in their order; none where it has no signature."""
    try:
        return dict(inspect.signature(subject.factory).parameters)
    except (TypeError, ValueError):
        return {}


def _order(subject: Subject, names: list[str]) -> Iterator[str]:
    """Options that stand at each other's places: by position one is taken for the other."""
    own = [n for n in names if n in OPTIONS]
    theirs = [n for n in options_of(subject.like) if n in own]
    # torch.nn.RNN alone has the nonlinearity before bias, and both orders are in use.
    pairs = [(a, b) for a, b in zip(own, theirs, strict=False) if a != b]
    if len(pairs) == 2 and pairs[0] == pairs[1][::-1]:
        a, b = pairs[0]
        yield f"the constructor takes {a} at the place where torch.nn takes {b}"


def _ignored(subject: Subject, option: str, value: Any) -> bool:
    """Whether an option that changes torch.nn's parameters changes nothing here."""
    try:
        with torch.random.fork_rng(devices=[]):
            shapes = [
                {n: p.shape for n, p in subject.factory(2, 3, **options).named_parameters()}
                for options in ({}, {option: value})
            ]
    except Exception:
        return False
    return shapes[0] == shapes[1]
