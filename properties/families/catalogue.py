"""The catalogue: every property, by family."""

from __future__ import annotations

from . import (
    agreement,
    autocast,
    autograd,
    autograd_graph,
    autograd_results,
    call_order,
    composition,
    conduct,
    determinism,
    evaluation,
    gradients,
    interface,
    invariance,
    lengths,
    life_cycle,
    limits,
    modes,
    packing,
    parameters,
    placement,
    published,
    replicas,
    sizes,
    special_values,
    transforms,
    weights,
)
from .compilation import dynamic as compilation  # it imports the other half, `claims`
from .dropout import claims as dropout
from .dropout import every_mask as dropout_every_mask
from .dropout import training as dropout_training
from .memory import growth as memory  # it imports the other half, `memory.claims`
from .paths import errors as path_errors
from .property import Property
from .rejection import arguments as rejected_arguments
from .rejection import options as rejected_options
from .rejection import packing as rejected_packing
from .rejection import reads as rejected_reads
from .tutorial import counts, gates, networks

_MODULES = (
    agreement,
    composition,
    invariance,
    limits,
    packing,
    lengths,
    dropout,
    dropout_training,  # a part of the family dropout
    dropout_every_mask,  # a part of the family dropout
    special_values,
    parameters,
    interface,
    modes,
    autocast,  # the family modes goes on in the next three
    evaluation,
    call_order,
    life_cycle,
    weights,
    determinism,
    conduct,
    memory,
    path_errors,  # the family paths; it imports the other half, `paths.results`
    rejected_arguments,
    rejected_options,
    rejected_reads,
    rejected_packing,
    placement,
    replicas,
    sizes,
    published,
    networks,
    gates,
    counts,
    gradients,
    autograd,
    autograd_graph,
    autograd_results,
    transforms,
    compilation,  # last, since it takes the longest by far
)

#: The families in the order of a report.  Several modules may hold the parts of one family.
FAMILIES = tuple(dict.fromkeys(module.FAMILY for module in _MODULES))

#: Name → property, in the order of the families.
CATALOGUE: dict[str, Property] = {p.name: p for family in FAMILIES for p in family.properties}


def properties_for(like: str, precision: str, device: str = "cpu") -> list[Property]:
    """The properties that are claimed of a class of torch.nn, in a precision, on a device."""
    of = [p for p in CATALOGUE.values() if p.claimed_of(like, device) and not p.extra]
    return [p for p in of if precision in p.precisions]
