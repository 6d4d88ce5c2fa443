"""Diagnoses the gradients of a subject whose forward results are right.

First the gradients are looked at for plain upstream gradients.  If they are right, the diagnosis
looks at one condition after the other, such as a second backward pass.  The first condition under
which a gradient is wrong is named, and then the fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from gatewise.reference.kinds import KINDS

from ..cases.arrays import as_array
from ..cases.case import Case
from ..checking.derivatives import (
    contraction,
    record,
    tangent_arrays,
    tensors,
)
from ..checking.oracle import expected_hvp, upstream_arrays
from ..running.records import GRADIENT, SECOND, Diagnosis, Place
from ..subjects.protocol import Subject, Unsupported
from .backward_legs import GradientFault, Pass, outside
from .backward_passes import PLAIN, Condition, conditions, observed, plain, results_of
from .factors_of_gradients import (
    Seen,
    factors_of_results,
    gates_of,
    limits,
    named_factors,
    named_norm,
    named_orders,
)
from .faults_of_gradients import gradient_faults
from .witness_cases import gradient_witnesses

#: The most steps of a failing case under each condition.
_LONG = 16


def gradient_diagnosis(subject: Subject, case: Case) -> Iterator[Diagnosis]:
    """Yield the diagnosis as far as it is known; an empty one if all gradients are right."""
    row = KINDS[case.kind]
    if (row.backward is None and row.declared is None) or "gradients" in subject.unsupported:
        return
    cases = gradient_witnesses(case)
    # A long case takes seconds, and a condition does not need it.
    few = cases[:3] if case.time <= _LONG else cases[1:3]
    for condition in (PLAIN, *conditions(subject)):
        seen = observed(subject, few if condition.words else cases[:3], condition)
        if any(s.wrong() for s in seen):
            seen = observed(subject, cases, condition)
            yield from explained(subject, condition, seen)
            return
        yield Diagnosis()
    yield from _second(subject, cases[1:3])


def explained(
    subject: Subject,
    condition: Condition,
    seen: list[Seen],
    more: Sequence[GradientFault] = (),
) -> Iterator[Diagnosis]:
    """Yield the faults that explain all passes, then the first difference.

    `more` are further faults, which come first.
    """
    first = next(s for s in seen if s.wrong())
    found = first_difference(replace(Diagnosis(), only=condition.words), first)
    yield found
    kind, cases = subject.kind, [s.given.case for s in seen]
    alone = _alone(subject, cases[:3], condition)
    passes = seen if condition.words else [*seen, *alone]
    several = any(case.time > 1 for case in cases)
    table = [*more, *gradient_faults(kind, subject.cell, several), *factors_of_results(alone)]
    names = (
        _explaining(table, passes)
        or named_factors(passes)
        or named_orders(passes, kind)
        or _explaining(() if KINDS[kind].declared else limits(seen), seen)[:1]
        or named_norm([s for s in alone if "output" in s.given.upstream])
    )
    yield replace(found, faults=tuple(names))


def _explaining(faults: Iterable[GradientFault], seen: Sequence[Seen]) -> list[str]:
    return [fault.name for fault in faults if explains(fault, seen)]


def _alone(subject: Subject, cases: Sequence[Case], condition: Condition) -> list[Seen]:
    """Passes under a condition in which one result alone has an upstream gradient."""
    how = condition.look
    changed = how.keywords if isinstance(how, partial) and how.func is plain else {}
    if how is not plain and not changed:
        return []
    found = []
    for name in results_of(subject):
        only = Condition("alone", partial(plain, **{**changed, "results": (name,)}))
        found += observed(subject, cases, only)
    return found


def explains(fault: GradientFault, seen: Sequence[Seen]) -> bool:
    """Whether all gradients seen lie within a fault's bounds, which must be finite."""
    shown = False
    for s in sorted(seen, key=lambda s: not s.wrong()):  # most faults end at the first
        try:
            want = fault.gradients(s.given)
        except ValueError:  # the fault cannot occur here, so the gradients must be right
            want = s.want
        else:
            shown = True
        for name, got in s.got.items():
            seen_right = np.isfinite(s.want[name].radius) & np.isfinite(s.want[name].v)
            bounded = np.isfinite(want[name].radius) & np.isfinite(want[name].v)
            if outside(got, want[name]).any() or (seen_right & ~bounded).any():
                return False
    return shown


def first_difference(found: Diagnosis, seen: Seen, what: str = GRADIENT) -> Diagnosis:
    """Add the gradients that differ, and the first element of the first one."""
    names = seen.wrong()
    wrong = outside(seen.got[names[0]], seen.want[names[0]])
    index = tuple(int(i[0]) for i in np.nonzero(wrong))
    gate = ""
    if gates_of(seen.given.case.kind, names[0]):
        gate, index = _gate(seen.given.case, index)
    place = Place(what + names[0], index, gate=gate)
    results = tuple(what + n for n in names)
    return replace(found, results=results, places=(place,))


def _gate(case: Case, index: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """The gate of a row of a weight, and the index within the gate's block."""
    gates, row = KINDS[case.kind].gates, index[0]
    own = (row % case.hidden_size, *index[1:])
    return gates[row // case.hidden_size], own


# ---------------------------------------------------------------- second derivatives


def _second(subject: Subject, cases: Sequence[Case]) -> Iterator[Diagnosis]:
    """Yield a diagnosis if a second derivative is wrong."""
    for case in cases:
        with suppress(RuntimeError, Unsupported):  # a second derivative need not be offered
            seen = _hessian(subject, case)
            if seen.wrong():
                found = first_difference(Diagnosis(), seen, SECOND)
                title = "a second derivative that is wrong where the first is right"
                yield replace(found, faults=(title,))
                return


def _hessian(subject: Subject, case: Case) -> Seen:
    """The product of the Hessian with a direction."""
    upstream, directions = upstream_arrays(case), tangent_arrays(case)
    run = record(subject, case)
    first = run.gradient(tensors(subject, case, upstream), create_graph=True)
    linked = {n: g for n, g in first.items() if g is not None and g.requires_grad}
    loss = contraction(linked, {n: tensors(subject, case, directions)[n] for n in linked})
    leaves = {n: leaf for n, leaf in run.leaves.items() if leaf.requires_grad}
    second = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    want = expected_hvp(case, upstream, directions)
    found = dict(zip(leaves, second, strict=True))
    got = {
        n: np.zeros(want[n].shape) if g is None else as_array(g)
        for n, g in found.items()
        if n in want
    }
    return Seen(Pass(case, upstream), got, want)
