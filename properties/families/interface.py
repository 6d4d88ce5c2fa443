"""Interface: names, shapes, dtypes and devices of results, a missing state, and requires_grad."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatewise.reference.classes import ALL
from gatewise.reference.formats import Array

from ..cases.case import Case
from ..checking import oracle
from ..checking.comparison import Check, agree
from ..checking.oracle import expected
from ..levels import CONTRACT, VALUES
from ..precisions import PLAIN, dtype_of
from ..subjects.protocol import Results, Subject
from .property import STATEFUL, Family

FAMILY = Family("interface", CONTRACT)


def final_states(case: Case, got: Results) -> list[Array]:
    """The states that a call returned, as initial states of another call."""
    return [got[name].double().cpu().numpy() for name in case.final_names]


@FAMILY.claims(
    "Every result has the documented shape.",
    "output (T, B, D·R), h_n (L·D, B, R), c_n (L·D, B, H); h, c (B, H); log-probabilities (·, O)",
    of=ALL,
    share=0.5,
)
def result_shapes(subject: Subject, case: Case, check: Check) -> None:
    got = subject.run(case)
    for name, shape in oracle.result_shapes(case).items():
        check.same(f"shape of {name}", tuple(got[name].shape), shape)


@FAMILY.claims(
    "Every result has the input's dtype and device.",
    "dtype(f(x)) = dtype(x), device(f(x)) = device(x)",
    of=ALL,
    precisions=PLAIN,
    share=0.5,
)
def result_dtype_and_device(subject: Subject, case: Case, check: Check) -> None:
    device = subject.input_tensor(case.input_array, case).device
    for name, result in subject.run(case).items():
        check.same(f"dtype of {name}", result.dtype, dtype_of(case.precision))
        check.same(f"device of {name}", result.device, device)


def _given(subject: Subject, case: Case) -> dict[str, Tensor]:
    given = {"input": subject.input_tensor(case.input_array, case)}
    for name, state in zip(case.start_names, case.state_arrays, strict=True):
        given[name] = subject.tensor(state, case)
    return given


@FAMILY.claims(
    "No initial state means an initial state of zeros.",
    "f(x) = f(x, 0)",
    of=STATEFUL,
    with_state=False,
    level=VALUES,
)
def missing_state_is_zero(subject: Subject, case: Case, check: Check) -> None:
    module, want = subject.build(case), expected(case)
    got = subject.run(case, module)
    state = [np.zeros(shape) for shape in case.state_shapes]
    zeros = subject.run(case.but(with_state=True), module, state=state)
    for name, ball in want.items():
        agree(check, name, got[name], zeros[name], ball, ball)


@FAMILY.claims(
    "Results require a gradient when the weights do, and not under no_grad.",
    "requires_grad(f(x)) = grad mode",
    of=ALL,
    needs=("gradients",),
    share=0.25,
)
def results_require_grad_as_weights_do(subject: Subject, case: Case, check: Check) -> None:
    module, given = subject.build(case), _given(subject, case)
    x, *states = given.values()
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            results = subject.call(case, module, x, tuple(states))
        for name, result in results.items():
            label = f"{name}.requires_grad with grad mode {enabled}"
            check.same(label, result.requires_grad, enabled)
