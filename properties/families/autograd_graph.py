"""The autograd graph of a call: what it saves, who may change it, and how long it lives."""

from __future__ import annotations

import gc
import re
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.reference.ball import Ball
from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.derivatives import (
    Gradients,
    Recorded,
    Tensors,
    arguments,
    compare_gradients,
    record,
    tensors,
)
from ..checking.oracle import expected_gradients, upstream_arrays
from ..levels import CONTRACT
from ..subjects.protocol import Subject, Unsupported, padded
from .autograd import FAMILY
from .property import STATEFUL

#: What is claimed of a graph does not depend on its length, and each case calls several times.
SMALL = {"time": 6, "hidden": 8, "input": 8, "batch": 5}


def recorded(
    subject: Subject, case: Case, module: nn.Module, given: Tensors
) -> tuple[Recorded, Tensors]:
    """A call with its graph, and the tensors that it took and returned, by name.

    The data of a PackedSequence stands for the padded tensor, of which it is a copy.
    """
    leaves = {n: t for n, t in given.items() if t.is_floating_point()}
    leaves |= dict(module.named_parameters())
    x, *rest = given.values()
    states = tuple(rest) or None
    if case.lengths is None:
        results = subject.call(case, module, x, states)
        return Recorded(leaves, results), {**leaves, **results}
    if "packed" in subject.unsupported:
        raise Unsupported(subject.unsupported["packed"])
    sequence = subject.pack(case, x)
    returned = subject.returned(module, sequence, states)
    results = padded(returned, case.batch_first, case.time)
    output: PackedSequence = returned["output"]
    held = {**leaves, **results, "input": sequence.data, "output": output.data}
    return Recorded(leaves, results), held


def leaves_of(subject: Subject, case: Case, module: nn.Module) -> Tensors:
    """The arguments of a call; they and the module's weights require a gradient."""
    given = arguments(subject, case)
    for t in (*given.values(), *module.parameters()):
        t.requires_grad_(t.is_floating_point())
    return given


def _groups(held: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """The names of tensors by what they are: one group has a weight of all layers."""
    found = defaultdict(list)
    for name, t in held.items():
        if t.is_floating_point():
            found[re.sub(r"_l\d+(_reverse)?$", "", name)].append(name)
    return found


def _compare(
    check: Check,
    got: Gradients,
    plain: Gradients,
    want: Callable[[], Mapping[str, Ball]],
    prefix: str,
) -> None:
    """Compare gradients with the reference, unless they are the numbers of a plain call."""
    for name, g in got.items():
        other = plain[name]
        same = g is other if g is None or other is None else check.identical(g, other)
        if not same:
            compare_gradients(check, {name: g}, want(), prefix)


@FAMILY.claims(
    "Where a weight, an argument or a result is overwritten between the forward and the backward "
    "pass, the backward pass raises, or it gives the gradient at the values of the forward pass.",
    "t ← NaN in place after f: RuntimeError, or |∂ − v| ≤ r",
    of=ALL,
    level=CONTRACT,
    share=0.15,
    layout="contiguous",
    most=SMALL,
)
def overwritten_tensors_never_spoil_a_gradient(subject: Subject, case: Case, check: Check) -> None:
    module, upstream = subject.build(case), upstream_arrays(case)
    given, placed = leaves_of(subject, case, module), tensors(subject, case, upstream)
    want = cache(partial(expected_gradients, case, upstream))
    run, held = recorded(subject, case, module, given)
    plain = run.gradient(placed)
    before = {name: leaf.detach().clone() for name, leaf in run.leaves.items()}
    for group, names in _groups(held).items():
        run, held = recorded(subject, case, module, given)
        with torch.no_grad():
            for name in names:
                held[name].fill_(torch.nan)  # who reads it later shows it in the gradient
        try:
            got = run.gradient(placed)
        except RuntimeError:
            check.same(f"that a backward pass after {group} was overwritten raises", True, True)
        else:
            _compare(check, got, plain, want, f"after {group} was overwritten, gradient of ")
        with torch.no_grad():
            for name, leaf in run.leaves.items():
                leaf.copy_(before[name])


@FAMILY.claims(
    "The hooks of saved_tensors_hooks see all weights, arguments and results that a backward pass "
    "reads: where they keep copies, the gradient does not change though the tensors do.",
    "pack = copy, unpack = the copy; every t ← NaN in place after f: |∂ − v| ≤ r",
    of=ALL,
    level=CONTRACT,
    share=0.2,
    layout="contiguous",
    most=SMALL,
)
def saved_tensor_hooks_see_what_backward_reads(subject: Subject, case: Case, check: Check) -> None:
    module, upstream = subject.build(case), upstream_arrays(case)
    given, placed = leaves_of(subject, case, module), tensors(subject, case, upstream)
    run, _ = recorded(subject, case, module, given)
    plain = run.gradient(placed)
    with torch.autograd.graph.saved_tensors_hooks(_copy, _copy):
        run, held = recorded(subject, case, module, given)
    for t in held.values():
        # By `.data`: torch forbids to go on from one of several views after another was changed.
        t.data.fill_(torch.nan)
    want = cache(partial(expected_gradients, case, upstream))
    _compare(check, run.gradient(placed), plain, want, "with hooks that copy, gradient of ")


def _copy(t: Tensor) -> Tensor:
    return t.detach().clone()


@FAMILY.claims(
    "A second backward pass through a graph that was not retained raises.",
    "∂ twice without retain_graph: RuntimeError",
    of=ALL,
    level=CONTRACT,
    share=0.2,
    most=SMALL,
)
def second_backward_needs_a_retained_graph(subject: Subject, case: Case, check: Check) -> None:
    run, upstream = record(subject, case), tensors(subject, case, upstream_arrays(case))
    run.gradient(upstream)
    try:
        run.gradient(upstream)
        raised = False
    except RuntimeError:
        raised = True
    check.same("that a second backward pass without retain_graph raises", raised, True)


@FAMILY.claims(
    "A backward pass frees the graph, though the results live on; and where there is no backward "
    "pass, the graph is freed with the results.",
    "no weak reference to an argument lives after ∂, nor after del f(x)",
    of=STATEFUL,
    level=CONTRACT,
    share=0.25,
    most=SMALL,
    variants=("backward", "results deleted"),
)
def graph_is_freed(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    results, watched = _watched(subject, case, module)
    if case.variant == "backward":
        torch.autograd.backward(
            list(results.values()), [torch.ones_like(r) for r in results.values()]
        )
    else:
        results.clear()
    if any(ref() is not None for ref in watched.values()):
        gc.collect()  # a cycle of Python objects is freed, only later
    alive = [name for name, ref in watched.items() if ref() is not None]
    check.same(f"the arguments that live after {case.variant}", alive, [])


def _watched(
    subject: Subject, case: Case, module: nn.Module
) -> tuple[Tensors, dict[str, weakref.ref[Tensor]]]:
    """The results of a call on copies of leaves, and weak references to these copies.

    Nothing but the graph of the call keeps a copy.
    """
    leaves = leaves_of(subject, case, module)
    run, held = recorded(subject, case, module, {n: t.clone() for n, t in leaves.items()})
    names = [n for n in ("input", *case.start_names) if n in held]
    return dict(run.results), {n: weakref.ref(held[n]) for n in names}
