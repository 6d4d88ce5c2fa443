"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    composition,
    determinism,
    interface,
    invariance,
    limits,
    modes,
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
        modes,
        determinism,
        networks,
    )
)
