"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    composition,
    dropout,
    interface,
    invariance,
    limits,
    networks,
    packing,
    parameters,
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
        parameters,
        interface,
        networks,
    )
)
