"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    autograd,
    claims,
    composition,
    conduct,
    gates,
    gradients,
    interface,
    invariance,
    limits,
    networks,
    parameters,
    transforms,
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
        gradients,
        autograd,
        transforms,
    )
)
