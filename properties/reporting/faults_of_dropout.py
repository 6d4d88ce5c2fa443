"""Named faults of dropout, from the masks that a network with special weights shows.

`families.dropout.masks` has this network: each of its outputs tells what dropout did to one unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gatewise.reference.ball import Ball

from ..cases.arrays import as_array
from ..cases.case import Case
from ..checking.oracle import expected
from ..families.dropout.every_mask import tried
from ..families.dropout.masks import (
    Mask,
    outputs_with,
    seeded_generators,
    seeded_run,
    showing_input,
    showing_states,
    showing_weights,
    time_major,
)
from ..subjects.protocol import Subject
from .backward_legs import outside

#: Probabilities for which p, 1−p and their inverses all differ.
PROBABILITIES = (0.25, 0.75)


@dataclass(frozen=True)
class Shown:
    """What the network that shows its mask returned, with the case and its weights."""

    case: Case
    output: Any

    def is_one_of(self, *factors: float) -> bool:
        """Whether each unit was dropped or multiplied by one of these factors."""
        return bool(np.any([self.times(k) for k in (0.0, *factors)], axis=0).all())

    def times(self, factor: float) -> Mask:
        """Where a unit may have been multiplied by a factor."""
        shape = (1, self.output.shape[0] * self.output.shape[1], self.output.shape[2])
        p = self.case.rounding
        mask = Ball(np.full(shape, factor), p, 2.0 * p.u * np.full(shape, factor))
        ball = outputs_with(self.case, showing_weights(self.case), [mask])
        return ~outside(self.output, ball)

    @property
    def kept(self) -> Mask:
        """Where a unit was kept."""
        return ~self.times(0.0)


def shown_case(case: Case, p: float, **changes: Any) -> Case:
    """A two-layer case with options of the failing one, whose mask has many units."""
    own = case.but(
        input_size=4,
        hidden_size=8,
        proj_size=0,
        num_layers=2,
        bias=True,
        batch=4,
        time=6,
        lengths=None,
        layout="contiguous",
        weights="spread",
        inputs="spread",
        states="spread",
        dropout=p,
        training=True,
    )
    return own.but(**changes)


def run(subject: Subject, case: Case, module: Any, grad: bool = False) -> Shown:
    """One call of a module that holds the weights which show its mask."""
    x, states = subject.given(case, x=showing_input(case), state=showing_states(case))
    with torch.set_grad_enabled(grad):
        output = subject.call(case, module, x, states)["output"]
    return Shown(case, time_major(case, as_array(output.detach())))


def made(subject: Subject, case: Case) -> Any:
    """A module in training mode that shows its mask."""
    return subject.build(case, showing_weights(case)).train()


def shown(subject: Subject, case: Case, calls: int = 1, seed: int = 1, grad: bool = False) -> Any:
    """The results of calls of one module, one after another, from a seed."""
    module = made(subject, case)
    with seeded_generators(subject, seed):
        return [run(subject, case, module, grad) for _ in range(calls)]


#: Title → the factor of a unit that is kept, from p.
_FACTORS: dict[str, Callable[[float], float]] = {
    "survivors not scaled by 1/(1−p)": lambda p: 1.0,
    "survivors scaled twice by 1/(1−p)": lambda p: (1 - p) ** -2.0,
    "p taken for the rate that is kept": lambda p: 1 / p,
    "half of the rate dropped": lambda p: 1 / (1 - p / 2),
    "survivors scaled by 1−p": lambda p: 1 - p,
}


def right(p: float) -> float:
    """The factor of a unit that is kept."""
    return 1 / (1 - p)


def scales(subject: Subject, case: Case) -> Iterator[str]:
    """Faults of the factor, and of where units are dropped."""
    cases = [shown_case(case, p) for p in PROBABILITIES]
    first = [shown(subject, c)[0] for c in cases]
    if all(s.is_one_of(right(s.case.dropout)) and not s.kept.all() for s in first):
        return
    if all(s.times(1.0).all() for s in first):
        yield "nothing dropped in training"
        return
    for title, of in _FACTORS.items():
        if all(s.is_one_of(of(s.case.dropout)) for s in first):
            yield title
            return
    if all(_after_the_last(subject, c) for c in cases):
        yield "dropped after the last layer too"
    elif all(_on_the_input(subject, c) for c in cases):
        yield "the input dropped too"


def scales_by_trial(subject: Subject, case: Case) -> Iterator[str]:
    """`scales` of a declared kind: every mask is tried, with each factor."""
    cases = [shown_case(case, p, hidden_size=2, batch=3, time=2) for p in PROBABILITIES]
    calls = [(own, seeded_run(subject, own, subject.build(own).train(), 1)) for own in cases]
    if all(tried(own).explain(got) for own, got in calls):
        return
    undropped = [expected(own.but(dropout=0.0)) for own in cases]
    pairs = zip(calls, undropped, strict=True)
    if not any(outside(as_array(got[n]), want[n]).any() for (_, got), want in pairs for n in want):
        yield "nothing dropped in training"
        return
    for title, of in _FACTORS.items():
        if all(tried(own, of(own.dropout)).explain(got) for own, got in calls):
            yield title
            return


def _after_the_last(subject: Subject, case: Case) -> bool:
    """Whether outputs that cannot be 0 are 0, and all others are scaled."""
    weights = showing_weights(case, lifted=True)
    module = subject.build(case, weights).train()
    with seeded_generators(subject, 1):
        output = run(subject, case, module).output
    balls = [outputs_with(case, weights, [kept]) * right(case.dropout) for kept in (True, False)]
    scaled = [~outside(output, ball) for ball in balls]
    return bool((output == 0).any() and np.any([output == 0, *scaled], axis=0).all())


def _on_the_input(subject: Subject, case: Case) -> bool:
    """Whether the first layer's last state is that of an input that was dropped or scaled."""
    p, weights = case.rounding, showing_weights(case)
    module, x = subject.build(case, weights).train(), showing_input(case)
    one = case.but(num_layers=1, dropout=0.0)
    own = {n: w for n, w in weights.items() if "_l0" in n}
    rows = one.options.directions
    with seeded_generators(subject, 1):
        got = as_array(subject.run(case, module, x=x, state=showing_states(case))["h_n"])[:rows]
    states = [s[:rows] for s in showing_states(case)]
    scaled = [Ball(x * k, p, p.u * x * k) for k in (0.0, right(case.dropout))]
    want = [expected(one, x=s, state=states, weights=own)["h_n"] for s in scaled]
    return bool(np.any([~outside(got, ball) for ball in want], axis=0).all())


