"""Named faults: the results that a subject with a common mistake returns.

The results of a fault come from the reference with one change, in Balls.  So "consistent with a
fault" means within a derived bound, like "right".  Most faults are a change of the arguments, and
these are here.  The others, in `faults_of_unrolling`, change how the reference unrolls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.steps import cell
from gatewise.reference.unroll import layer

from ..cases.case import Case
from ..cases.values import SATURATED

Weights = dict[str, Array]
States = Sequence[Array]

GATE_TITLES = {
    "i": "input gate",
    "f": "forget gate",
    "g": "cell candidate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
}


@dataclass(frozen=True)
class Call:
    """The arguments of one call of the reference, of which a fault may change any."""

    case: Case
    options: Options
    weights: Weights
    x: Array
    state: States
    lengths: tuple[int, ...] | None

    def results(self) -> dict[str, Ball]:
        """The reference's results for these arguments."""
        p = self.case.rounding
        x, state = exact(self.x, p), [exact(s, p) for s in self.state]
        with np.errstate(all="ignore"):
            if self.options.cell:
                return cell(self.options, self.weights, x, tuple(state))
            first = self.case.batch_first
            return layer(self.options, self.weights, x, state, self.lengths, first).named()


Change = Callable[[Call], Call]


@dataclass(frozen=True)
class Fault:
    """A named fault.  `results` raises `ValueError` if the fault cannot occur in the case."""

    name: str
    results: Callable[[Call], dict[str, Ball]]


def call_of(case: Case) -> Call:
    """The arguments of a case, without a change."""
    w = {name: np.array(a) for name, a in case.weight_arrays.items()}
    return Call(case, case.options, w, case.input_array, case.state_arrays, case.lengths)


def _changed(name: str, change: Change) -> Fault:
    return Fault(name, lambda call: change(call).results())


def of_weights(name: str, change: Callable[[str, Array], Array]) -> Fault:
    """A fault that changes each weight; `change` gets its name and its array."""
    return _changed(
        name,
        lambda call: replace(call, weights={n: change(n, w) for n, w in call.weights.items()}),
    )


def _gated(name: str) -> bool:
    return not name.startswith("weight_hr")


def _reordered(kind: str, order: tuple[int, ...]) -> Fault:
    names = KINDS[kind].gates
    moved = [k for k, g in enumerate(order) if k != g]
    if len(moved) == 2:
        a, b = (GATE_TITLES[names[k]] for k in moved)
        title = f"{a} and {b} swapped"
    else:
        read, own = " ".join(names[k] for k in order), " ".join(names)
        title = f"gates read in the order {read}, but stored in the order {own}"

    def change(name: str, w: Array) -> Array:
        if not _gated(name):
            return w
        blocks = np.split(w, len(names))
        # The subject takes the block at place k for gate order[k].
        placed = [blocks[order.index(k)] for k in range(len(names))]
        return np.concatenate(placed)

    return of_weights(title, change)


def _dropped(prefix: str, title: str) -> Fault:
    def change(call: Call) -> Call:
        if not call.options.bias:
            raise ValueError("there is no bias")
        kept = {n: 0.0 * w if n.startswith(prefix) else w for n, w in call.weights.items()}
        return replace(call, weights=kept)

    return _changed(title, change)


def _not_applied(kind: str, gate: str) -> Fault:
    """A gate that is not applied: its weights are 0, and a large bias keeps it at 1."""
    names = KINDS[kind].gates
    index = names.index(gate)

    def change(call: Call) -> Call:
        changed = dict(call.weights)
        for name in call.weights:
            if name.startswith(("weight_ih", "weight_hh")):
                w = changed[name].copy()
                rows = slice(
                    index * call.options.hidden_size, (index + 1) * call.options.hidden_size
                )
                w[rows] = 0.0
                changed[name] = w
                bias = name.replace("weight", "bias")
                b = changed.get(bias, np.zeros(len(names) * call.options.hidden_size)).copy()
                b[rows] = SATURATED
                changed[bias] = b
        return replace(call, weights=changed)

    return _changed(f"{GATE_TITLES[gate]} not applied (held at 1)", change)


def _state(title: str, change: Callable[[Call, list[Array]], list[Array]]) -> Fault:
    return _changed(title, lambda call: replace(call, state=change(call, list(call.state))))


def _zeroed(index: int) -> Callable[[Call, list[Array]], list[Array]]:
    def change(call: Call, state: list[Array]) -> list[Array]:
        state[index] = np.zeros_like(state[index])
        return state

    return change


def _swapped_states(call: Call, state: list[Array]) -> list[Array]:
    if state[0].shape != state[1].shape:
        raise ValueError("h and c have different shapes")
    return state[::-1]


def _reversed_rows(call: Call, state: list[Array]) -> list[Array]:
    if call.options.cell or call.options.num_layers * call.options.directions == 1:
        raise ValueError("there is one row of states")
    return [s[::-1] for s in state]


