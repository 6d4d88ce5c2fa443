"""Diagnoses a subject: named faults that explain its results, and the first place that differs.

First the results of single calls are looked at.  If they are right, other calls are: dropout,
modes, what a call changes, a second call, gradients.  For a fault of memory or of an error message,
the falsified property itself says what is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gatewise.reference.ball import Ball
from gatewise.reference.classes import DECLARED, TORCH
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import own_name

from ..cases.arrays import as_array
from ..cases.case import Case
from ..running.records import Diagnosis, Place
from ..subjects.protocol import Results, Subject, Unsupported
from .backward_legs import outside as outside_of
from .diagnosis_of_calls import (
    changed_arguments,
    differs,
    only_where,
    wrong_after_a_load,
    wrong_mode,
    wrong_second_call,
    wrong_shape,
)
from .diagnosis_of_dropout import dropout_diagnosis
from .diagnosis_of_gradients import gradient_diagnosis
from .faults_of_arguments import Call, Fault, argument_faults, call_of
from .faults_of_states import cut_faults, missing_states, state_faults
from .faults_of_steps import block_names, step_faults
from .faults_of_unrolling import WALKS
from .witness_cases import witnesses

#: The name of the family of properties of dropout.
DROPOUT = "dropout"


def diagnose(
    subject: Subject, case: Case, family: str = "", seconds: float = float("inf")
) -> Diagnosis:
    """The diagnosis of a failing case; empty if all that is looked at is right.

    `family` is that of the claim that the case falsifies.  After `seconds` nothing more is looked
    at.

    The subject is called about twenty times, or about a hundred times if its results are right.
    Cases on which it raises are left out, unless it raises on all.  If it raises in a later step,
    the diagnosis ends with what is known by then.
    """
    found = Diagnosis()
    if subject.like not in TORCH + DECLARED or case.kind != subject.kind:
        return found
    # Dropout is looked at by itself: what it drops in this case is not known.
    end = time.monotonic() + seconds
    drops, case = case.dropout > 0 or family == DROPOUT, case.but(dropout=0.0)
    try:
        for found in _steps(subject, case, drops):
            if time.monotonic() > end:
                return replace(found, note=found.note or f"the diagnosis ended after {seconds:g} s")
    except Unsupported:  # a further case asks for what the subject does not offer
        return found
    except Exception as error:
        # Whether the subject raised it, or Gatewise did, is not known here.
        note = f"the diagnosis ended with {type(error).__name__}: {error}"
        found = replace(found, note=note)
    return found


def _steps(subject: Subject, case: Case, drops: bool) -> Iterator[Diagnosis]:
    """Yield the diagnosis as far as it is known, after each step.

    An empty one says that nothing is wrong so far.
    """
    seen: list[tuple[Case, Results]] = []
    raised: Exception | None = None
    for each in (case, *witnesses(case)):
        try:
            seen.append((each, subject.run(each)))
        except Exception as error:
            raised = error
    if raised and not seen:
        raise raised
    wrong = [(c, got) for c, got in seen if differs(got, call_of(c).results())]
    if not wrong:
        yield from _of_other_calls(subject, case, drops)
        return
    found = Diagnosis(faults=tuple(consistent(subject, [(call_of(c), got) for c, got in seen])))
    yield found
    first, got = wrong[0]
    found = first_difference(found, first, got)
    yield found
    found = replace(found, only=only_where(subject, [c for c, _ in wrong]))
    yield found
    yield replace(found, needs=tuple(blocks_that_matter(subject, first)))


def _of_other_calls(subject: Subject, case: Case, drops: bool) -> Iterator[Diagnosis]:
    """Single calls are right: look at modes, at a second call of a module, then at gradients.

    With `drops` dropout is looked at first.
    """
    if drops:
        known = Diagnosis()
        for known in dropout_diagnosis(subject, case):
            yield known
        if known != Diagnosis():
            return
    words, seen = wrong_mode(subject, case)
    if words:
        yield Diagnosis(only=words, faults=tuple(consistent(subject, seen)))
        return
    yield Diagnosis()
    changes = tuple(changed_arguments(subject, case)) or tuple(wrong_after_a_load(subject, case))
    if changes:
        yield Diagnosis(faults=changes)
        return
    yield Diagnosis()
    words, seen, named = wrong_second_call(subject, case)
    if words:
        faults = tuple(named or consistent(subject, seen))
        yield Diagnosis(only=words, faults=faults)
        return
    yield Diagnosis()
    yield from gradient_diagnosis(subject, case)


def outside(got: object, ball: Ball) -> npt.NDArray[np.bool_]:
    """The elements of a result that are outside of their ball."""
    if wrong_shape(got, ball):
        return np.ones(1, dtype=bool)
    return outside_of(as_array(got), ball)


def consistent(subject: Subject, calls: list[tuple[Call, Results]]) -> list[str]:
    """Names of the faults that explain all results: each result lies within the fault's bound."""
    kind, cell = subject.kind, subject.cell
    if subject.like in DECLARED:
        tables = [*step_faults(kind, cell), *(() if cell else WALKS)]
        return [fault.name for fault in tables if _explains(fault, calls)]
    tables = [*argument_faults(kind, cell), *(() if cell else WALKS), *state_faults(kind, cell)]
    named = [fault.name for fault in tables if _explains(fault, calls)]
    read = (*cut_faults(calls), *missing_states(calls)) if not named else ()
    return named or [fault.name for fault in read if _explains(fault, calls)][:1]


