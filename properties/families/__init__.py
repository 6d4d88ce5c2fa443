"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    claims,
    composition,
    conduct,
    dropout,
    gates,
    interface,
    invariance,
    limits,
    networks,
    packing,
    parameters,
    special_values,
)

FAMILIES = tuple(
    module.FAMILY
    for module in (
        agreement,
        composition,
        invariance,
        limits,
        packing,
        dropout,
        special_values,
        parameters,
        interface,
        conduct,
        networks,
        gates,
        claims,
    )
)
