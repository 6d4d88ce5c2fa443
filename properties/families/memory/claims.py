"""Memory: layouts do not matter, a call modifies no argument, and the caller owns the results.

torch does not document the memory layout of a result, so no property claims that it is contiguous.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.reference.ball import Ball
from gatewise.reference.classes import ALL, LAYERS

from ...cases.case import Case
from ...cases.layouts import ALL_LAYOUTS, fitted, place
from ...checking.comparison import Check, bits
from ...checking.derivatives import offered
from ...checking.oracle import agree_all, expected
from ...levels import CONTRACT
from ...precisions import PLAIN, dtype_of
from ...subjects.protocol import Subject, Unsupported
from ..property import STATEFUL, Family
from .peak import peak_bytes

FAMILY = Family("memory", CONTRACT, evaluates=True)

Sequence = Tensor | PackedSequence
Addresses = np.ndarray[Any, np.dtype[np.int64]]

#: The layouts that are compared with the first one, `contiguous`.
STRANGE_LAYOUTS = ALL_LAYOUTS[1:]

#: In `chunk` all weights lie in one piece of memory, as an optimiser that flattens leaves them.
WEIGHT_LAYOUTS = ("transposed", "strided", "offset", "expanded", "chunk")

GRAD_MODES = ("no_grad", "grad")

#: What a call, or a call and its backward pass, may modify.
MODIFYING = (*GRAD_MODES, "inference", "backward")


def _packed(subject: Subject, case: Case, x: Tensor, layout: str = "contiguous") -> Sequence:
    """`x` itself for a dense case, else a packed sequence whose data has a memory layout."""
    if case.lengths is None:
        return x
    packed = subject.pack(case, x)
    values = packed.data.double().cpu().numpy()
    data = place(values, layout, packed.data.dtype, subject.torch_device)
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)


def _call(
    subject: Subject,
    case: Case,
    module: nn.Module,
    sequence: Sequence,
    states: tuple[Tensor, ...] | None,
) -> dict[str, Tensor]:
    """The results as the module returned them: of a packed output its data, and no padded copy."""
    if isinstance(sequence, Tensor):
        return subject.call(case.but(lengths=None), module, sequence, states)
    results = subject.returned(module, sequence, states)
    return {**results, "output": results["output"].data}


def _named(
    case: Case, module: nn.Module, sequence: Sequence, states: tuple[Tensor, ...] | None
) -> dict[str, Tensor]:
    """Every tensor that a call receives, by name: input, states and weights."""
    given = {"input": sequence if isinstance(sequence, Tensor) else sequence.data}
    given |= dict(zip(case.start_names, states or (), strict=False))
    return {**given, **dict(module.named_parameters())}


@FAMILY.claims(
    "The memory layout of the input does not matter.",
    "f(x) = f(x as a contiguous copy)",
    of=STATEFUL,
    precisions=PLAIN,
    share=0.2,
    layout="contiguous",
    least={"batch": 2, "input": 2},
    variants=STRANGE_LAYOUTS,
)
def input_layout_does_not_matter(subject: Subject, case: Case, check: Check) -> None:
    module, x = subject.build(case), fitted(case.input_array, case.variant)
    dense, states = subject.given(case, x=x)
    sequence = _packed(subject, case, dense, case.variant)
    if case.lengths is None:
        sequence = subject.tensor(x, case, case.variant)
    with torch.no_grad():
        plain = _call(subject, case, module, _packed(subject, case, dense), states)
        got = _call(subject, case, module, sequence, states)

    def bounds() -> dict[str, Ball]:
        want = expected(case, x=x)
        if case.lengths is not None:
            want["output"] = _packed_rows(subject, case, want["output"])
        return want

    agree_all(check, got, plain, bounds, f"for {case.variant} input")


def _packed_rows(subject: Subject, case: Case, output: Ball) -> Ball:
    """A padded output (T, B, ·) or (B, T, ·) in the order of packed data, (Σ lengths, ·)."""
    rows = np.arange(int(np.prod(case.input_shape[:-1]))).reshape(*case.input_shape[:-1], 1)
    order = subject.pack(case, torch.from_numpy(rows)).data[:, 0].numpy()
    return output[np.unravel_index(order, case.input_shape[:-1])]


@FAMILY.claims(
    "The memory layout of the initial states does not matter.",
    "f(x, s) = f(x, s as a contiguous copy)",
    of=STATEFUL,
    precisions=PLAIN,
    share=0.25,
    layout="contiguous",
    least={"batch": 2, "hidden": 2},
    with_state=True,
    variants=STRANGE_LAYOUTS,
)
def state_layout_does_not_matter(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    arrays = [fitted(s, case.variant) for s in case.state_arrays]
    x, states = subject.given(case, state=arrays)
    strange = tuple(subject.tensor(s, case, case.variant) for s in arrays)
    with torch.no_grad():
        plain = subject.call(case, module, x, states)
        got = subject.call(case, module, x, strange)
    bounds = partial(expected, case, state=arrays)
    agree_all(check, got, plain, bounds, f"for {case.variant} states")


def _replace(module: nn.Module, name: str, weight: Tensor) -> None:
    """Replace a named parameter by `weight`; raises `Unsupported` where the module refuses."""
    owner, _, own = name.rpartition(".")
    try:
        setattr(module.get_submodule(owner), own, nn.Parameter(weight))
    except Exception as reason:
        raise Unsupported(f"parameter {name} cannot be replaced: {reason}") from reason


@FAMILY.claims(
    "The memory layout of the weights does not matter.",
    "f_W(x) = f_{W as a contiguous copy}(x)",
    of=ALL,
    precisions=PLAIN,
    share=0.2,
    needs=("torch_names",),
    variants=WEIGHT_LAYOUTS,
)
def weight_layout_does_not_matter(subject: Subject, case: Case, check: Check) -> None:
    layout, dtype = case.variant, dtype_of(case.precision)
    weights = {name: fitted(w, layout) for name, w in case.weight_arrays.items()}
    plain, module = subject.run(case, weights=weights), subject.build(case, weights)
    chunk = torch.cat([torch.from_numpy(w.copy()).flatten() for w in weights.values()])
    parts = torch.split(chunk.to(subject.torch_device, dtype), [w.size for w in weights.values()])
    for (name, w), part in zip(weights.items(), parts, strict=True):
        laid = (
            part.view(w.shape)
            if layout == "chunk"
            else place(w, layout, dtype, subject.torch_device)
        )
        _replace(module, name, laid)
    got = subject.run(case, module)
    bounds = partial(expected, case, weights=weights)
    agree_all(check, got, plain, bounds, f"for {layout} weights")


@FAMILY.claims(
    "Neither a call nor its backward pass modifies input, states, weights or upstream gradients.",
    "bytes and version counters before = after, without grad mode, in it, in inference mode, and "
    "after backward",
    of=ALL,
    share=0.3,
    variants=MODIFYING,
)
def arguments_are_unmodified(subject: Subject, case: Case, check: Check) -> None:
    unmodified(subject, case, check)


def unmodified(subject: Subject, case: Case, check: Check) -> None:
    """Require that a call, in the grad mode of the variant, modifies nothing that it is given."""
    if case.variant == "backward" and "gradients" in subject.unsupported:
        raise Unsupported(subject.unsupported["gradients"])
    module = subject.build(case)
    x, states = subject.given(case)
    sequence = _packed(subject, case, x)
    watched = _named(case, module, sequence, states)
    grad = case.variant in ("grad", "backward")
    for t in watched.values():
        t.requires_grad_(grad and t.is_floating_point())
    before = {name: (bits(t), t._version) for name, t in watched.items()}
    with torch.inference_mode(case.variant == "inference"), torch.set_grad_enabled(grad):
        results = _call(subject, case, module, sequence, states)
    if case.variant == "backward":
        upstream = [torch.ones_like(t) for t in results.values()]
        for name, t in zip(results, upstream, strict=True):
            watched[f"the gradient of {name}"] = t
            before[f"the gradient of {name}"] = (bits(t), t._version)
        with offered():  # cuDNN has no backward pass in evaluation mode
            torch.autograd.backward(list(results.values()), upstream)
    for name, t in watched.items():
        old, version = before[name]
        check.same(f"{name} keeps its bytes", torch.equal(old, bits(t)), True)
        check.same(f"version of {name}", t._version, version)


def _addresses(t: Tensor) -> Addresses:
    """The address of every element of a tensor, in the order of its elements."""
    at = np.array([t.data_ptr()], dtype=np.int64)
    for size, stride in zip(t.shape, t.stride(), strict=True):
        steps = np.arange(size, dtype=np.int64) * stride * t.element_size()
        at = (at[:, None] + steps).reshape(-1)
    return at


def _results(subject: Subject, case: Case) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The arguments and the results of a call, in grad mode unless the variant is `no_grad`."""
    module = subject.build(case)
    x, states = subject.given(case)
    sequence = _packed(subject, case, x)
    with torch.set_grad_enabled(case.variant != "no_grad"):
        results = _call(subject, case, module, sequence, states)
    return _named(case, module, sequence, states), results


