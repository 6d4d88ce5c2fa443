"""Named faults: what a subject would return if it had one of the mistakes that people make.

Each is the reference with one thing changed, in Balls, so that "consistent with" means within the
same derived bound as "right".  Most are a change of the arguments; the others walk the layers and
directions of the reference in their own way.
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
    """What the reference is put to: a case with everything that a fault may change."""

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
                new = cell(self.options, self.weights, x, tuple(state))
                return dict(zip(KINDS[self.options.kind].states, new, strict=True))
            first = self.case.batch_first
            return layer(self.options, self.weights, x, state, self.lengths, first).named()


Change = Callable[[Call], Call]


@dataclass(frozen=True)
class Fault:
    """A named mistake.  `results` raises `ValueError` where a case cannot have it."""

    name: str
    results: Callable[[Call], dict[str, Ball]]


def call_of(case: Case) -> Call:
    """A case's own arguments."""
    w = {name: np.array(a) for name, a in case.weight_arrays.items()}
    return Call(case, case.options, w, case.input_array, case.state_arrays, case.lengths)


def _changed(name: str, change: Change) -> Fault:
    return Fault(name, lambda call: change(call).results())


def _weights(name: str, change: Callable[[str, Array], Array]) -> Fault:
    """A fault that maps each weight by its name."""
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
        title = f"gates read in the order {read} where the weights hold {own}"

    def change(name: str, w: Array) -> Array:
        if not _gated(name):
            return w
        blocks = np.split(w, len(names))
        # The block at place k is taken for gate order[k].
        placed = [blocks[order.index(k)] for k in range(len(names))]
        return np.concatenate(placed)

    return _weights(title, change)


def _dropped(prefix: str, title: str) -> Fault:
    def change(call: Call) -> Call:
        if not call.options.bias:
            raise ValueError("there is no bias")
        kept = {n: 0.0 * w if n.startswith(prefix) else w for n, w in call.weights.items()}
        return replace(call, weights=kept)

    return _changed(title, change)


def _held(kind: str, gate: str) -> Fault:
    """A gate that is never applied: held at 1 by a bias that no product can move."""
    names = KINDS[kind].gates
    index = names.index(gate)

    def change(call: Call) -> Call:
        held = dict(call.weights)
        for name in call.weights:
            if name.startswith(("weight_ih", "weight_hh")):
                w = held[name].copy()
                rows = slice(
                    index * call.options.hidden_size, (index + 1) * call.options.hidden_size
                )
                w[rows] = 0.0
                held[name] = w
                bias = name.replace("weight", "bias")
                b = held.get(bias, np.zeros(len(names) * call.options.hidden_size)).copy()
                b[rows] = SATURATED
                held[bias] = b
        return replace(call, weights=held)

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
    """b_hn added to the input's share, outside the product with the reset gate."""
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


def _rows_reversed(call: Call) -> Call:
    """The sequence read from its end, in a layer of one direction."""
    axis = 0 if call.case.batch is None or not call.case.batch_first else 1
    return replace(call, x=np.flip(call.x, axis))


def _exchanged(batch_first: bool) -> Change:
    """Batch and time taken for each other where `batch_first` is as given."""

    def change(call: Call) -> Call:
        case = call.case
        if case.batch is None or call.lengths is not None or case.batch_first != batch_first:
            raise ValueError("there is no such pair of axes")
        if case.with_state and case.batch != case.time:
            raise ValueError("the states tell how many rows there are")
        state = [np.resize(s, (len(s), case.time, s.shape[-1])) for s in call.state]
        return replace(call, case=case.but(batch_first=not batch_first), state=state)

    return change


def _shared() -> Iterator[Fault]:
    yield _dropped("bias_ih", "bias_ih dropped")
    yield _dropped("bias_hh", "bias_hh dropped")
    yield _dropped("bias", "both biases dropped")
    yield _state("initial hidden state ignored", _zeroed(0))
    yield _weights("recurrent weights transposed", _transposed_recurrence)
    yield _weights(
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
        yield from (_held(kind, gate) for gate in "ifo")
    if "reset_after" in own.forms:
        yield _options("reset gate before the matmul", reset_after=False)
        yield _options("update gate inverted (z for 1−z)", update_keeps=False)
        yield _options(
            "reset gate before the matmul and update gate inverted",
            reset_after=False,
            update_keeps=False,
        )
        yield _changed("b_hn outside the product with the reset gate", _bias_outside)
        yield _held(kind, "r")


def argument_faults(kind: str, cell: bool) -> list[Fault]:
    """Faults that a change of the arguments makes; `kind` is RNN, LSTM or GRU."""
    found = [*_shared(), *_of_kind(kind)]
    if not cell:
        found += [
            _state("rows of the initial states in the wrong order", _reversed_rows),
            _state("every layer started from the states of the first", _first_row),
            _changed("the sequence read in reverse", _rows_reversed),
            _changed("batch_first ignored", _exchanged(batch_first=True)),
            _changed("input taken as batch-major", _exchanged(batch_first=False)),
        ]
    return found