def _first_row(call: Call, state: list[Array]) -> list[Array]:
    if call.options.cell or call.options.num_layers * call.options.directions == 1:
        raise ValueError("there is one row of states")
    return [np.broadcast_to(s[:1], s.shape) for s in state]


def _options(title: str, **changes: Any) -> Fault:
    return _changed(title, lambda call: replace(call, options=replace(call.options, **changes)))


def _bias_outside(call: Call) -> Call:
    """b_hn is added to the input's share, outside of the product with the reset gate."""
    if not call.options.bias:
        raise ValueError("there is no bias")
    n, w = slice(2 * call.options.hidden_size, None), dict(call.weights)
    for name in call.weights:
        if name.startswith("bias_hh"):
            other = name.replace("hh", "ih")
            moved, left = w[other].copy(), w[name].copy()
            moved[n] += left[n]
            left[n] = 0.0
            w |= {other: moved, name: left}
    return replace(call, weights=w)


def _transposed_recurrence(name: str, w: Array) -> Array:
    if not name.startswith("weight_hh"):
        return w
    if w.shape[0] % w.shape[1]:
        raise ValueError("the recurrent blocks are not square")
    blocks = np.split(w, w.shape[0] // w.shape[1])
    return np.concatenate([b.T for b in blocks])


def _sequence_reversed(call: Call) -> Call:
    """The sequence is read from its end."""
    axis = 0 if call.case.batch is None or not call.case.batch_first else 1
    return replace(call, x=np.flip(call.x, axis))


def _exchanged(batch_first: bool) -> Change:
    """Batch and time are exchanged, in cases with the given `batch_first`."""

    def change(call: Call) -> Call:
        case = call.case
        if case.batch is None or call.lengths is not None or case.batch_first != batch_first:
            raise ValueError("batch and time cannot be exchanged in this case")
        if case.with_state and case.batch != case.time:
            raise ValueError("the shape of the states shows that batch and time are exchanged")
        state = [np.resize(s, (len(s), case.time, s.shape[-1])) for s in call.state]
        return replace(call, case=case.but(batch_first=not batch_first), state=state)

    return change


def _shared() -> Iterator[Fault]:
    yield _dropped("bias_ih", "bias_ih dropped")
    yield _dropped("bias_hh", "bias_hh dropped")
    yield _dropped("bias", "both biases dropped")
    yield _state("initial hidden state ignored", _zeroed(0))
    yield of_weights("recurrent weights transposed", _transposed_recurrence)
    yield of_weights(
        "recurrent term dropped", lambda n, w: 0.0 * w if n.startswith("weight_hh") else w
    )


def _of_kind(kind: str) -> Iterator[Fault]:
    own = KINDS[kind]
    count = len(own.gates)
    for order in permutations(range(count)):
        if order != tuple(range(count)):
            yield _reordered(kind, order)
    if "nonlinearity" in own.options:
        yield _options("nonlinearity ignored (tanh)", nonlinearity="tanh")
        yield _options("relu in place of tanh", nonlinearity="relu")
    if "c" in own.states:
        yield _state("initial cell state ignored", _zeroed(1))
        yield _state(
            "both initial states ignored",
            lambda call, state: [np.zeros_like(s) for s in state],
        )
        yield _state("hidden and cell state swapped", _swapped_states)
        yield from (_not_applied(kind, gate) for gate in "ifo")
    if "reset_after" in own.forms:
        yield _options("reset gate before the matmul", reset_after=False)
        yield _options("update gate inverted (z for 1−z)", update_keeps=False)
        yield _options(
            "reset gate before the matmul and update gate inverted",
            reset_after=False,
            update_keeps=False,
        )
        yield _changed("b_hn outside the product with the reset gate", _bias_outside)
        yield _not_applied(kind, "r")


def argument_faults(kind: str, cell: bool) -> list[Fault]:
    """The faults that are a change of the arguments; `kind` is RNN, LSTM or GRU."""
    return [*_shared(), *_of_kind(kind), *(() if cell else of_layers())]


def of_layers() -> list[Fault]:
    """The faults of layers of every kind."""
    return [
        _state("rows of the initial states in the wrong order", _reversed_rows),
        _state("every layer started from the states of the first", _first_row),
        _changed("the sequence read in reverse", _sequence_reversed),
        _changed("batch_first ignored", _exchanged(batch_first=True)),
        _changed("input taken as batch-major", _exchanged(batch_first=False)),
    ]


def of_states(letters: tuple[str, ...]) -> Iterator[Fault]:
    """Initial states that are ignored, and two that are exchanged."""
    for k, letter in enumerate(letters):
        yield _state(f"initial state {letter} ignored", _zeroed(k))
    if len(letters) == 2:
        yield _state(f"{letters[0]} and {letters[1]} swapped", _swapped_states)