@FAMILY.claims(
    "Writing to a result changes no argument.",
    "no element of a result lies where an element of input, states or weights does",
    of=ALL,
    share=0.2,
    variants=GRAD_MODES,
)
def results_share_no_memory_with_arguments(subject: Subject, case: Case, check: Check) -> None:
    given, results = _results(subject, case)
    for name, result in results.items():
        own = _addresses(result)
        for argument, t in given.items():
            shared = int(np.isin(own, _addresses(t)).sum())
            check.same(f"elements of {name} that lie in {argument}", shared, 0)


@FAMILY.claims(
    "Writing to one element of a result changes no other element of that or of another result.",
    "the addresses of the elements of output, h_n and c_n are distinct",
    of=ALL,
    share=0.2,
    variants=GRAD_MODES,
)
def results_share_no_memory_with_each_other(subject: Subject, case: Case, check: Check) -> None:
    _, results = _results(subject, case)
    names, at = list(results), [_addresses(t) for t in results.values()]
    for i, name in enumerate(names):
        twice = at[i].size - np.unique(at[i]).size
        check.same(f"elements of {name} that lie where others of it do", twice, 0)
        for j in range(i):
            shared = int(np.isin(at[i], at[j]).sum())
            check.same(f"elements of {name} that lie in {names[j]}", shared, 0)