def _explains(fault: Fault, calls: list[tuple[Call, Results]]) -> bool:
    shown = False
    for call, got in calls:
        try:
            want = fault.results(call)
        except ValueError:  # the fault cannot occur here, so the results must be right
            want = call.results()
        else:
            shown = True
        if differs(got, want):
            return False
    return shown


def first_difference(found: Diagnosis, case: Case, got: Results) -> Diagnosis:
    """Add to a diagnosis the results that differ, and the first place in each direction."""
    want = call_of(case).results()
    names = tuple(name for name, ball in want.items() if outside(got[name], ball).any())
    name = names[0]
    ball, actual = want[name], as_array(got[name])
    if actual.shape != ball.v.shape:
        note = f"{name} has shape {actual.shape}, expected {ball.v.shape}"
        return replace(found, results=names, note=note)
    wrong = outside(actual, ball)
    if name != "output":
        index = tuple(int(i[0]) for i in np.nonzero(wrong))
        return replace(found, results=names, places=(Place(name, index),))
    axis = 1 if case.batch is not None and case.batch_first else 0
    steps = np.moveaxis(wrong, axis, 0).reshape(case.time, -1, wrong.shape[-1])
    width = case.options.state_size
    places = []
    for d in range(case.options.directions):
        half = steps[:, :, d * width : (d + 1) * width]
        when = np.nonzero(half.any(axis=(1, 2)))[0]
        if when.size:
            t = int(when[-1] if d else when[0])
            row, unit = (int(i[0]) for i in np.nonzero(half[t]))
            places.append(Place(name, (t, row, unit), t, case.time, reverse=d == 1))
    return replace(found, results=names, places=tuple(places))


def blocks_that_matter(subject: Subject, case: Case) -> list[str]:
    """The gate blocks of the weights that the difference needs: if one is 0, the results are right.

    One block after the other is set to 0.  If the results are still wrong, it stays 0.  If they
    become right, the difference needs the block.
    """
    weights = {name: np.array(w) for name, w in case.weight_arrays.items()}
    row = KINDS[case.kind]
    needed = []
    for name in list(weights):
        parts = [""] if name.startswith("weight_hr") else list(row.gates)
        if row.declared is not None:
            parts = block_names(row, own_name(name))
        for k, gate in enumerate(parts):
            rows = np.array_split(np.arange(weights[name].shape[0]), len(parts))[k]
            trial = {**weights, name: weights[name].copy()}
            trial[name][rows] = 0.0
            if not weights[name][rows].any():
                continue
            call = call_of(case)
            want = Call(case, call.options, trial, call.x, call.state, call.lengths).results()
            if differs(subject.run(case, weights=trial), want):
                weights = trial
            else:
                needed.append(f"{name}[{gate}]" if len(parts) > 1 else name)
    return needed
