"""Named faults in how layers, directions and sequences of different lengths are unrolled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.reference.ball import Ball, exact
from gatewise.reference.kinds import KINDS
from gatewise.reference.unroll import Lengths, State, direction, reversal, walk

from .faults_of_arguments import Call, Fault

Walked = tuple[list[Any], State]


@dataclass(frozen=True)
class Leg:
    """One layer in one direction: x (T, B, I), state of (B, ·), lengths (B,) or None."""

    call: Call
    suffix: str
    x: Any
    state: State
    lengths: Lengths | None
    reverse: bool

    def run(self, **changes: Any) -> Walked:
        """The hidden states of all steps, and the last state; `changes` replace fields."""
        suffix = changes.get("suffix", self.suffix)
        lengths = changes.get("lengths", self.lengths)
        reverse = changes.get("reverse", self.reverse)
        c = self.call
        own = KINDS[c.options.kind].weights(c.weights, suffix, self.x)
        return direction(c.options, own, self.x, self.state, lengths, reverse)


Legs = Callable[[Leg], Walked]


def unrolled(
    call: Call, leg: Legs, flipped: bool = False, by_direction: bool = False
) -> dict[str, Ball]:
    """The reference's results, with each layer and direction unrolled by `leg`.

    `flipped` joins the outputs of the two directions in the wrong order.  `by_direction` orders
    the final states by direction first, and then by layer.
    """
    p, directions = call.case.rounding, call.options.directions
    ends = None if call.lengths is None else np.asarray(call.lengths, dtype=np.int64)

    def put(suffix: str, x: Any, start: State, reverse: bool) -> Walked:
        return leg(Leg(call, suffix, x, start, ends, reverse))

    def grouped(finals: list[State]) -> list[State]:
        return [f for d in range(directions) for f in finals[d::directions]]

    return walk(
        call.options,
        exact(call.x, p),
        [exact(s, p) for s in call.state],
        put,
        batch_first=call.case.batch_first,
        beside=lambda halves: halves[::-1] if flipped else halves,
        order=grouped if by_direction else list,
    ).named()


def _forwards(leg: Leg) -> Walked:
    return leg.run(reverse=False)


def _not_put_back(leg: Leg) -> Walked:
    outputs, final = leg.run()
    if not leg.reverse:
        return outputs, final
    if leg.lengths is None:
        return outputs[::-1], final
    stacked = np.stack(outputs)
    turned = stacked[reversal(len(outputs), leg.lengths), np.arange(stacked.shape[1])]
    return [turned[t] for t in range(len(outputs))], final


def _forward_weights(leg: Leg) -> Walked:
    return leg.run(suffix=leg.suffix.removesuffix("_reverse"))


def _last_step(leg: Leg) -> Walked:
    outputs, final = leg.run()
    return outputs, (outputs[-1], *final[1:]) if leg.reverse else final


def _masked(leg: Leg, walked: Walked) -> Walked:
    assert leg.lengths is not None
    outputs, final = walked
    kept = [np.where((t < leg.lengths)[:, None], h, 0.0) for t, h in enumerate(outputs)]
    return kept, final


def _padded(leg: Leg) -> Leg:
    """The leg with an input padded by zeros, as if a packed sequence were padded first."""
    if leg.lengths is None or (leg.lengths == leg.x.shape[0]).all():
        raise ValueError("there is no padding")
    running = np.arange(leg.x.shape[0])[:, None] < leg.lengths
    x = np.where(running[:, :, None], leg.x, 0.0)
    return Leg(leg.call, leg.suffix, x, leg.state, leg.lengths, leg.reverse)


def _reverse_from_padding(leg: Leg) -> Walked:
    padded = _padded(leg)
    return _masked(leg, padded.run(lengths=None)) if leg.reverse else leg.run()


def _final_after_padding(leg: Leg) -> Walked:
    padded = _padded(leg)
    outputs, final = leg.run()
    return outputs, final if leg.reverse else padded.run(lengths=None)[1]


def _bidirectional(legs: Legs, **how: bool) -> Callable[[Call], dict[str, Ball]]:
    def results(call: Call) -> dict[str, Ball]:
        if call.options.directions == 1:
            raise ValueError("there is one direction")
        return unrolled(call, legs, **how)

    return results


#: The faults that are not a change of the arguments; for layers of every kind.
WALKS = (
    Fault("reverse direction reads the sequence forwards", _bidirectional(_forwards)),
    Fault("outputs of the reverse direction left in reversed order", _bidirectional(_not_put_back)),
    Fault("reverse direction uses the forward weights", _bidirectional(_forward_weights)),
    Fault(
        "final hidden state of the reverse direction taken at the last time step",
        _bidirectional(_last_step),
    ),
    Fault(
        "outputs of the two directions joined in the wrong order",
        _bidirectional(Leg.run, flipped=True),
    ),
    Fault(
        "final states ordered by direction first, then by layer",
        _bidirectional(Leg.run, by_direction=True),
    ),
    Fault("reverse direction starts in the padding", _bidirectional(_reverse_from_padding)),
    Fault(
        "final state taken after the padding, not at the end of the sequence",
        lambda call: unrolled(call, _final_after_padding),
    ),
)
