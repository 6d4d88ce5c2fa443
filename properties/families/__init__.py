"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    compilation,
    composition,
    determinism,
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
        compilation,
        networks,
    )
)
