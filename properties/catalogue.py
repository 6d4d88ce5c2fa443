"""The catalogue: every property, by family."""

from __future__ import annotations

from .families import FAMILIES
from .property import Property

#: Name → property, in the order of the families.
CATALOGUE: dict[str, Property] = {p.name: p for family in FAMILIES for p in family.properties}


def properties_for(kind: str, precision: str, device: str = "cpu") -> list[Property]:
    """The properties that are claimed of a kind in a precision on a device."""
    of = [p for p in CATALOGUE.values() if p.claimed_of(kind, device)]
    return [p for p in of if precision in p.precisions]
