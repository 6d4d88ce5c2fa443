"""Backward passes of a subject, each under a condition, such as a second pass through a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from gatewise.reference.ball import Ball
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS

from ..cases.arrays import as_array
from ..cases.case import Case
from ..checking.derivatives import arguments, checkpointed, may_be_left_out, record, tensors
from ..checking.oracle import UPSTREAM_REGIMES, upstream_arrays
from ..subjects.protocol import Subject, Unsupported
from .backward_legs import Pass
from .factors_of_gradients import Seen


@dataclass(frozen=True)
class Condition:
    """One way of looking at gradients: its words, and a backward pass of a subject."""

    words: str
    look: Callable[[Subject, Case], Seen]


def observed(subject: Subject, cases: Sequence[Case], condition: Condition) -> list[Seen]:
    """One backward pass for each case; those that raise are left out, unless all plain ones do."""
    found, raised = list[Seen](), None
    for case in cases:
        try:
            found.append(condition.look(subject, case))
        except Exception as error:
            raised = error
    if raised and not found and not condition.words and not isinstance(raised, Unsupported):
        raise raised
    return found


def seen_of(given: Pass, gradients: Mapping[str, Tensor | None], **changed: object) -> Seen:
    """What was seen of a pass: None is a gradient of zero, where it may be left out."""
    want: dict[str, Ball] = given.gradients(**changed)
    got: dict[str, Array] = {}
    for name, g in gradients.items():
        if g is None and may_be_left_out(given.case, name):
            continue
        array = np.zeros(want[name].shape) if g is None else as_array(g)
        if array.shape != want[name].shape:
            raise ValueError(f"the gradient of {name} has shape {array.shape}")
        got[name] = array
    return Seen(given, got, want)


def plain(
    subject: Subject,
    case: Case,
    regime: str = "spread",
    layout: str = "contiguous",
    results: tuple[str, ...] = (),
) -> Seen:
    """One backward pass, for upstream gradients of a regime in a layout, or of some results."""
    upstream = upstream_arrays(case, regime)
    upstream = {n: u for n, u in upstream.items() if not results or n in results}
    if layout == "expanded":
        upstream = {n: np.broadcast_to(u[..., :1, :], u.shape) for n, u in upstream.items()}
    run = record(subject, case)
    run.backward({n: subject.tensor(u, case, layout) for n, u in upstream.items()})
    return seen_of(Pass(case, upstream), run.gradients)


def results_of(subject: Subject) -> tuple[str, ...]:
    """The names of the results of a subject."""
    return KINDS[subject.kind].result_names(subject.cell)


def _accumulated(subject: Subject, case: Case) -> Seen:
    module, given = subject.build(case), arguments(subject, case)
    first, second = (upstream_arrays(case.but(seed=seed)) for seed in (case.seed, case.seed ^ 1))
    for upstream in (first, second):
        run = record(subject, case, module=module, given=given)
        run.backward(tensors(subject, case, upstream))
    return seen_of(Pass(case, second, before=first), run.gradients)


def _again(subject: Subject, case: Case) -> Seen:
    upstream = upstream_arrays(case)
    run = record(subject, case)
    for _ in range(2):
        found = run.gradient(tensors(subject, case, upstream), retain_graph=True)
    return seen_of(Pass(case, upstream), found)


def _evaluated(subject: Subject, case: Case, between: bool) -> Seen:
    upstream, other = upstream_arrays(case), case.but(seed=case.seed ^ 1, with_state=False)
    module = subject.build(case).eval()
    run = record(subject, case, module=module)
    if between:
        subject.run(other, module)
    run.backward(tensors(subject, case, upstream))
    return seen_of(Pass(case, upstream), run.gradients)


def _under_checkpoint(subject: Subject, case: Case) -> Seen:
    upstream = upstream_arrays(case)
    run = checkpointed(subject, case, subject.build(case), reentrant=False)
    run.backward(tensors(subject, case, upstream))
    return seen_of(Pass(case, upstream), run.gradients)


PLAIN = Condition("", plain)

#: Regime of the upstream gradients → its words.
REGIMES = {
    "ones": "where every upstream gradient is 1",
    "one element": "where all upstream gradients but one element are zero",
    "tiny": "where the upstream gradients are tiny",
    "scaled loss": "where the upstream gradients are large, as from a scaled loss",
    "mixed": "where the upstream gradients have mixed magnitudes",
    "zeros": "where the upstream gradients are zero",
}


def conditions(subject: Subject) -> list[Condition]:
    """All conditions but the plain one, in the order in which they are looked at."""
    alone = [
        Condition(f"where {name} alone has an upstream gradient", partial(plain, results=(name,)))
        for name in results_of(subject)
    ]
    upstream = [Condition(REGIMES[r], partial(plain, regime=r)) for r in UPSTREAM_REGIMES]
    strided = partial(plain, layout="strided")
    return [
        *alone,
        *upstream,
        Condition("where the upstream gradients are not contiguous", strided),
        Condition("where the upstream gradients are expanded", partial(plain, layout="expanded")),
        Condition("in a second backward pass through the same graph", _again),
        Condition("where .grad holds another gradient already", _accumulated),
        Condition("in evaluation", partial(_evaluated, between=False)),
        Condition(
            "in evaluation, after another call of the module", partial(_evaluated, between=True)
        ),
        Condition("under torch.utils.checkpoint", _under_checkpoint),
    ]