def patterns(mask: npt.NDArray[np.bool_], where: str = "") -> Iterator[str]:
    """What units (T, B, D·R) share, where not all are dropped and not all are kept."""
    if mask.all() or not mask.any():
        return
    for axis, title in enumerate(("steps", "rows", "units of a row")):
        if (mask == np.take(mask, [0], axis)).all():
            yield f"one mask for all {title}{where}"


def masks(subject: Subject, case: Case) -> Iterator[str]:
    """Faults of the mask: what its units share, and what decides it."""
    own = shown_case(case, 0.5)
    first, second = (s.kept for s in shown(subject, own, calls=2))
    yield from patterns(first)
    other = shown(subject, own, seed=2)[0].kept
    again = shown(subject, own)[0].kept
    recorded = shown(subject, own, grad=True)[0].kept
    if (first == second).all() or (first == other).all():
        yield "the same mask at every call"
    elif (first != again).any():
        yield "a mask that the seed does not decide"
    elif (first != recorded).any():
        yield "another mask where gradients are recorded"


def modes(subject: Subject, case: Case) -> Iterator[str]:
    """Faults of evaluation, of probability 1, and of a probability that is changed."""
    for p in PROBABILITIES:
        own = shown_case(case, p)
        module = made(subject, own)
        evaluated = run(subject, own, module.eval())
        trained = run(subject, own, module.train())
        late = run(subject, own, module.eval())
        if not evaluated.times(1.0).all():
            yield "dropped in evaluation"
        elif not late.times(1.0).all():
            yield "dropped in evaluation after a call in training"
        elif trained.times(1.0).all():
            yield "nothing dropped after eval() and then train()"
        else:
            continue
        return
    certain = shown_case(case, 1.0)
    output = shown(subject, certain)[0].output
    if np.isnan(output).any():
        yield "probability 1 gives NaN"
    elif outside(output, outputs_with(certain, showing_weights(certain), [np.zeros(1)])).any():
        yield "probability 1 does not drop all"
    yield from _changed_later(subject, shown_case(case, 0.5))


def _changed_later(subject: Subject, case: Case) -> Iterator[str]:
    module = made(subject, case)
    if hasattr(module, "dropout"):
        module.dropout = 0.25
        found = run(subject, case.but(dropout=0.25), module)
        if found.is_one_of(right(0.5)) and not found.is_one_of(right(0.25)):
            yield "a probability set after construction ignored"
