"""The backward pass of a fault: the reference's, with one change, in Balls.

A fault changes the upstream gradients, or the backward pass of one layer in one direction (a
`Leg`).  `faults_of_gradients` has the table of the named ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise.reference.backward import adjoints, by_input, by_weights
from gatewise.reference.ball import Ball, exact
from gatewise.reference.cells import Weights
from gatewise.reference.cells_backward import Adjoints
from gatewise.reference.formats import Array
from gatewise.reference.options import Options
from gatewise.reference.recurrence import Loop

from ..cases.case import Case
from ..checking.oracle import expected_gradients

State = tuple[Any, ...]


def outside(got: Array, ball: Ball) -> npt.NDArray[np.bool_]:
    """Where a result or a gradient is outside of its ball, if the ball is finite."""
    finite = np.isfinite(ball.radius) & np.isfinite(ball.v)
    with np.errstate(all="ignore"):
        found: npt.NDArray[np.bool_] = finite & ~(np.abs(got - ball.v) <= ball.radius)
    return found


@dataclass(frozen=True)
class Pass:
    """The arguments of one backward pass of the reference, of which a fault may change any.

    `before` are the upstream gradients of a pass before it, whose gradients `.grad` holds.
    """

    case: Case
    upstream: Mapping[str, Array | Ball]
    masks: Sequence[Any] = ()
    before: Mapping[str, Array | Ball] | None = None

    def gradients(self, **changed: Any) -> dict[str, Ball]:
        """The reference's gradients; `changed` is as in `expected_gradients`."""
        own = expected_gradients(self.case, self.upstream, masks=self.masks, **changed)
        if self.before is None:
            return own
        first = replace(self, upstream=self.before, before=None).gradients(**changed)
        return {n: first[n].settled() + g.settled() for n, g in own.items()}


@dataclass(frozen=True)
class GradientFault:
    """A named fault.  `gradients` raises `ValueError` if the fault cannot occur in a pass."""

    name: str
    gradients: Callable[[Pass], dict[str, Ball]]


@dataclass(frozen=True)
class Back:
    """The backward pass of one layer in one direction; the fields are `direction_backward`'s."""

    index: int
    options: Options
    w: Weights
    x: Any
    tape: Any
    upstream: Any
    last: State
    running: Any

    def adjoints(self, w: Weights | None = None, loop: Loop | None = None) -> Adjoints:
        """The adjoints of all steps, with other weights or another loop if given."""
        loop = Loop(self.upstream, self.running) if loop is None else loop
        return adjoints(self.options, w or self.w, self.tape, loop, self.last)

    def finish(self, a: Adjoints, other: Adjoints | None = None, x: Any = None) -> Any:
        """The gradients; those by the weights from `other` and `x`, if given."""
        own = by_weights(self.options, self.w, self.x if x is None else x, other or a)
        return own, by_input(self.options, self.w, a), a.state

    def part(self, start: int, stop: int, last: State) -> Back:
        """The steps from `start` to `stop` alone, where `last` arrives at the end."""
        upstream = None if self.upstream is None else self.upstream[start:stop]
        running = None if self.running is None else self.running[start:stop]
        tape = self.tape[start:stop]
        if upstream is None and last[0] is None:
            last = (np.zeros_like(tape[0][0][0]), *last[1:])
        return replace(self, tape=tape, upstream=upstream, running=running, last=last)


#: What one layer in one direction gives back: its gradients by weights, input and first state.
Leg = Callable[[Back], Any]


def by_leg(name: str, leg: Leg, needs: Callable[[Case], bool] = lambda case: True) -> GradientFault:
    """The fault of a leg; `needs` says in which cases it can occur."""

    def gradients(given: Pass) -> dict[str, Ball]:
        if not needs(given.case):
            raise ValueError("the fault cannot occur in this case")
        return given.gradients(leg=lambda *arguments: leg(Back(*arguments)))

    return GradientFault(name, gradients)


# ---------------------------------------------------------------- what flows from step to step


#: (state's adjoint, number of the state: 0 for h and 1 for c) → what the step before gets.
Between = Callable[[Any, int], Any]


def in_parts(size: int, between: Between, at_start: bool) -> Leg:
    """A leg whose adjoints of the states are changed at the start of every `size` steps.

    `at_start` says whether that of the initial state is changed too.
    """

    def leg(back: Back) -> Any:
        time, parts, state = len(back.tape), list[Adjoints](), back.last
        for start in range((time - 1) // size * size, -1, -size):
            part = back.part(start, min(start + size, time), state)
            a = part.adjoints()
            parts.append(a)
            state = a.state
            if start or at_start:
                changed = tuple(between(s, k) for k, s in enumerate(state))
                rows = None if back.running is None else back.running[start]
                pairs = zip(changed, state, strict=True)
                state = changed if rows is None else tuple(np.where(rows, c, s) for c, s in pairs)
        return back.finish(_joined(parts[::-1], state))

    return leg


def _joined(parts: list[Adjoints], state: State) -> Adjoints:
    def whole(arrays: list[Any]) -> Any:
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    share = whole([a.share for a in parts])
    same = all(a.recurrent is a.share for a in parts)
    recurrent = share if same else whole([a.recurrent for a in parts])
    fed = tuple(whole(list(arrays)) for arrays in zip(*(a.fed for a in parts), strict=True))
    projections = [a.projected for a in parts if a.projected is not None]
    pairs = tuple(whole(list(arrays)) for arrays in zip(*projections, strict=True))
    return Adjoints(share, recurrent, fed, state, (pairs[0], pairs[1]) if pairs else None)


def zero(ball: Ball) -> Ball:
    """An exact zero of the same shape."""
    return exact(np.zeros(ball.shape), ball.precision)


def dropped(*states: int) -> Between:
    """Drop the adjoints of the states with these numbers."""
    return lambda s, k: zero(s) if k in states else s


def scaled(factor: float) -> Between:
    """Multiply the adjoint of h by a factor."""
    return lambda s, k: s if k else s * factor


def cut_to(limit: float) -> Between:
    """Cut the adjoint of h to ± a limit."""
    return lambda s, k: s if k else Ball(np.clip(s.v, -limit, limit), s.precision, s.radius)


# ---------------------------------------------------------------- upstream gradients


def by_upstream(
    name: str, change: Callable[[Pass, dict[str, Any]], Mapping[str, Any]]
) -> GradientFault:
    """The fault of a change of the upstream gradients."""

    def gradients(given: Pass) -> dict[str, Ball]:
        before = None if given.before is None else change(given, dict(given.before))
        own = change(given, dict(given.upstream))
        return replace(given, upstream=own, before=before).gradients()

    return GradientFault(name, gradients)


def times(name: str, k: float, given: Pass, upstream: dict[str, Any]) -> dict[str, Any]:
    """The upstream gradients, with that of one result multiplied by a number."""
    if name not in upstream:
        raise ValueError(f"{name} has no upstream gradient")
    p = given.case.rounding
    return {n: exact(u, p) * k if n == name else u for n, u in upstream.items()}