@FAMILY.claims(
    "A later call does not change the results of an earlier call.",
    "y = f(x); f(x′) changes no byte of y",
    of=ALL,
    share=0.2,
    variants=GRAD_MODES,
)
def earlier_results_are_kept(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    x, states = subject.given(case)
    other, other_states = subject.given(case.but(seed=case.seed ^ 1))
    with torch.set_grad_enabled(case.variant != "no_grad"):
        first = subject.call(case, module, x, states)
        before = {name: bits(t) for name, t in first.items()}
        subject.call(case, module, other, other_states)
    for name, t in first.items():
        check.same(f"{name} keeps its bytes", torch.equal(before[name], bits(t)), True)


@FAMILY.claims(
    "The caller may overwrite the results of a call: later calls give the same results.",
    "y = f(x); y ← NaN; f(x) gives the same as before",
    of=ALL,
    share=0.2,
)
def results_are_the_callers_to_overwrite(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    x, states = subject.given(case)
    with torch.no_grad():
        first = subject.call(case, module, x, states)
        before = {name: t.clone() for name, t in first.items()}
        for t in first.values():
            t.fill_(torch.nan)
        got = subject.call(case, module, x, states)
    agree_all(check, got, before, partial(expected, case), "after overwriting")


@FAMILY.claims(
    "The peak memory of a forward pass grows no faster than the number of steps.",
    "peak(4T) − peak(2T) <= 2·(peak(2T) − peak(T)) for T = 8, 16 or 32; peak: bytes alive at once",
    of=LAYERS,
    share=0.03,
    forms=("dense", "ragged"),
    input_size=2,
    hidden_size=3,
    batch=2,
    num_layers=1,
    proj_size=0,
    time=8,
    variants=GRAD_MODES,
)
def memory_grows_linearly_in_time(subject: Subject, case: Case, check: Check) -> None:
    """Falsified where the growth of the peak more than doubles each time that T doubles.

    A correct subject always passes.  It has peak(T) = a + bT, where a may be negative, since a
    first step may hold less than the others.  Then the growth from T to 2T is b·T, which exactly
    doubles with T.  The subject may also switch to a kernel with another a or b.  The switch lies
    between two of the five times, and so leaves at least one of the three comparisons as it is.
    """
    module = subject.build(case)
    peaks = []
    for doubling in range(5):
        time = case.time << doubling
        lengths = None if case.lengths is None else tuple(n << doubling for n in case.lengths)
        longer = case.but(time=time, lengths=lengths)
        x, states = subject.given(longer)
        call = partial(subject.call, longer, module, x, states)
        with torch.set_grad_enabled(case.variant != "no_grad"):
            peaks.append(peak_bytes(call, subject.device))
    shown = ", ".join(str(p) for p in peaks)
    growth = [more - peak for peak, more in pairwise(peaks)]
    faster = all(more > 2 * less for less, more in pairwise(growth))
    label = f"that the growth of memory more than doubles with time, from 8 to 128 ({shown} bytes),"
    check.same(label, faster, False)
