"""Paths: a call may run one of several kernels, and a case gives the same results along each.

The paths here are oneDNN, grad mode and inference mode, threads, the dtype, a projection and an
empty batch.  The family packing compares packed sequences with dense ones and with each sequence
alone.  `unbatched_is_a_batch_of_one` is in the family invariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from gatewise.reference.classes import ALL, only

from ... import process_state
from ...cases.case import Case
from ...checking.comparison import Check, agree
from ...checking.oracle import agree_all, expected
from ...devices import CPU
from ...levels import CONTRACT
from ...precisions import FLOAT32, PLAIN, SHORT, dtype_of
from ...subjects.capabilities import torch_lacks
from ...subjects.protocol import Results, Subject, Unsupported
from ..property import Family

FAMILY = Family("paths")

GRADIENTS = ("of weights", "of everything", "of nothing")
INFERENCE = ("tensors from outside", "tensors of its own")
THREADS = 3


@contextmanager
def without_onednn() -> Iterator[None]:
    """Switch oneDNN's kernels off; raises `Unsupported` where torch was built without oneDNN."""
    onednn: Any = torch.backends.mkldnn
    if not onednn.is_available():
        raise torch_lacks("oneDNN")
    # `flags` would set oneDNN's TF32 as well, which warns where there is no Intel GPU.
    before = onednn.enabled
    onednn.enabled = False
    try:
        yield
    finally:
        onednn.enabled = before


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Set the number of threads of torch's own pool, and restore it at the end."""
    if number > 1 and process_state.threads_were_lost():
        raise Unsupported("the subject cannot be sent to a process in which threads can run")
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def same_along(check: Check, path: str, got: Results, plain: Results, case: Case) -> None:
    """Require the results along a path to have the plain ones' dtypes, and values that agree."""
    for name, result in got.items():
        check.same(f"dtype of {name} {path}", result.dtype, plain[name].dtype)
    agree_all(check, got, plain, partial(expected, case), path)


