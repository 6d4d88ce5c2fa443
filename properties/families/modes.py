"""Modes: training and evaluation, grad modes, autocast, other dtypes and other devices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..checking.comparison import Check, bits
from ..checking.derivatives import may_be_left_out
from ..checking.oracle import compare_all, expected
from ..devices import CUDA, for_torch, type_of
from ..levels import CONTRACT, VALUES
from ..precisions import PLAIN, SHORT, dtype_of
from ..precisions import only as precisions_of
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


@contextmanager
def _autocast(subject: Subject, case: Case, precision: str) -> Iterator[None]:
    """Autocast to a low precision.

    Raises `Unsupported`, with torch's message, where torch does not offer it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            context = torch.autocast(type_of(subject.torch_device), dtype=dtype_of(precision))
        except RuntimeError as error:
            raise Unsupported(str(error)) from error
    for warning in caught:  # an older torch warns that autocast has no effect
        raise Unsupported(str(warning.message))
    with context:
        yield


def _in_float32(
    subject: Subject, case: Case
) -> tuple[nn.Module, Tensor, tuple[Tensor, ...] | None]:
    """A float32 module and float32 arguments with the case's values, exact in its precision."""
    wide = case.but(precision="float32")
    x = subject.input_tensor(case.input_array, wide)
    states = tuple(subject.tensor(s, wide) for s in case.state_arrays)
    return subject.build(wide, case.weight_arrays), x, states if case.with_state else None


@FAMILY.claims(
    "A float32 module under autocast stays within the bound of autocast's dtype.",
    "|f(x) − v| ≤ r of float16 or bfloat16, for values exact in it",
    of=ALL,
    precisions=SHORT,
    share=0.3,
    level=VALUES,
)
def autocast_stays_within_the_low_bound(subject: Subject, case: Case, check: Check) -> None:
    """The bound of the low precision P holds, though some operations stay in float32.

    Weights and arguments are exact in P, so casting them rounds nothing.  A matrix product takes
    factors in P, accumulates in float32 and gives P or more: the bound charges exactly this.  Any
    other value is stored in P, which the bound charges, or it is stored in float32 and cast to P
    where it is used.  In the second case it costs u_32 for each operation and one u_P for the
    cast, and the bound charges at least as much:

    - A function's value is charged its ulps and one u_P.
    - A sum is charged at least two u_P: each of its terms is a rounded product and is added once,
      and a module adds at least the terms of x and of h.
    - The product o∘tanh(c) is charged one u_P besides those of its factors.  If both factors are in
      P, the product is exact in float32, and the cast rounds once.  If one factor is in float32,
      its own u_P is not spent, which covers u_32.
    """
    module, x, states = _in_float32(subject, case)
    with torch.no_grad(), _autocast(subject, case, case.precision):
        results = subject.call(case, module, x, states)
    compare_all(check, results, expected(case), "under autocast: ")


@FAMILY.claims(
    "After a forward pass under autocast, the backward pass gives each weight a gradient of the "
    "weight's own dtype.",
    "dtype(∂L/∂w) = dtype(w)",
    of=ALL,
    precisions=SHORT,
    needs=("gradients",),
    share=0.15,
)
def autocast_trains(subject: Subject, case: Case, check: Check) -> None:
    module, x, states = _in_float32(subject, case)
    with _autocast(subject, case, case.precision):
        results = subject.call(case, module, x, states)
    torch.autograd.backward([r.float().sum() for r in results.values()])
    for name, p in module.named_parameters():
        if p.grad is None and may_be_left_out(case, name):
            continue
        check.same(f"{name} has a gradient", p.grad is not None, True)
        check.same(f"dtype of the gradient of {name}", getattr(p.grad, "dtype", None), p.dtype)


@FAMILY.claims(
    "Under autocast a float64 module gives float64 results, within the bound of float64.",
    "|f(x) − v| ≤ r of float64, and float64 results",
    of=ALL,
    precisions=precisions_of("float64"),
    share=0.15,
)
def autocast_leaves_float64_alone(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    with _autocast(subject, case, "bfloat16"):
        results = subject.run(case, module)
    for name, result in results.items():
        check.same(f"dtype of {name} under autocast", result.dtype, torch.float64)
    compare_all(check, results, expected(case), "under autocast: ")


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
