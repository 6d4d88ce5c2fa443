"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    claims,
    compilation,
    composition,
    conduct,
    determinism,
    gates,
    interface,
    invariance,
    life_cycle,
    limits,
    modes,
    networks,
    parameters,
    weights,
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
        modes,
        life_cycle,
        weights,
        determinism,
        conduct,
        compilation,
        networks,
        gates,
        claims,
    )
)
