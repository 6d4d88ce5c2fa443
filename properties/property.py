"""A property: a named claim, its formula, whom it holds for, its cases and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis.strategies import SearchStrategy

from .comparison import Check
from .strategies.cases import Case, cases, network_cases
from .subjects.protocol import KINDS, Subject

CELLS = tuple(k for k in KINDS if k.endswith("Cell"))
LAYERS = tuple(k for k in KINDS if not k.endswith("Cell"))
ALL_PRECISIONS = ("float64", "float32", "float16", "bfloat16", "tf32")
BASIC_PRECISIONS = ("float64", "float32")
CPU_PRECISIONS = ("float64", "float32", "float16", "bfloat16")
ALL_DEVICES = ("cpu", "cuda")

Claim = Callable[[Subject, Case, Check], None]


@dataclass(frozen=True)
class Property:
    """One claim.  `constraints` narrow the cases to those that the claim speaks of.

    `share` scales the profile's number of examples: more for claims over all options, fewer for
    discrete ones.  `isolated` cases may kill or hang the process that they run in.
    `devices` are the types of device that it is claimed on: on others it is not planned at all,
    so a claim about CUDA leaves no record where no CUDA device is.
    """

    name: str
    family: str
    sentence: str
    formula: str
    claim: Claim
    kinds: tuple[str, ...] = KINDS
    precisions: tuple[str, ...] = BASIC_PRECISIONS
    share: float = 1.0
    isolated: bool = False
    devices: tuple[str, ...] = ALL_DEVICES
    constraints: dict[str, Any] = field(default_factory=dict)

    def strategy(self, kind: str, precision: str) -> SearchStrategy[Case]:
        """The strategy of this property's cases for a kind in a precision."""
        cell = kind.endswith("Cell")
        family = kind.removesuffix("Cell")
        draw = cases if kind in KINDS else network_cases
        return draw(family, cell, precision, **self.constraints)


class Family:
    """Collects the properties of one family; a module holds one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.properties: list[Property] = []

    def claims(
        self,
        sentence: str,
        formula: str,
        *,
        kinds: tuple[str, ...] = KINDS,
        precisions: tuple[str, ...] = BASIC_PRECISIONS,
        share: float = 1.0,
        isolated: bool = False,
        devices: tuple[str, ...] = ALL_DEVICES,
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
                    isolated,
                    devices,
                    constraints,
                )
            )
            return claim

        return register