@FAMILY.claims(
    "oneDNN switched off gives the same results.",
    "f(x) = f(x) with torch.backends.mkldnn.enabled = False",
    of=ALL,
    precisions=PLAIN,
    devices=CPU,
    share=0.25,
)
def onednn_off_gives_the_same(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    plain = subject.run(case, module)
    with without_onednn():
        got = subject.run(case, module)
    same_along(check, "with oneDNN off", got, plain, case)


@FAMILY.claims(
    "Grad mode gives the same results, whichever tensors require a gradient.",
    "f(x) = f(x) under enable_grad, with gradients of weights, of everything or of nothing",
    of=ALL,
    precisions=PLAIN,
    share=0.25,
    variants=GRADIENTS,
)
def grad_mode_gives_the_same(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case).requires_grad_(case.variant != "of nothing")
    plain = subject.run(case, module)
    x, states = subject.given(case)
    for t in (x, *(states or ())):
        t.requires_grad_(case.variant == "of everything" and t.is_floating_point())
    with torch.enable_grad():
        got = subject.call(case, module, x, states)
    same_along(check, f"with gradients {case.variant}", got, plain, case)


@FAMILY.claims(
    "Inference mode gives the same results.",
    "f(x) = f(x) under inference_mode, with tensors made outside it and within",
    of=ALL,
    share=0.2,
    variants=INFERENCE,
)
def inference_mode_gives_the_same(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    plain = subject.run(case, module)
    x, states = subject.given(case)
    with torch.inference_mode():
        if case.variant == "tensors of its own":
            x, states = subject.given(case)
        got = subject.call(case, module, x, states)
    same_along(check, f"in inference mode, {case.variant}", got, plain, case)


@FAMILY.claims(
    "One thread and several threads give the same results.",
    "f(x) = f(x) with torch.set_num_threads(3), at sizes that are worth sharing out",
    of=ALL,
    devices=CPU,
    share=0.07,
    isolated=True,  # a process that has run several threads cannot be forked any more
    least={"batch": 9, "hidden": 32},
)
def several_threads_give_the_same(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    with threads(1):
        plain = subject.run(case, module)
    with threads(THREADS):
        got = subject.run(case, module)
    same_along(check, f"with {THREADS} threads", got, plain, case)


@FAMILY.claims(
    "The same numbers in float64 give the same results, and each result has the dtype of its call.",
    "|f(x) − f_float64(x)| <= r + r_float64",
    of=ALL,
    precisions=FLOAT32 + SHORT,
    share=0.2,
)
def float64_gives_the_same(subject: Subject, case: Case, check: Check) -> None:
    wide, w = case.but(precision="float64"), case.weight_arrays
    x, s = case.input_array, case.state_arrays
    plain, want = subject.run(case), expected(case)
    got = subject.run(wide, x=x, state=s, weights=w)
    other = expected(wide, x=x, state=s, weights=w)
    for name, ball in want.items():
        check.same(f"dtype of {name}", plain[name].dtype, dtype_of(case.precision))
        check.same(f"dtype of {name} in float64", got[name].dtype, torch.float64)
        agree(check, f"{name} in float64", got[name], plain[name], other[name], ball)


@FAMILY.claims(
    "An LSTM whose projection picks the first R units equals an LSTM without projection whose "
    "recurrent weights read only those units.",
    "W_hr = [I 0]: h_t = h′_t[:R] and c_t = c′_t, with W′_hh = [W_hh 0]",
    of=only("LSTM"),
    precisions=PLAIN,
    share=0.5,
    least={"hidden": 2},
)
def projection_picks_units(subject: Subject, case: Case, check: Check) -> None:
    size = case.proj_size or case.hidden_size - 1
    case = case.but(proj_size=size)
    plain = case.but(proj_size=0)
    directions = case.options.directions
    picking, padded = dict(case.weight_arrays), {}
    for name, w in picking.items():
        if name.startswith("weight_hr"):
            picking[name] = np.eye(size, case.hidden_size)
            continue
        padded[name] = w
        if w.ndim == 2 and not name.startswith("weight_ih_l0"):
            # Columns of each direction's hidden state; those of its last H − R units are 0.
            parts = np.split(w, 1 if name.startswith("weight_hh") else directions, axis=1)
            gap = np.zeros((len(w), case.hidden_size - size))
            padded[name] = np.concatenate([p for part in parts for p in (part, gap)], axis=1)
    h, c = case.state_arrays
    wide = np.concatenate([h, np.ones((*h.shape[:-1], case.hidden_size - size))], axis=-1)
    got = subject.run(case, weights=picking)
    other = subject.run(plain, weights=padded, state=(wide, c))
    want = expected(case, weights=picking)
    want_plain = expected(plain, weights=padded, state=(wide, c) if case.with_state else None)
    for name, ball in want.items():
        value, radius = other[name], want_plain[name]
        if name != "c_n":
            ends = range(directions) if name == "output" else range(1)
            at = [d * case.hidden_size + k for d in ends for k in range(size)]
            value, radius = value[..., at], radius[..., at]
        agree(check, f"{name} with a projection", got[name], value, ball, radius)


@FAMILY.claims(
    "An empty batch gives empty results of the documented shapes, in grad mode and without.",
    "B = 0: output (T, 0, D·R), h_n (L·D, 0, R), c_n (L·D, 0, H); h, c (0, H)",
    precisions=PLAIN,
    share=0.15,
    forms=("dense",),
    batch=0,
    level=CONTRACT,
)
def empty_batch_gives_empty_results(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    shapes = dict(zip(case.final_names, case.state_shapes, strict=True))
    if not case.cell:
        shapes["output"] = (*case.input_shape[:-1], case.options.output_size)
    for grad in (False, True):
        x, states = subject.given(case)
        with torch.set_grad_enabled(grad):
            got = subject.call(case, module, x, states)
        for name, shape in shapes.items():
            label = f"of {name} for an empty batch with grad mode {grad}"
            check.same(f"shape {label}", tuple(got[name].shape), shape)
            check.same(f"dtype {label}", got[name].dtype, dtype_of(case.precision))


@FAMILY.claims(
    "An empty batch has zero gradients.",
    "B = 0: ∂Σf/∂W = 0 for every weight",
    needs=("gradients",),
    share=0.15,
    forms=("dense",),
    batch=0,
    level=CONTRACT,
)
def empty_batch_has_zero_gradients(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    x, states = subject.given(case)
    with torch.enable_grad():
        results = subject.call(case, module, x, states)
        loss = torch.stack([t.sum() for t in results.values()]).sum()
    named = dict(module.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        shown = "None" if gradient is None else "not zero" if gradient.any() else "zero"
        check.same(f"gradient of {name} for an empty batch", shown in ("None", "zero"), True)
