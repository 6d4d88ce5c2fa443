"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    claims,
    composition,
    conduct,
    gates,
    interface,
    invariance,
    limits,
    networks,
    parameters,
)

FAMILIES = tuple(
    module.FAMILY
    for module in (
        agreement,
        composition,
        invariance,
        limits,
        parameters,
        interface,
        conduct,
        networks,
        gates,
        claims,
    )
)
