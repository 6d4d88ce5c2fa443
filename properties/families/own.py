"""Claims that the author of a kind adds beside its step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from gatewise.reference.classes import only
from gatewise.reference.declared import DeclarationError
from gatewise.reference.kinds import Kind

from ..cases.case import Case
from ..checking.comparison import Check
from ..subjects.protocol import Subject
from .catalogue import CATALOGUE
from .property import Claim, Family

NAME = "own"


class OwnClaim:
    """A claim of a user's file.  It is sent to another process by its name."""

    def __init__(self, name: str, claim: Claim, source: str) -> None:
        self.name, self.claim, self.source = name, claim, source

    def __call__(self, subject: Subject, case: Case, check: Check) -> None:
        self.claim(subject, case, check)

    def __reduce__(self) -> Any:
        return _own, (self.name,)


def _own(name: str) -> Claim:
    return CATALOGUE[name].claim


def claim(kind: Kind, formula: str, **stated: Any) -> Callable[[Claim], Claim]:
    """Add a claim about a declared kind to the properties, under the name of the function.

    The function is called as `claim(subject, case, check)`; its docstring is the sentence of the
    claim.  `subject.run(case)` gives the results by name, `gatewise.expected(case)` what is
    expected of them, and `check.close(name, got, expected)` compares.  `stated` are the fields of
    `Property` and the constraints of its cases, as `time`, `with_state` or `least`.

    Raises `DeclarationError`, one line, for a kind that no step declares, a function without a
    docstring or with other arguments, or the name of another property.
    """

    def register(function: Claim) -> Claim:
        name, source = function.__name__, inspect.getsourcefile(function) or ""
        if not isinstance(kind, Kind) or kind.declared is None:
            raise DeclarationError(
                f"claim {name}: {kind!r} is no declared kind; expected what gatewise.kind returns"
            )
        sentence = inspect.getdoc(function)
        if not sentence:
            raise DeclarationError(f"claim {name}: expected a docstring that says what is claimed")
        arguments = list(inspect.signature(function).parameters)
        if arguments != ["subject", "case", "check"]:
            raise DeclarationError(
                f"claim {name}({', '.join(arguments)}): expected the arguments subject, case, check"
            )
        old = CATALOGUE.get(name)
        known = old.claim if old is not None else None
        if old is not None and not (isinstance(known, OwnClaim) and known.source == source):
            raise DeclarationError(
                f"claim {name}: the family {old.family} has a property of this name"
            )
        family = Family(NAME)
        of = only(kind.name, f"{kind.name}Cell")
        sentence = " ".join(sentence.split())
        made = OwnClaim(name, function, source)
        made.__name__ = name  # type: ignore[attr-defined]
        try:
            family.claims(sentence, formula, **{"of": of, **stated})(made)
        except TypeError as error:
            raise DeclarationError(f"claim {name}: {error}") from None
        (CATALOGUE[name],) = family.properties
        return function

    return register
