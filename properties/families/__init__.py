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
    modes,
    networks,
    packing,
    parameters,
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
        networks,
        gates,
        claims,
        gradients,
        autograd,
        transforms,
    )
)
