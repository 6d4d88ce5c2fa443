"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    autograd,
    claims,
    compilation,
    composition,
    conduct,
    determinism,
    dropout,
    gates,
    gradients,
    interface,
    invariance,
    life_cycle,
    limits,
    memory,
    modes,
    networks,
    packing,
    parameters,
    path_errors,
    placement,
    special_values,
    transforms,
    weights,
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
        modes,
        life_cycle,
        weights,
        determinism,
        conduct,
        compilation,
        memory,
        path_errors,  # the family paths, whose other half it imports
        placement,
        networks,
        gates,
        claims,
        gradients,
        autograd,
        transforms,
    )
)
