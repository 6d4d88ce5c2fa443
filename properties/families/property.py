"""A property: a claim with its formula, its check, its cases, and where it is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any

from hypothesis.strategies import SearchStrategy

from gatewise.reference.classes import CLASSES, CONCAT_CELLS, DROP_IN, Class
from gatewise.reference.formats import Array
from gatewise.reference.groups import Group
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..cases.covering import Row, rows_of, rows_of_triples, some_rows, with_row
from ..cases.shapes import NoShape, Shape, bounds, chosen, of_shape
from ..cases.strategies import cases, edge_cases, network_cases, variant_cases
from ..checking.comparison import Check
from ..devices import ALL, DeviceType, type_of
from ..levels import HARDENING, LEVELS, VALUES
from ..precisions import WIDE, TorchPrecision
from ..subjects.capabilities import Unsupported, narrowed
from ..subjects.protocol import Subject

Claim = Callable[[Subject, Case, Check], None]
#: A case of a claim → the case of one call, and the dropout masks of its expected results.
OneCall = Callable[[Case], tuple[Case, list[Array]]]

#: The classes that take an initial state.
STATEFUL = DROP_IN + CONCAT_CELLS

#: The forms of an input that is no PackedSequence.
UNPACKED = ("dense", "unbatched")

#: The constraints of cases that are not fields of a `Case`.
_BOUNDS = ("least", "most", "forms", "regimes", "variants")


@dataclass(frozen=True, kw_only=True)
class Property:
    """One claim, where it is claimed, and which cases check it.

    `of`, `precisions` and `devices` are the groups of classes, precisions and devices that it is
    claimed of.  Elsewhere it is not planned at all: a claim about CUDA leaves no record on a
    machine without a CUDA device.  `needs` names the capabilities, of
    `subjects.capabilities.OTHER`, without which a subject cannot be checked.  `extra` is the one of
    `subjects.capabilities.EXTRAS` that it is about: it is planned for no subject without it.

    `constraints` narrow the cases to those that the claim is about.  Their `variants` may be a
    function of the name of the subject's class.  `share` scales the profile's number of examples:
    above 1 for a claim over all options, below 1 for a discrete one.  With `edges` a run ends with
    a case for every tile edge of every size.  With `sweep` it ends with a case for every variant,
    since drawing meets a variant only by chance.  With `covers` the variants of a class that is
    drop-in for torch.nn's are the rows of a covering array: every pair of values of two options,
    or of an option and a form, is in one of them.  With `triples` a run ends with a case for every
    row of a covering array of three: every triple of values of three options is in one of them,
    and under the profile quick a third of them is put, chosen by the seed.

    `portion` maps a profile to the part of the rows of `covers` that such a run ends with, chosen
    by the seed; a profile that it does not name has all.

    With `evaluates` the module is in evaluation mode in a third of the cases.

    `level` says which question it answers: see `levels`.  A claim at `hardening` says `beyond` what
    documentation it goes, and why.

    `profile` is the smallest profile that runs it; under a smaller one its record says so.
    `isolated` says that a case may kill or hang its process, so it runs in a sandbox.  A case may
    take `patience` times the usual time there.  `prepare` is called once,
    before the fork.

    Where a case decides the claim by one call that its own fields do not describe, `one_call` gives
    that call, so that a script of a failure can show it.
    """

    name: str
    family: str
    sentence: str
    formula: str
    claim: Claim
    level: str = VALUES
    beyond: str = ""
    of: Group[Class] = DROP_IN
    precisions: Group[TorchPrecision] = WIDE
    devices: Group[DeviceType] = ALL
    share: float = 1.0
    profile: str = "quick"
    isolated: bool = False
    patience: float = 1.0
    prepare: Callable[[], None] | None = None
    needs: tuple[str, ...] = ()
    extra: str = ""
    edges: bool = False
    sweep: bool = False
    portion: Mapping[str, float] = field(default_factory=dict)
    covers: bool = False
    triples: bool = False
    evaluates: bool = False
    one_call: OneCall | None = None
    constraints: Mapping[str, Any] = field(default_factory=dict)

    def strategy(
        self, like: str, precision: str, constraints: Mapping[str, Any] | None = None
    ) -> SearchStrategy[Case]:
        """The strategy of this property's cases for a class in a precision."""
        own = CLASSES[like]
        draw = network_cases if KINDS[own.kind].base else cases
        within = constraints or self.constraints
        rows = self._rows(like, within)
        drawn = {**within, "variants": self.variants(like, within)}
        found = draw(own.kind, own.cell, precision, evaluates=self.evaluates, **drawn)
        return found.map(lambda c: _within(with_row(c, rows[c.variant]), within)) if rows else found

    def variants(self, like: str, within: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """The variants of this property's cases for a class, within constraints or its own."""
        if self.covers:
            return tuple(self._rows(like, within or self.constraints))
        given = self.constraints.get("variants", ())
        return tuple(given(like) if callable(given) else given)

    def _rows(self, like: str, within: Mapping[str, Any]) -> Mapping[str, Row]:
        """Name → row of the covering array, over the forms that constraints allow."""
        if not self.covers or like not in DROP_IN:
            return {}
        return rows_of(CLASSES[like].kind, CLASSES[like].cell, tuple(within["forms"]))

    def claimed_of(self, like: str, device: str) -> bool:
        """Whether it is claimed of a class on a device, such as `cuda:1`."""
        # A device type without a row in the table, such as mps, belongs to the group of all.
        return like in self.of and (self.devices is ALL or type_of(device) in self.devices)

    def about(self, subject: Subject) -> bool:
        """Whether the subject has what the claim is about, beyond what torch.nn offers."""
        return not self.extra or self.extra in subject.extras

    def cases_for(self, subject: Subject, precision: str) -> SearchStrategy[Case]:
        """The strategy of the cases that a subject offers.

        A subject may state that it computes `precision` in another precision: the cases are then
        drawn for the other one.

        Raises `Unsupported` where the subject states that it does not offer what is claimed.
        """
        for name in (precision, self.family, self.name, *self.needs):
            if name in subject.unsupported:
                raise Unsupported(subject.unsupported[name])
        within = narrowed(self.constraints, subject.unsupported, subject.form)
        shape = self.shape_for(subject)
        within |= bounds(shape) if shape else {}
        return self.strategy(subject.like, subject.computes.get(precision, precision), within)

    def shape_for(self, subject: Subject) -> Shape | None:
        """The shape of this property's cases on a subject with few shapes; None on any other.

        Raises `Unsupported` where the claim needs other sizes.
        """
        if not subject.shapes:
            return None
        try:
            return chosen(subject.shapes, self.name, self.constraints)
        except NoShape as error:
            raise Unsupported(str(error)) from error

    def edge_cases(
        self, subject: Subject, precision: str, seed: int, profile: str = ""
    ) -> Iterator[Case]:
        """The cases of `edges` and `sweep` under a profile, within what a subject offers."""
        computed = subject.computes.get(precision, precision)
        within = narrowed({}, subject.unsupported, subject.form)
        within.pop("forms", None)
        shape = self.shape_for(subject)
        if self.edges and subject.like in DROP_IN and shape is None:
            for case in edge_cases(subject.kind, subject.cell, computed, seed):
                yield case.but(**within)
        if self.triples and subject.like in DROP_IN:
            for case in self._of_triples(subject, computed, seed, profile):
                yield of_shape(case, shape) if shape else case
        if self.sweep:
            offered = narrowed(self.constraints, subject.unsupported, subject.form)
            rows, variants = self._rows(subject.like, offered), self.variants(subject.like, offered)
            part = ceil(self.portion.get(profile, 1.0) * len(variants))
            if rows and part < len(rows):
                variants = some_rows(rows, seed, part)
            for case in variant_cases(subject.kind, subject.cell, computed, seed, variants):
                stated = {**self.constraints, **within}
                sized = _within(case, stated)
                made = with_row(sized, rows[case.variant]) if rows else sized
                yield _within(of_shape(made, shape) if shape else made, stated)

    def _of_triples(
        self, subject: Subject, precision: str, seed: int, profile: str
    ) -> Iterator[Case]:
        """A case for each row of the covering array of three, within what a subject offers."""
        rows = rows_of_triples(subject.kind, subject.cell, self.evaluates)
        within = narrowed(self.constraints, subject.unsupported, subject.form)
        forms = within.get("forms")
        variants = self.variants(subject.like) or ("",)
        step = 3 if profile == "quick" else 1
        for place, row in list(enumerate(rows))[seed % step :: step]:
            if forms is not None and row["form"] not in forms:
                continue
            case = Case(
                subject.kind,
                cell=subject.cell,
                input_size=3,
                hidden_size=4,
                batch=3,
                time=1 if subject.cell else 4,
                weights="spread",
                inputs="spread",
                states="spread",
                seed=(seed + place) % 2**32,
                precision=precision,
                variant=variants[place % len(variants)],
            )
            # First the sizes, from which the lengths of a packed row follow.
            yield _within(with_row(_within(case, within), row), within)


def _within(case: Case, constraints: Mapping[str, Any]) -> Case:
    """The case with the fields of a Case that constraints state."""
    return case.but(**{n: v for n, v in constraints.items() if n in Case.__dataclass_fields__})


#: Field that takes a group → an example of such a group.
_GROUPS_OF = {
    "of": "LAYERS of reference.classes",
    "precisions": "WIDE of precisions",
    "devices": "CUDA of devices",
}
_OWN = {f.name for f in fields(Property)} - {"constraints"}
_CONSTRAINTS = {*Case.__dataclass_fields__, *_BOUNDS}


class Family:
    """Collects the properties of one family.

    Each has the family's `level` unless it states another, and needs the capabilities in `needs`.
    `beyond` is what a claim at `hardening` says unless it states another reason.  With `evaluates`
    its claims are checked in evaluation mode too.  Claims about gradients are not, since cuDNN has
    none there: `gradients_in_eval_mode` makes this claim.
    """

    def __init__(
        self,
        name: str,
        level: str = VALUES,
        needs: tuple[str, ...] = (),
        beyond: str = "",
        evaluates: bool = False,
    ) -> None:
        self.name = name
        self.level = level
        self.needs = needs
        self.beyond = beyond
        self.evaluates = evaluates
        self.properties: list[Property] = []

    def claims(self, sentence: str, formula: str, **stated: Any) -> Callable[[Claim], Claim]:
        """Register a function `(subject, case, check)` as the property of its name.

        `stated` holds fields of `Property` and constraints of its cases: fields of `Case`, or
        `least`, `most`, `forms`, `regimes` and `variants`.  Raises `TypeError` for any other name.
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
        own.setdefault("evaluates", self.evaluates and "gradients" not in own["needs"])
        own["level"] = level = own.get("level", self.level)
        if level not in LEVELS:
            raise TypeError(f"level={level!r}: expected one of {', '.join(LEVELS)}")
        own["beyond"] = own.get("beyond", self.beyond) if level == HARDENING else ""
        if level == HARDENING and not own["beyond"]:
            raise TypeError("level='hardening': expected beyond=, why torch.nn documents it not")
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
