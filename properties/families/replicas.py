"""Replicas: a module called by keyword, through a subclass, as a copy, or as one of many.

`torch.nn.DataParallel` calls replicas, whose weights are plain tensors.  An ensemble calls one
module with the weights of many, by `torch.func.stack_module_state` and `vmap`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.derivatives import offered
from ..checking.oracle import compare_all, expected
from ..levels import CONTRACT
from ..precisions import FLOAT32
from ..subjects.capabilities import Unsupported, arguments_of
from ..subjects.protocol import Subject, load
from .life_cycle import other_weights
from .property import UNPACKED, Family
from .weights import Stateless

FAMILY = Family("replicas", CONTRACT)

_ENSEMBLE = 3


class _ByKeyword(nn.Module):
    """A module whose arguments are passed by the names that its forward has for them.

    They are torch.nn's names, input and hx, where forward takes any keyword.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.names = (*(arguments_of(module.forward) or {}), "input", "hx")[:2]

    def forward(self, *args: Any) -> Any:
        return self.module(**dict(zip(self.names, args, strict=False)))


@FAMILY.claims(
    "A call by keyword gives what a call by position gives.",
    "f(input=x, hx=s) = f(x, s)",
    precisions=FLOAT32,
    share=0.2,
)
def keyword_calls_equal_reference(subject: Subject, case: Case, check: Check) -> None:
    module = _ByKeyword(subject.build(case))
    with torch.no_grad():
        got = subject.call(case, module, *subject.given(case))
    compare_all(check, got, expected(case), "by keyword: ")


def _forward(self: Any, *args: Any, **kwargs: Any) -> Any:
    base: Any = super(type(self), self)
    return base.forward(*args, **kwargs)


@FAMILY.claims(
    "A subclass whose forward calls that of its base gives what the base gives.",
    "class Derived(F): forward = super().forward",
    of=ALL,
    precisions=FLOAT32,
    share=0.2,
)
def subclass_equals_reference(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    if isinstance(module, torch.jit.ScriptModule):
        raise Unsupported("a ScriptModule has no class to derive from")
    derived: Any = type("Derived", (type(module),), {"forward": _forward})
    module.__class__ = derived
    compare_all(check, subject.run(case, module), expected(case), "through a subclass: ")


@FAMILY.claims(
    "A shallow copy computes what the module computes, with the same weights: a change of them is "
    "seen by both.",
    "g = copy.copy(f) ⇒ g(x) = f(x), also after w ← w′",
    of=ALL,
    precisions=FLOAT32,
    share=0.2,
)
def shallow_copy_shares_the_weights(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    if any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        raise Unsupported("a ScriptModule has no shallow copy")
    compare_all(check, subject.run(case, module), expected(case), "before the copy: ")
    twin = copy.copy(module)
    compare_all(check, subject.run(case, twin), expected(case), "of the copy: ")
    weights = other_weights(case).weight_arrays
    load(module, weights)
    want = expected(case, weights=weights)
    compare_all(check, subject.run(case, twin), want, "of the copy, after the weights changed: ")
    compare_all(check, subject.run(case, module), want, "of the module, after a copy: ")


def replica_of(module: nn.Module, other: nn.Module) -> nn.Module:
    """A replica of `module` with the weights of `other`, as `torch.nn.parallel.replicate` makes it.

    That function needs a CUDA device.  Its loop is repeated here: parameters of a replica are
    attributes that are no leaves.  Raises `Unsupported` for a ScriptModule.
    """
    modules, others = list(module.modules()), list(other.modules())
    if any(isinstance(m, torch.jit.ScriptModule) for m in modules):
        raise Unsupported("torch.nn.parallel replicates a ScriptModule in another way")
    replicas: dict[nn.Module, Any] = {
        m: m._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        for m in modules
    }
    for own, source in zip(modules, others, strict=True):
        replica = replicas[own]
        replica._former_parameters = {}
        for name, child in own._modules.items():
            if child is None:
                replica._modules[name] = None
            else:
                setattr(replica, name, replicas[child])
        for name, parameter in own._parameters.items():
            if parameter is None:
                replica._parameters[name] = None
            else:
                copied = source.get_parameter(name).clone()
                setattr(replica, name, copied)
                replica._former_parameters[name] = copied
        for name, buffer in own._buffers.items():
            if buffer is None:
                replica._buffers[name] = None
            else:
                setattr(replica, name, source.get_buffer(name).clone())
    found: nn.Module = replicas[module]
    return found


@FAMILY.claims(
    "A replica computes with its own weights, and the module that it comes from with its own.",
    "r = replicate(f, θ′) ⇒ r(x) = F(x; θ′) and f(x) = F(x; θ)",
    of=ALL,
    precisions=FLOAT32,
    share=0.2,
)
def replicas_use_their_own_weights(subject: Subject, case: Case, check: Check) -> None:
    module, weights = subject.build(case), other_weights(case).weight_arrays
    compare_all(check, subject.run(case, module), expected(case), "before: ")
    replica = replica_of(module, subject.build(case, weights))
    compare_all(check, subject.run(case, replica), expected(case, weights=weights), "replica: ")
    compare_all(check, subject.run(case, module), expected(case), "after: ")


@FAMILY.claims(
    "vmap over the stacked weights of several modules gives what each of them gives.",
    "vmap(f)(stack(θ_1 … θ_3), x) = [F(x; θ_1), F(x; θ_2), F(x; θ_3)]",
    precisions=FLOAT32,
    share=0.1,
    needs=("gradients",),  # a subject on NumPy arrays has none, and vmap has no arrays
    forms=UNPACKED,
)
def ensemble_equals_reference(subject: Subject, case: Case, check: Check) -> None:
    cases = [case.but(seed=(case.seed + k) % 2**32) for k in range(_ENSEMBLE)]
    weights = [c.weight_arrays for c in cases]
    modules = [subject.build(case, w) for w in weights]
    x, states = subject.given(case)

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Any:
        return subject.call(case, Stateless(modules[0], parameters, buffers), x, states)

    with offered(), torch.no_grad():
        parameters, buffers = torch.func.stack_module_state(modules)
        got = torch.func.vmap(one)(parameters, buffers)
    for k, w in enumerate(weights):
        member = {name: t[k] for name, t in got.items()}
        compare_all(check, member, expected(case, weights=w), f"member {k} of the ensemble: ")
