"""Paths and errors: what one path refuses, every path refuses.

This is the second half of the family paths.  One argument of a call is wrong: the input is too
narrow, has no steps or has another dtype; a state has another dtype; a state or a weight has one
row, column or layer too many, so that a kernel that reads the right size stays inside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatewise.reference.classes import LAYERS, LSTMS, NAMED
from gatewise.reference.formats import Array

from ...cases.case import Case
from ...checking.comparison import Check
from ...levels import HARDENING
from ...subjects.protocol import Subject, SubjectFault, Unsupported
from .results import FAMILY, THREADS, threads, without_onednn

#: What is wrong, as `argument: how`.
NOTHING = "nothing"
OF_H = ("input: width", "input: dtype", "h: width", "h: batch", "h: dtype")
OF_C = ("c: width", "c: batch", "c: dtype")
OF_LAYERS = ("time: 0", "h: layers")
WEIGHTS = tuple(f"weight_{w}: {by}" for w in ("ih", "hh") for by in ("rows", "columns"))
BIASES = ("bias_ih: rows", "bias_hh: rows")

Mode = Callable[[], AbstractContextManager[Any]]

MODES: dict[str, Mode] = {
    "plain": nullcontext,
    "in grad mode": torch.enable_grad,
    "in inference mode": torch.inference_mode,
    f"with {THREADS} threads": partial(threads, THREADS),
    "with oneDNN off": without_onednn,
}


def _longer(x: Array, axis: int) -> Array:
    """An array with its last slice along an axis repeated."""
    return np.concatenate([x, np.take(x, [-1], axis=axis)], axis=axis)


def _wrong(case: Case, fault: str) -> tuple[list[Array], list[str]]:
    """The input and the states, one of them wrong, and the precision of each."""
    what, _, how = fault.partition(": ")
    if fault == "time: 0":
        case = case.but(time=0)
    arrays = [case.input_array, *case.state_arrays]
    precisions = [case.precision] * len(arrays)
    if what not in ("input", "h", "c"):
        return arrays, precisions
    at = ("input", "h", "c").index(what)
    if how == "dtype":
        precisions[at] = _other(case.precision)
    elif what == "input":
        arrays[at] = arrays[at][..., :-1]
    else:
        axis = {"width": -1, "batch": -2, "layers": 0}[how]
        arrays[at] = _longer(arrays[at], axis)
    return arrays, precisions


def _other(precision: str) -> str:
    return "float32" if precision == "float64" else "float64"


def _outcome(call: Callable[[], Any]) -> tuple[str, str]:
    """`returns` or `raises`, and a line about it."""
    try:
        call()
    except (Unsupported, SubjectFault):
        raise
    except Exception as error:
        line = (str(error).splitlines() or [""])[0]
        return "raises", f"raises {type(error).__name__}: {line}"
    return "returns", "returns"


def _paths(
    subject: Subject,
    case: Case,
    module: Callable[[Case], nn.Module],
    fault: str = NOTHING,
) -> list[tuple[str, Callable[[], Any]]]:
    """Every path by name, the plain one first, as a call that may raise."""

    def call(case: Case, mode: Mode = nullcontext, unbatched: bool = False) -> Any:
        arrays, precisions = _wrong(case, fault)
        if unbatched:
            first = case.batch_first and not case.cell
            arrays = [np.take(a, 0, axis=0 if first and a is arrays[0] else -2) for a in arrays]
            case = case.but(batch=None)
        held = zip(arrays, precisions, strict=True)
        x, *states = (subject.tensor(a, case.but(precision=p)) for a, p in held)
        built = module(case)
        with torch.no_grad(), mode():
            return subject.call(case, built, x, tuple(states))

    paths: list[tuple[str, Callable[[], Any]]] = [
        (name, partial(call, case, mode)) for name, mode in MODES.items()
    ]
    if not fault.endswith("dtype"):
        # A float64 module may promote a float32 argument, but a float32 module cannot take float64.
        other = _other(case.precision)
        paths.append((f"in {other}", partial(call, case.but(precision=other))))
    if not case.cell and fault != "time: 0":
        packed = case.but(lengths=(case.time,) * (case.batch or 1), enforce_sorted=True)
        paths.append(("packed with equal lengths", partial(call, packed)))
    if not fault.endswith("batch"):
        paths.append(("unbatched", partial(call, case, unbatched=True)))
    return paths


def _agree_on_raising(subject: Subject, case: Case, check: Check) -> None:
    weights = case.weight_arrays
    paths = _paths(subject, case, lambda c: subject.build(c, weights), case.variant)
    plain, plain_line = _outcome(paths[0][1])
    reasons = []
    for path, call in paths[1:]:
        try:
            got, line = _outcome(call)
        except Unsupported as reason:
            reasons.append(reason)
            continue
        label = f"with {case.variant} wrong, the plain call {plain_line}; {path} it {line}: this"
        check.same(label, got, plain)
    if reasons:
        raise reasons[0]


COMMON: dict[str, Any] = {
    "isolated": True,
    "forms": ("dense",),
    "layout": "contiguous",
    "with_state": True,
}


#: Why claims about the errors of paths go beyond a contract.
UNDOCUMENTED = (
    "torch.nn documents no error along any path. Where paths differ in what they refuse, what they "
    "accept is computed in the same way."
)


@FAMILY.claims(
    "Whether an input, or an initial hidden state, is refused does not depend on the path.",
    "raises(f, x, h) along every path, or along none",
    share=0.4,
    least={"input": 2},
    variants=(NOTHING, *OF_H),
    **COMMON,
    level=HARDENING,
    beyond=UNDOCUMENTED,
)
def paths_agree_on_raising(subject: Subject, case: Case, check: Check) -> None:
    _agree_on_raising(subject, case, check)


@FAMILY.claims(
    "Whether an initial cell state is refused does not depend on the path.",
    "raises(f, x, (h, c)) along every path, or along none",
    of=LSTMS,
    share=0.2,
    variants=OF_C,
    **COMMON,
    level=HARDENING,
    beyond=UNDOCUMENTED,
)
def paths_agree_on_raising_for_c(subject: Subject, case: Case, check: Check) -> None:
    _agree_on_raising(subject, case, check)


@FAMILY.claims(
    "Whether an input without steps, or a state of more layers, is refused does not depend on the "
    "path.",
    "raises(f, x, s) along every path, or along none",
    of=LAYERS,
    share=0.2,
    variants=OF_LAYERS,
    **COMMON,
    level=HARDENING,
    beyond=UNDOCUMENTED,
)
def paths_agree_on_raising_for_layers(subject: Subject, case: Case, check: Check) -> None:
    _agree_on_raising(subject, case, check)


class _With(nn.Module):
    """A module that is called with other weights than it holds."""

    def __init__(self, module: nn.Module, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.module, self.weights = module, weights

    def forward(self, *args: Any) -> Any:
        return torch.func.functional_call(self.module, self.weights, args)


@FAMILY.claims(
    "A weight with a row or a column too many is refused along every path.",
    "raises(functional_call(f, {W: W′}, x)) with W′ of W's shape and one more",
    of=NAMED,
    share=0.2,
    needs=("torch_names",),
    bias=True,
    variants=(*WEIGHTS, *BIASES),
    **COMMON,
    level=HARDENING,
    beyond="A weight of another shape is put there by force: load_state_dict refuses it.",
)
def wrong_weights_are_refused(subject: Subject, case: Case, check: Check) -> None:
    weight, _, by = case.variant.partition(": ")
    name = weight if case.cell else f"{weight}_l0"
    wrong = _longer(case.weight_arrays[name], 1 if by == "columns" else 0)

    def module(case_: Case) -> nn.Module:
        built = subject.build(case_, case.weight_arrays)
        if name not in dict(built.named_parameters()):
            raise Unsupported(f"there is no parameter named {name}")
        return _With(built, {name: subject.tensor(wrong, case_, "contiguous")})

    reasons = []
    for path, call in _paths(subject, case, module):
        try:
            got, line = _outcome(call)
        except Unsupported as reason:
            reasons.append(reason)
            continue
        check.same(f"{name} of shape {wrong.shape}, {path}: the call {line}: this", got, "raises")
    if reasons:
        raise reasons[0]
