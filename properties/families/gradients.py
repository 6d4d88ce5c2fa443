"""Gradients: backpropagation through time, each gradient by its own name.

Upstream gradients are drawn for every result; the reference's BPTT on Balls gives each gradient
and its bound.  A layer in a 16-bit format is put to one step from a state of its own, since the
bound of a whole sequence soon exceeds what it bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reference.ball import Ball
from reference.formats import Array

from ..comparison import Check, Expected, agree
from ..derivatives import (
    Gradients,
    arguments,
    compare_gradients,
    offered,
    record,
    tell,
    tensors,
)
from ..oracle import expected_gradients, upstream_arrays
from ..property import LAYERS, Claim, Family
from ..strategies.cases import Case
from ..strategies.values import ORDINARY, seeded
from ..subjects.protocol import ALL_KINDS, CONCAT_CELLS, KINDS, Results, Subject

FAMILY = Family("gradients")

CPU = ("float64", "float32", "float16", "bfloat16")
SHORT = ("float16", "bfloat16")
STATEFUL = (*KINDS, *CONCAT_CELLS)
LSTMS = ("LSTM", "LSTMCell", "SharedLSTMCell", "IndependentLSTMCell")


def one_step(subject: Subject, case: Case) -> tuple[Case, Array, list[Array]]:
    """A step of a layer, at a drawn time, from the subject's own state there."""
    axis = 1 if case.batch_first and case.batch is not None else 0
    t, dense = case.seed % case.time, case.but(lengths=None)
    x, state = case.input_array, list(case.state_arrays)
    if t:
        before = subject.run(dense.but(time=t), x=np.take(x, range(t), axis=axis), state=state)
        state = [before[n].double().cpu().numpy() for n in ("h_n", "c_n") if n in before]
    return dense.but(time=1, with_state=True), np.take(x, [t], axis=axis), state


def first_order(subject: Subject, case: Case) -> tuple[Gradients, dict[str, Ball]]:
    """All gradients of a case and their balls; of one step where a layer's format is short."""
    x, state = None, None
    if case.precision in SHORT and not case.cell and case.kind != "Tagger":
        case, x, state = one_step(subject, case)
    upstream = upstream_arrays(case)
    run = record(subject, case, x=x, state=state)
    run.backward(tensors(subject, case, upstream))
    return run.gradients, expected_gradients(case, upstream, x=x, state=state)


def _by_name(names: str, part: str, kinds: tuple[str, ...], **constraints: Any) -> None:
    """Register the claim of the gradients whose name holds `part`."""

    def claim(subject: Subject, case: Case, check: Check) -> None:
        got, want = first_order(subject, case)
        named = {n: g for n, g in got.items() if part in n}
        check.discriminating += tell({n: want[n] for n in named})
        compare_gradients(check, named, want)

    claim.__name__ = f"gradient_of_{names}"
    FAMILY.claims(
        f"The gradient of {names.replace('_', ' ', names.startswith(('gate', 'output')))} equals "
        "backpropagation through time, for every option and form of input.",
        f"|∂Σ⟨u, result⟩/∂{part} − v| ≤ r",
        kinds=kinds,
        precisions=CPU,
        share=0.15,
        **constraints,
    )(claim)


_by_name("input", "input", STATEFUL)
_by_name("h_0", "h_0", STATEFUL, with_state=True)
_by_name("c_0", "c_0", LSTMS, with_state=True)
_by_name("weight_ih", "weight_ih", (*KINDS, "Tagger"))
_by_name("weight_hh", "weight_hh", (*KINDS, "Tagger"))
_by_name("bias_ih", "bias_ih", (*KINDS, "Tagger"), bias=True)
_by_name("bias_hh", "bias_hh", (*KINDS, "Tagger"), bias=True)
