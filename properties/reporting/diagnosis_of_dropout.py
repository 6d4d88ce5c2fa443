"""Diagnoses dropout in training: its masks, and the gradients under a mask that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from gatewise.reference.ball import Ball, exact
from gatewise.reference.classes import DECLARED

from ..cases.arrays import as_array
from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.derivatives import arguments, checkpointed, record, tensors
from ..checking.oracle import expected_gradients, upstream_arrays
from ..families.dropout.masks import (
    read,
    scale,
    showing_input,
    showing_states,
    showing_weights,
    time_major,
)
from ..families.dropout.training import drawing, mask_of
from ..precisions import SHORT
from ..running.records import Diagnosis
from ..subjects.protocol import Subject
from .backward_legs import GradientFault, Pass, by_leg, in_parts, outside, scaled
from .backward_passes import Condition, observed, seen_of
from .diagnosis_of_calls import changed_arguments
from .diagnosis_of_gradients import explained
from .factors_of_gradients import Seen
from .faults_of_dropout import masks, modes, patterns, scales, scales_by_trial, shown_case


def dropout_diagnosis(subject: Subject, case: Case) -> Iterator[Diagnosis]:
    """Yield the diagnosis of dropout as far as it is known; an empty one if all is right."""
    if subject.like in DECLARED:
        yield Diagnosis(faults=tuple(scales_by_trial(subject, case)))
        return
    for look in (scales, masks, modes, _changes):
        names = tuple(dict.fromkeys(look(subject, case)))
        if names:
            yield Diagnosis(faults=names)
            return
        yield Diagnosis()
    if "gradients" in subject.unsupported:
        return
    for condition in (TRAINED, *CHECKPOINTED):
        cases = [_case(case, p, seed) for seed, p in enumerate((0.5, 0.25, 0.75))]
        seen = observed(subject, cases, condition)
        if any(s.wrong() for s in seen):
            yield from _explained(subject, condition, seen)
            return
        yield Diagnosis()


def _changes(subject: Subject, case: Case) -> Iterator[str]:
    yield from changed_arguments(subject, shown_case(case, 0.5))


def _explained(subject: Subject, condition: Condition, seen: list[Seen]) -> Iterator[Diagnosis]:
    found = Diagnosis()
    for found in explained(subject, condition, seen, FAULTS):
        yield found
    if not found.faults:
        reentrant = CHECKPOINTED.get(condition)
        names = tuple(_other_mask(subject, seen[0].given.case, reentrant))
        yield replace(found, faults=names)


def _case(case: Case, p: float, seed: int) -> Case:
    own = shown_case(case, p, seed=seed, hidden_size=5, input_size=3, batch=3, time=4)
    return own.but(time=1) if case.precision in SHORT else own


def _trained(subject: Subject, case: Case) -> Seen:
    mask, upstream = mask_of(subject, case, Check()), upstream_arrays(case)
    module = subject.build(case).train()
    with drawing(subject, case):
        run = record(subject, case, module=module)
        run.backward(tensors(subject, case, upstream))
    return seen_of(Pass(case, upstream, masks=[mask]), run.gradients)


def _checkpointed(subject: Subject, case: Case, reentrant: bool) -> Seen:
    mask, upstream = mask_of(subject, case, Check()), upstream_arrays(case)
    module = subject.build(case).train()
    with drawing(subject, case):
        run = checkpointed(subject, case, module, reentrant)
        run.backward(tensors(subject, case, upstream))
    return seen_of(Pass(case, upstream, masks=[mask]), run.gradients)


TRAINED = Condition("in training with dropout", _trained)
#: Condition → whether the checkpoint is reentrant.
CHECKPOINTED = {
    Condition(
        f"with dropout under torch.utils.checkpoint, {'' if r else 'not '}reentrant",
        partial(_checkpointed, reentrant=r),
    ): r
    for r in (False, True)
}


def _masked_back(title: str, factor: Callable[[float], float], everywhere: bool) -> GradientFault:
    """The fault of a backward pass with another mask; `factor` is taken from p."""

    def gradients(given: Pass) -> dict[str, Ball]:
        (mask,) = given.masks
        kept = np.ones_like(mask.v) if everywhere else np.where(mask.v > 0, 1.0, 0.0)
        back = exact(kept, given.case.rounding) * factor(given.case.dropout)
        return given.gradients(masks_back=[back])

    return GradientFault(title, gradients)


def _scaled_recurrence(given: Pass) -> dict[str, Ball]:
    leg = in_parts(1, scaled(1.0 / (1.0 - given.case.dropout)), at_start=True)
    return by_leg("", leg).gradients(given)


#: The faults of a backward pass with dropout.
FAULTS = (
    _masked_back("no mask in the backward pass", lambda p: 1.0, True),
    _masked_back("1/(1−p) and no mask in the backward pass", lambda p: 1 / (1 - p), True),
    _masked_back("the mask without 1/(1−p) in the backward pass", lambda p: 1.0, False),
    _masked_back("1/(1−p) twice in the backward pass", lambda p: (1 - p) ** -2.0, False),
    GradientFault(
        "the gradient from h_t to h_(t−1) multiplied by 1/(1−p) at every step", _scaled_recurrence
    ),
)


def _other_mask(subject: Subject, case: Case, reentrant: bool | None) -> Iterator[str]:
    """The mask of the backward pass, read from the gradient of the input, if it is another one.

    `reentrant` is that of the checkpoint, or None for a call without one.
    """
    case = shown_case(case, 0.5)
    case = case.but(input_size=case.options.output_size)
    weights, x, state = showing_weights(case), showing_input(case), showing_states(case)
    module = subject.build(case, weights).train()
    upstream = {"output": upstream_arrays(case)["output"]}
    with drawing(subject, case):
        given = arguments(subject, case, x, state)
        if reentrant is None:
            run = record(subject, case, module=module, given=given)
        else:
            run = checkpointed(subject, case, module, reentrant, given)
        run.backward(tensors(subject, case, upstream))
    mask = read(Check(), case, run.results["output"].detach(), weights)
    want = expected_gradients(
        case,
        upstream,
        x=x,
        state=state,
        weights=weights,
        # A second call under checkpoint computes with its own mask, forwards and backwards.
        masks=[scale(case, mask.shape, mask if reentrant is None else True)],
        masks_back=[scale(case, mask.shape)],
    )["input"]
    found = as_array(run.gradients["input"])
    kept, dropped = ~outside(found, want), found == 0
    if (kept | dropped).all() and (time_major(case, kept) != mask).any():
        where = " in the backward pass" if reentrant is None else " where checkpoint calls again"
        shared = list(patterns(time_major(case, kept), where))
        yield from shared or [f"another mask{where}"]
