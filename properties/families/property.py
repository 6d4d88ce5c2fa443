"""A property: a named claim, its formula, what it is claimed of, its cases and its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hypothesis.strategies import SearchStrategy

from gatewise.reference.classes import CLASSES, DROP_IN, Class
from gatewise.reference.groups import Group
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..cases.strategies import cases, edge_cases, network_cases, variant_cases
from ..checking.comparison import Check
from ..devices import ALL, DeviceType, type_of
from ..precisions import WIDE, TorchPrecision
from ..subjects.capabilities import Unsupported, narrowed
from ..subjects.protocol import Subject

Claim = Callable[[Subject, Case, Check], None]

#: What a property may fix or bound of its cases, beside the fields of a `Case`.
_BOUNDS = ("least", "most", "forms", "regimes", "variants")


@dataclass(frozen=True, kw_only=True)
class Property:
    """One claim.  `constraints` narrow the cases to those that the claim speaks of; `variants`
    among them may be a function of the name of the subject's class.

    `of` is the group of classes that it is claimed of, `precisions` and `devices` the groups that
    it is claimed in and on: elsewhere it is not planned at all, so a claim about CUDA leaves no
    record where no CUDA device is.  `share` scales the profile's number of examples: more for
    claims over all options, fewer for discrete ones.  `profile` is the least one that runs it: at
    a lesser one it leaves a record that says so.  `isolated` cases may kill or hang the process
    that they run in, and `patience` is how many times the usual time a case may take there;
    `prepare` is called once before the fork.  `needs` names capabilities, of
    `subjects.capabilities.OTHER`, that the claim cannot do without.  With `edges` a run ends with
    a case for every tile edge of every size, and with `sweep` with one for every variant, which
    drawing meets by chance only.
    """

    name: str
    family: str
    sentence: str
    formula: str
    claim: Claim
    of: Group[Class] = DROP_IN
    precisions: Group[TorchPrecision] = WIDE
    devices: Group[DeviceType] = ALL
    share: float = 1.0
    profile: str = "quick"
    isolated: bool = False
    patience: float = 1.0
    prepare: Callable[[], None] | None = None
    needs: tuple[str, ...] = ()
    edges: bool = False
    sweep: bool = False
    constraints: Mapping[str, Any] = field(default_factory=dict)

    def strategy(
        self, like: str, precision: str, constraints: Mapping[str, Any] | None = None
    ) -> SearchStrategy[Case]:
        """The strategy of this property's cases for a class in a precision."""
        own = CLASSES[like]
        draw = network_cases if KINDS[own.kind].base else cases
        drawn = {**(constraints or self.constraints), "variants": self.variants(like)}
        return draw(own.kind, own.cell, precision, **drawn)

    def variants(self, like: str) -> tuple[str, ...]:
        """The variants of its cases for a class."""
        given = self.constraints.get("variants", ())
        return tuple(given(like) if callable(given) else given)

    def claimed_of(self, like: str, device: str) -> bool:
        """Whether it is claimed of a class on a device, `cuda:1` say."""
        # A type that is not in the table, such as mps, is in the group of all.
        return like in self.of and (self.devices is ALL or type_of(device) in self.devices)

    def cases_for(self, subject: Subject, precision: str) -> SearchStrategy[Case]:
        """The strategy of the cases that a subject offers, in what it computes a precision in.

        Raises `Unsupported` where the subject states that it does not offer what is claimed.
        """
        for name in (precision, self.family, self.name, *self.needs):
            if name in subject.unsupported:
                raise Unsupported(subject.unsupported[name])
        within = narrowed(self.constraints, subject.unsupported, subject.form)
        return self.strategy(subject.like, subject.computes.get(precision, precision), within)

    def edge_cases(self, subject: Subject, precision: str, seed: int) -> Iterator[Case]:
        """The cases that a run ends with, within what a subject offers: see `edges`, `sweep`."""
        computed = subject.computes.get(precision, precision)
        within = narrowed({}, subject.unsupported, subject.form)
        within.pop("forms", None)
        if self.edges and subject.like in DROP_IN:
            for case in edge_cases(subject.kind, subject.cell, computed, seed):
                yield case.but(**within)
        if self.sweep:
            fixed = {n: v for n, v in self.constraints.items() if n in Case.__dataclass_fields__}
            variants = self.variants(subject.like)
            for case in variant_cases(subject.kind, subject.cell, computed, seed, variants):
                yield case.but(**{**fixed, **within})


#: Field that takes a group → where such groups stand.
_GROUPS_OF = {
    "of": "LAYERS of reference.classes",
    "precisions": "WIDE of precisions",
    "devices": "CUDA of devices",
}
_OWN = {f.name for f in fields(Property)} - {"constraints"}
_CONSTRAINTS = {*Case.__dataclass_fields__, *_BOUNDS}


class Family:
    """Collects the properties of one family; a module holds one.  Each needs what `needs` names."""

    def __init__(self, name: str, needs: tuple[str, ...] = ()) -> None:
        self.name = name
        self.needs = needs
        self.properties: list[Property] = []

    def claims(self, sentence: str, formula: str, **stated: Any) -> Callable[[Claim], Claim]:
        """Register a function `(subject, case, check)` as the property of its name.

        `stated` are fields of `Property`, and constraints of its cases: fields of `Case`, or
        `least`, `most`, `forms`, `regimes` and `variants`.  Raises `TypeError` for any other.
        """
        unknown = sorted(set(stated) - _OWN - _CONSTRAINTS)
        if unknown:
            raise TypeError(f"{unknown[0]!r} is no field of Property and no constraint of a Case")
        own = {name: value for name, value in stated.items() if name in _OWN}
        for name in _GROUPS_OF.keys() & own.keys():
            if not isinstance(own[name], Group):
                raise TypeError(
                    f"{name}={own[name]!r}: expected a Group, such as {_GROUPS_OF[name]}"
                )
        own["needs"] = (*self.needs, *own.get("needs", ()))
        own["constraints"] = {n: v for n, v in stated.items() if n not in _OWN}

        def register(claim: Claim) -> Claim:
            made = Property(
                name=claim.__name__,
                family=self.name,
                sentence=sentence,
                formula=formula,
                claim=claim,
                **own,
            )
            self.properties.append(made)
            return claim

        return register
