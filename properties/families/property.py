"""A property: a named claim, its formula, whom it holds for, its cases and its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis.strategies import SearchStrategy

from ..cases.case import Case, cases, edge_cases, network_cases, variant_cases
from ..checking.comparison import Check
from ..subjects.capabilities import Unsupported, narrowed
from ..subjects.protocol import KINDS, PACKING, PADDING, Subject

CELLS = tuple(k for k in KINDS if k.endswith("Cell"))
LAYERS = tuple(k for k in KINDS if not k.endswith("Cell"))
ALL_PRECISIONS = ("float64", "float32", "float16", "bfloat16", "tf32")
BASIC_PRECISIONS = ("float64", "float32")
CPU_PRECISIONS = ("float64", "float32", "float16", "bfloat16")
ALL_DEVICES = ("cpu", "cuda")

Claim = Callable[[Subject, Case, Check], None]


def _drawn_as(kind: str) -> str:
    """The family whose cases are drawn for a kind: what is packed is an RNN's dense input."""
    return "RNN" if kind in (PACKING, PADDING) else kind.removesuffix("Cell")


@dataclass(frozen=True)
class Property:
    """One claim.  `constraints` narrow the cases to those that the claim speaks of; `variants`
    among them may be a function of the kind.

    `share` scales the profile's number of examples: more for claims over all options, fewer for
    discrete ones.  `devices` are the types of device that it is claimed on: on others it is not
    planned at all, so a claim about CUDA leaves no record where no CUDA device is.  `profile` is
    the least one that runs it: at a lesser one it leaves a record that says so.  `isolated` cases
    may kill or hang the process that they run in, and `patience` is how many times the usual time
    a case may take there; `prepare` is called once before, so that they are forked with it done.
    `needs` names capabilities, of `subjects.capabilities.OTHER`, that the
    claim cannot do without.  With `edges` a run ends with a case for every tile edge of every
    size, and with `sweep` with one for every variant, which drawing meets by chance only.
    """

    name: str
    family: str
    sentence: str
    formula: str
    claim: Claim
    kinds: tuple[str, ...] = KINDS
    precisions: tuple[str, ...] = BASIC_PRECISIONS
    share: float = 1.0
    devices: tuple[str, ...] = ALL_DEVICES
    profile: str = "quick"
    isolated: bool = False
    patience: float = 1.0
    prepare: Callable[[], None] | None = None
    constraints: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    edges: bool = False
    sweep: bool = False

    def strategy(
        self, kind: str, precision: str, constraints: Mapping[str, Any] | None = None
    ) -> SearchStrategy[Case]:
        """The strategy of this property's cases for a kind in a precision."""
        cell, family = kind.endswith("Cell"), _drawn_as(kind)
        draw = cases if family in KINDS else network_cases
        drawn = {**(constraints or self.constraints), "variants": self.variants(kind)}
        return draw(family, cell, precision, **drawn)

    def variants(self, kind: str) -> tuple[str, ...]:
        """The variants of its cases for a kind."""
        given = self.constraints.get("variants", ())
        return tuple(given(kind) if callable(given) else given)

    def claimed_of(self, kind: str, device: str) -> bool:
        """Whether it is claimed of a kind on a device, `cuda:1` say."""
        return kind in self.kinds and device.partition(":")[0] in self.devices

    def cases_for(self, subject: Subject, precision: str) -> SearchStrategy[Case]:
        """The strategy of the cases that a subject offers, in what it computes a precision in.

        Raises `Unsupported` where the subject states that it does not offer what is claimed.
        """
        for name in (precision, self.family, self.name, *self.needs):
            if name in subject.unsupported:
                raise Unsupported(subject.unsupported[name])
        within = narrowed(self.constraints, subject.unsupported, subject.form)
        return self.strategy(subject.kind, subject.computes.get(precision, precision), within)

    def edge_cases(self, subject: Subject, precision: str, seed: int) -> Iterator[Case]:
        """The cases that a run ends with, within what a subject offers: see `edges`, `sweep`."""
        computed = subject.computes.get(precision, precision)
        within = narrowed({}, subject.unsupported, subject.form)
        within.pop("forms", None)
        if self.edges and subject.kind in KINDS:
            for case in edge_cases(subject.family, subject.cell, computed, seed):
                yield case.but(**within)
        if self.sweep:
            fixed = {n: v for n, v in self.constraints.items() if n in Case.__dataclass_fields__}
            family, variants = _drawn_as(subject.kind), self.variants(subject.kind)
            for case in variant_cases(family, subject.cell, computed, seed, variants):
                yield case.but(**fixed, **within)


class Family:
    """Collects the properties of one family; a module holds one.  Each needs what `needs` names."""

    def __init__(self, name: str, needs: tuple[str, ...] = ()) -> None:
        self.name = name
        self.needs = needs
        self.properties: list[Property] = []

    def claims(
        self,
        sentence: str,
        formula: str,
        *,
        kinds: tuple[str, ...] = KINDS,
        precisions: tuple[str, ...] = BASIC_PRECISIONS,
        share: float = 1.0,
        devices: tuple[str, ...] = ALL_DEVICES,
        profile: str = "quick",
        isolated: bool = False,
        patience: float = 1.0,
        prepare: Callable[[], None] | None = None,
        needs: tuple[str, ...] = (),
        edges: bool = False,
        sweep: bool = False,
        **constraints: Any,
    ) -> Callable[[Claim], Claim]:
        """Register a function `(subject, case, check)` as the property of its name."""

        def register(claim: Claim) -> Claim:
            self.properties.append(
                Property(
                    claim.__name__,
                    self.name,
                    sentence,
                    formula,
                    claim,
                    kinds,
                    precisions,
                    share,
                    devices,
                    profile,
                    isolated,
                    patience,
                    prepare,
                    constraints,
                    (*self.needs, *needs),
                    edges,
                    sweep,
                )
            )
            return claim

        return register
