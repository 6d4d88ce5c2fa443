"""Modes: training and evaluation, grad modes, other dtypes and other devices.

The family goes on in `autocast`, `evaluation` and `call_order`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..checking.comparison import Check, bits
from ..checking.oracle import compare_all, expected
from ..devices import CUDA, for_torch, type_of
from ..levels import CONTRACT, VALUES
from ..precisions import PLAIN, dtype_of
from ..subjects.protocol import Subject, Unsupported, load
from .property import UNPACKED, Family

FAMILY = Family("modes", CONTRACT)


@FAMILY.claims(
    "Without dropout, training mode and evaluation mode give the same results.",
    "f(x) in train() and in eval(): |f − v| ≤ r",
    of=ALL,
    share=0.2,
    level=VALUES,
)
def training_and_evaluation_give_the_same(subject: Subject, case: Case, check: Check) -> None:
    module, want = subject.build(case), expected(case)
    for training, mode in ((True, "training"), (False, "evaluation")):
        module.train(training)
        states = {m.training for m in module.modules()}
        check.same(f"training of all submodules in {mode} mode", states, {training})
        compare_all(check, subject.run(case, module), want, f"in {mode} mode: ")


@FAMILY.claims(
    "Results do not depend on whether gradients are recorded, nor on which tensors require them.",
    "f(x) with grad, in inference_mode, with frozen weights: |f − v| ≤ r",
    of=ALL,
    needs=("gradients",),
    share=0.12,
)
def grad_modes_give_the_same(subject: Subject, case: Case, check: Check) -> None:
    module, want = subject.build(case), expected(case)
    for mode in ("grad", "inference", "frozen weights", "frozen weights and grad of input"):
        module.requires_grad_(not mode.startswith("frozen"))
        with torch.inference_mode(mode == "inference"):
            x, states = subject.given(case)
            of_input = mode.endswith("input") and x.is_floating_point()
            results = subject.call(case, module, x.requires_grad_(of_input), states)
        for name, result in results.items():
            label, recorded = f"{name} with {mode}", mode == "grad" or of_input
            check.same(f"is_inference of {label}", result.is_inference(), mode == "inference")
            check.same(f"requires_grad of {label}", result.requires_grad, recorded)
        compare_all(check, results, want, f"with {mode}: ")


_METHODS = {
    torch.float64: "double",
    torch.float32: "float",
    torch.float16: "half",
    torch.bfloat16: "bfloat16",
}

#: How a module is converted, by the name in a message.
CONVERSIONS: dict[str, Callable[[nn.Module, torch.dtype], nn.Module]] = {
    ".to(dtype)": lambda m, dtype: m.to(dtype),
    ".to(tensor)": lambda m, dtype: m.to(torch.empty(0, dtype=dtype, device=_device(m))),
    ".type(dtype)": lambda m, dtype: m.type(dtype),
    ".double(), .float(), .half(), .bfloat16()": lambda m, dtype: getattr(m, _METHODS[dtype])(),
}


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


@FAMILY.claims(
    "A module that was called and then converted to another dtype computes in that dtype.",
    "w → round(w), then |f(x) − v| ≤ r",
    of=ALL,
    precisions=PLAIN,
    share=0.05,
    level=VALUES,
)
def converted_module_computes_in_its_dtype(subject: Subject, case: Case, check: Check) -> None:
    dtype, want = dtype_of(case.precision), expected(case)
    first = case.but(precision="float32" if case.precision == "float64" else "float64")
    for how, converted in CONVERSIONS.items():
        module = subject.construct(first)
        subject.run(first, module)
        before = {name: bits(w.to(dtype)) for name, w in module.state_dict().items()}
        module = converted(module, dtype)
        for name, p in module.named_parameters():
            check.same(f"dtype of {name} after {how}", p.dtype, dtype)
            rounded = torch.equal(bits(p), before[name])
            check.same(f"that {name} after {how} is the rounded weight", rounded, True)
        load(module, case.weight_arrays)
        results = subject.run(case, module)
        for name, result in results.items():
            check.same(f"dtype of {name} after {how}", result.dtype, dtype)
        compare_all(check, results, want, f"after {how}: ")


@FAMILY.claims(
    "A module that is moved to another device and back computes the same results on each device.",
    "|f(x) − v| ≤ r on the CPU, on the device, and on the CPU again",
    of=ALL,
    share=0.25,
    devices=CUDA,
)
def moved_module_computes_where_it_is(subject: Subject, case: Case, check: Check) -> None:
    want, module = expected(case), subject.on("cpu").build(case)
    for device in ("cpu", subject.device, "cpu"):
        module.to(for_torch(device))
        results = subject.on(device).run(case, module)
        for name, result in results.items():
            check.same(
                f"device of {name} on {device}", result.device.type, type_of(for_torch(device))
            )
        compare_all(check, results, want, f"on {device}: ")


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@FAMILY.claims(
    "The weights of a new module have torch's default dtype, or that of the argument dtype=.",
    "dtype(w) = default dtype, or dtype=",
    of=ALL,
    precisions=PLAIN,
    share=0.07,
    variants=("default dtype", "dtype="),
)
def construction_follows_the_dtype(subject: Subject, case: Case, check: Check) -> None:
    dtype, how = dtype_of(case.precision), case.variant
    if how == "dtype=":
        module = made(subject, case, dtype=dtype)
    else:
        with _default_dtype(dtype):
            module = subject.make(case)
    for name, p in module.named_parameters():
        check.same(f"dtype of {name} by {how}", p.dtype, dtype)
    module.to(subject.torch_device)
    load(module, case.weight_arrays)
    compare_all(check, subject.run(case, module), expected(case), f"by {how}: ")


def made(subject: Subject, case: Case, **placing: object) -> nn.Module:
    """`subject.make` with more arguments; raises `Unsupported` where the factory lacks one."""
    try:
        return subject.make(case, **placing)
    except TypeError as error:
        if any(f"unexpected keyword argument '{name}'" in str(error) for name in placing):
            raise Unsupported(f"{subject.name}: {error}") from error
        raise


@FAMILY.claims(
    "A call takes dtype and device from its tensors, not from torch's defaults.",
    "f(x) under another default: |f − v| ≤ r, dtype and device of x",
    of=ALL,
    precisions=PLAIN,
    share=0.07,
    forms=UNPACKED,  # torch's own packing makes tensors on the default device
)
def call_ignores_the_defaults(subject: Subject, case: Case, check: Check) -> None:
    module, given, dtype = subject.build(case), subject.given(case), dtype_of(case.precision)
    other = torch.float64 if dtype == torch.float32 else torch.float32
    want = expected(case)
    for default, context in (("dtype", _default_dtype(other)), ("device", torch.device("meta"))):
        label = f"under another default {default}"
        with torch.no_grad(), context:
            results = subject.call(case, module, *given)
        for name, result in results.items():
            check.same(f"dtype of {name} {label}", result.dtype, dtype)
            check.same(f"device of {name} {label}", result.device, given[0].device)
        compare_all(check, results, want, f"{label}: ")
