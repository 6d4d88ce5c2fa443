"""Autograd and the results of a call: edits before the backward pass, hooks, anomaly mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.reference.classes import CLASSES, DROP_IN, LAYERS
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..cases.values import ORDINARY
from ..checking.comparison import Check
from ..checking.derivatives import compare_gradients, record, tensors
from ..checking.oracle import expected_gradients, upstream_arrays
from ..levels import CONTRACT, HARDENING
from ..precisions import FLOAT32
from ..subjects.capabilities import torch_lacks
from ..subjects.protocol import Subject
from .autograd import FAMILY
from .autograd_graph import SMALL, leaves_of, recorded
from .property import UNPACKED

#: What may decide by which path a layer is computed, and a case that is computed without it.
PATHS: dict[str, Callable[[Case], Case]] = {
    "in float64": lambda case: case.but(precision="float64"),
    "in two layers": lambda case: case.but(num_layers=2),
    "in both directions": lambda case: case.but(bidirectional=True),
    "packed": lambda case: case.but(lengths=_ragged(case)),
}


def _ragged(case: Case) -> tuple[int, ...]:
    assert case.batch is not None
    return (case.time, *[case.time - 1] * (case.batch - 1))


def _edited_before_backward(subject: Subject, case: Case) -> str:
    """What a backward pass does after the output was edited in place."""
    module = subject.build(case)
    run, held = recorded(subject, case, module, leaves_of(subject, case, module))
    with torch.no_grad():
        held["output"].mul_(2.0)
    try:
        run.gradient(tensors(subject, case, upstream_arrays(case)))
    except RuntimeError:
        return "raises"
    return "works"


@FAMILY.claims(
    "Whether the output may be edited in place before the backward pass does not depend on the "
    "path: precision, number of layers, directions, or how the input is passed.",
    "f(x).mul_(2), then ∂: raises on every path or on none",
    of=LAYERS,
    level=HARDENING,
    beyond="torch documents only that a backward pass raises where a saved tensor was changed.",
    share=0.1,
    most=SMALL,
    least={"batch": 2, "time": 2},
    forms=("dense",),
    num_layers=1,
    bidirectional=False,
    variants=tuple(PATHS),
    sweep=True,
)
def output_may_be_edited_on_every_path_alike(subject: Subject, case: Case, check: Check) -> None:
    other = PATHS[case.variant](case)
    here, there = (_edited_before_backward(subject, c) for c in (case, other))
    label = f"what a backward pass does after the output was edited in place, {case.variant},"
    check.same(label, there, here)


def result_names(like: str) -> tuple[str, ...]:
    """The names of the results of a class."""
    own = CLASSES[like]
    return KINDS[own.kind].result_names(own.cell)


class _Nested(nn.Module):
    """Returns a tuple within a tuple, as an LSTM does."""

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        return x * 1.0, (x * 2.0,)


@cache
def _sees_nested_results() -> bool:
    """Whether nn.Module runs a full backward hook where the loss uses a nested result alone."""
    module, ran = _Nested(), []
    module.register_full_backward_hook(lambda m, g, grad: ran.append(m))
    _, (nested,) = module(torch.zeros(1, requires_grad=True))
    nested.sum().backward()
    return bool(ran)


@FAMILY.claims(
    "A full backward hook runs once, whichever result the loss uses, and it gets the gradient of "
    "the input.",
    "L = ⟨u, one result⟩: the hook runs once, with ∂L/∂x",
    of=DROP_IN,
    level=CONTRACT,
    precisions=FLOAT32,
    share=0.15,
    most=SMALL,
    forms=UNPACKED,  # torch's backward hooks do not look into a PackedSequence
    variants=result_names,
    sweep=True,
)
def full_backward_hooks_run_for_every_result(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    ran: list[Tensor] = []
    # nn.Module decides which results its hooks see.  Only torch.nn's own layers answer for it.
    nested = len(case.state_shapes) > 1 and not case.cell and case.variant != "output"
    if nested and not isinstance(module, nn.RNNBase) and not _sees_nested_results():
        raise torch_lacks("full backward hooks of nested results")

    def hook(module: nn.Module, grads: Any, _: Any) -> None:
        ran.append(grads[0])

    module.register_full_backward_hook(hook)
    upstream = {case.variant: upstream_arrays(case)[case.variant]}
    record(subject, case, module=module).backward(tensors(subject, case, upstream))
    check.same(f"how often the hook runs where the loss uses {case.variant} alone", len(ran), 1)
    want = {"input": expected_gradients(case, upstream)["input"]}
    compare_gradients(check, {"input": ran[0]}, want, "what the hook got as the gradient of ")


@FAMILY.claims(
    "Anomaly mode finds no NaN in the backward pass of ordinary values.",
    "set_detect_anomaly(True): no error, and |∂ − v| ≤ r",
    level=HARDENING,
    beyond="torch does not forbid that a backward pass computes a NaN and then replaces it.",
    share=0.1,
    most=SMALL,
    regimes=ORDINARY,
)
def anomaly_mode_finds_nothing(subject: Subject, case: Case, check: Check) -> None:
    upstream = upstream_arrays(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this mode is slow
        with torch.autograd.set_detect_anomaly(True):
            run = record(subject, case)
            run.backward(tensors(subject, case, upstream))
    want = expected_gradients(case, upstream)
    compare_gradients(check, run.gradients, want, "in anomaly mode, gradient of ")
