"""The property families; `properties.catalogue` lists them."""

from . import (
    agreement,
    autograd,
    composition,
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
        networks,
        gradients,
        autograd,
        transforms,
    )
)
