"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    composition,
    conduct,
    interface,
    invariance,
    limits,
    memory,
    networks,
    parameters,
    path_errors,
    placement,
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
        memory,
        path_errors,  # the family paths, whose other half it imports
        placement,
    )
)
