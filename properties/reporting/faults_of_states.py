"""Named faults of states: cut, missing, not sorted with the rows, or returned in a wrong order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewise.reference.activations import join
from gatewise.reference.ball import Ball, exact
from gatewise.reference.cells import affine, weights_of
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.steps import parts
from gatewise.reference.unroll import reversed_in_time

from ..cases.arrays import as_array
from ..subjects.protocol import Results
from .faults_of_arguments import Call, Fault
from .faults_of_unrolling import Leg, Walked, unrolled

#: The arguments of calls, and what the subject returned.
Calls = Sequence[tuple[Call, Results]]
Balls = dict[str, Ball]

# ---------------------------------------------------------------- rows of a packed sequence


def _order(call: Call) -> npt.NDArray[np.int64]:
    """The rows by length, the longest first, as torch sorts them."""
    if call.lengths is None:
        raise ValueError("the input is not packed")
    order = np.argsort(-np.asarray(call.lengths), kind="stable")
    if (order == np.arange(len(order))).all():
        raise ValueError("the rows are sorted already")
    return order


def _unsorted_states(call: Call) -> Balls:
    back = np.argsort(_order(call))
    return replace(call, state=[s[:, back] for s in call.state]).results()


def _unsorted_results(call: Call, output: bool) -> Balls:
    order, axis = _order(call), 0 if call.case.batch_first else 1
    found = call.results()
    for name, ball in found.items():
        if output and name == "output":
            found[name] = ball[order] if axis == 0 else ball[:, order]
        elif not output and name != "output":
            found[name] = ball[:, order]
    return found


# ---------------------------------------------------------------- final states


def _swapped(call: Call) -> Balls:
    found = call.results()
    first, second = [n for n in found if n != "output"]
    if found[first].shape != found[second].shape:
        raise ValueError("h and c have different shapes")
    return {**found, first: found[second], second: found[first]}


def _batch_first(call: Call) -> Balls:
    if call.case.batch is None or not call.case.batch_first or call.lengths is not None:
        raise ValueError("there is no batch that comes first")
    found = call.results()
    finals: dict[str, Any] = {n: b for n, b in found.items() if n != "output"}
    return {**found, **{n: np.swapaxes(b, 0, 1) for n, b in finals.items()}}


def _step_before(leg: Leg) -> Walked:
    outputs, final = leg.run()
    if leg.lengths is not None or len(outputs) == 1:
        raise ValueError("there is no such step")
    return outputs, (outputs[1 if leg.reverse else -2], *final[1:])


def _never_carried(leg: Leg) -> Walked:
    if leg.lengths is not None or len(leg.x) == 1:
        raise ValueError("there is no step before")
    walked = [
        Leg(leg.call, leg.suffix, leg.x[t : t + 1], leg.state, None, False).run()
        for t in range(len(leg.x))
    ]
    return [w[0][0] for w in walked], walked[0 if leg.reverse else -1][1]


def _reverse_from_zeros(call: Call) -> Balls:
    if call.options.directions == 1:
        raise ValueError("there is one direction")
    forward = np.arange(len(call.state[0])) % 2 == 0
    rows = forward.reshape(-1, *[1] * (call.state[0].ndim - 1))
    return replace(call, state=[np.where(rows, s, 0.0) for s in call.state]).results()


def _halves(call: Call) -> tuple[Balls, Ball, Ball]:
    if call.options.directions == 1:
        raise ValueError("there is one direction")
    found = call.results()
    size = call.options.state_size
    return found, found["output"][..., :size], found["output"][..., size:]


def _halves_swapped(call: Call) -> Balls:
    if call.options.num_layers == 1:
        raise ValueError("there is one layer")
    found, first, second = _halves(call)
    return {**found, "output": join([second, first])}


def _halves_summed(call: Call) -> Balls:
    found, first, second = _halves(call)
    return {**found, "output": join([(first + second).settled(), second])}


def state_faults(kind: str, cell: bool) -> Iterator[Fault]:
    """The named faults of states; `kind` is RNN, LSTM or GRU."""
    if len(KINDS[kind].states) == 2:
        yield Fault("returned hidden and cell state swapped", _swapped)
    if cell:
        return
    yield Fault("states not sorted with the rows", _unsorted_states)
    yield Fault(
        "final states left in the order of the sorted rows",
        lambda call: _unsorted_results(call, output=False),
    )
    yield Fault(
        "outputs left in the order of the sorted rows",
        lambda call: _unsorted_results(call, output=True),
    )
    yield Fault("final states returned batch first", _batch_first)
    yield Fault(
        "final hidden state taken one step before the end",
        lambda call: unrolled(call, _step_before),
    )
    yield Fault(
        "every step started from the initial state", lambda call: unrolled(call, _never_carried)
    )
    yield Fault("initial states of the reverse direction ignored", _reverse_from_zeros)
    yield Fault("the last layer's two directions joined in the wrong order", _halves_swapped)
    yield Fault("the outputs of the two directions summed into the first", _halves_summed)


# ---------------------------------------------------------------- states that are cut


def _clipped(ball: Ball, limit: float) -> Ball:
    return Ball(np.clip(ball.v, -limit, limit), ball.precision, ball.radius)


def _cut(which: str, limit: float) -> Fault:
    """The fault of a state that each step cuts to ± a limit."""

    def step(call: Call, own: Any, p: Any) -> Any:
        if which == "h":
            return (_clipped(p[0], limit), *p[1 : len(call.state)])
        c, size = _clipped(p.c, limit), p.c.shape[-1]
        m = p.gates[..., 3 * size :] * np.tanh(c)
        return (m if own.hr is None else m @ own.hr.T, c)

    def leg(leg: Leg) -> Walked:
        call, own = leg.call, weights_of(leg.call.weights, leg.suffix, leg.x)
        x = reversed_in_time(leg.x, leg.lengths) if leg.reverse else leg.x
        shares, state, outputs = affine(x, own.ih, own.b_ih), leg.state, list[Any]()
        for t in range(len(x)):
            new = step(call, own, parts(call.options, own, shares[t], state))
            h = new[0]
            if leg.lengths is not None and not (t < leg.lengths).all():
                running = (t < leg.lengths)[:, None]
                h = np.where(running, h, 0.0)
                new = tuple(np.where(running, a, b) for a, b in zip(new, state, strict=True))
            state = new
            outputs.append(h)
        if leg.reverse:
            whole = reversed_in_time(np.stack(outputs), leg.lengths)
            outputs = [whole[t] for t in range(len(x))]
        return outputs, state

    def results(call: Call) -> Balls:
        if not call.options.cell:
            return unrolled(call, leg)
        p = call.case.rounding
        x, state = exact(call.x, p), tuple(exact(s, p) for s in call.state)
        own = weights_of(call.weights, "", x)
        with np.errstate(all="ignore"):
            new = parts(call.options, own, affine(x, own.ih, own.b_ih), state)
            return dict(zip(KINDS[call.options.kind].states, step(call, own, new), strict=True))

    return Fault(f"{which} cut at {limit:g}", results)


def cut_faults(calls: Calls) -> Iterator[Fault]:
    """States cut at the largest number that the results have, where several elements have it."""
    for which in ("c", "h"):
        largest = 0.0
        for call, got in calls:
            if which not in KINDS[call.options.kind].states:
                continue
            found = np.abs(as_array(got[which if call.options.cell else f"{which}_n"]))
            largest = max(largest, float(found.max(initial=0.0, where=np.isfinite(found))))
        if largest > 0.0:
            yield _cut(which, largest)


# ---------------------------------------------------------------- no state


def _started_from(value: float) -> Fault:
    def results(call: Call) -> Balls:
        if call.case.with_state:
            raise ValueError("a state is passed")
        return replace(call, state=[np.full_like(s, value) for s in call.state]).results()

    return Fault(f"no state is not zeros: a missing state taken for {value:g}", results)


def missing_states(calls: Calls) -> Iterator[Fault]:
    """A missing state that is taken for another number than 0, found from the first result."""
    for call, got in calls:
        if not call.case.with_state:
            name = next(reversed(got))
            value = _solved(call, as_array(got[name]), name)
            for digits in range(1, 7):
                yield _started_from(float(f"{value:.{digits}g}"))
            return


def _solved(call: Call, got: Array, name: str) -> float:
    """The initial state, equal everywhere, that brings the sum of a result nearest to `got`."""

    def off(value: float) -> float:
        state = [np.full_like(s, value) for s in call.state]
        return float((replace(call, state=state).results()[name].v - got).sum())

    before, value = 0.0, 1e-3
    known = off(before)
    for _ in range(20):  # the secant method
        now = off(value)
        if now == known or not np.isfinite(now):
            break
        before, known, value = value, now, value - now * (value - before) / (now - known)
    return value if np.isfinite(value) else 1.0


# ---------------------------------------------------------------- states kept between calls


def kept(call: Call, before: Results) -> Call:
    """The call as it starts from the final states of the call before."""
    return replace(call, state=[as_array(s) for n, s in before.items() if n != "output"])
