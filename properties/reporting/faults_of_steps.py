"""Named faults of declared kinds: blocks of weights exchanged or left out, and changed steps.

A fault of the gradients alone is a step with the right values, through a part of which no gradient
flows, or an upstream gradient that is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from gatewise.reference.ball import Ball
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS, Kind
from gatewise.reference.options import own_name

from .backward_legs import GradientFault, Pass
from .changed_steps import changed_steps, stopped_steps
from .faults_of_arguments import Call, Fault, of_layers, of_states, of_weights


def step_faults(kind: str, cell: bool) -> Iterator[Fault]:
    """The faults of a declared kind that a change of arguments or of the step gives."""
    row = KINDS[kind]
    yield from _of_blocks(row)
    for name in row.shapes:
        yield of_weights(f"{name} left out", _of(name, lambda w: 0.0 * w))
    yield from of_states(row.states)
    if not cell:
        yield from of_layers()
    assert row.declared is not None
    for title, step in changed_steps(row.declared.step, row.states):
        yield Fault(title, _with_step(row, step))


def step_gradient_faults(kind: str) -> Iterator[GradientFault]:
    """The faults of a declared kind whose results are right and whose gradients are not."""
    row = KINDS[kind]
    assert row.declared is not None
    for title, step in stopped_steps(row.declared.step, row.states):
        yield GradientFault(title, _gradients_with_step(row, step))


def block_names(row: Kind, name: str) -> list[str]:
    """The names of the blocks of a weight: the letters of gates, or numbers from 0."""
    count = row.shapes[name].parts()
    return list(row.gates) if count == len(row.gates) else [str(k) for k in range(count)]


def _of(name: str, change: Callable[[Array], Array]) -> Callable[[str, Array], Array]:
    return lambda given, w: change(w) if name in (given, own_name(given)) else w


def _of_blocks(row: Kind) -> Iterator[Fault]:
    """Two blocks exchanged in all weights that have them, or in one; or one block for all."""
    counts = {name: s.parts() for name, s in row.shapes.items() if s.parts() > 1}
    for count in dict.fromkeys(counts.values()):
        names = [n for n, c in counts.items() if c == count]
        letters = block_names(row, names[0])
        for a, b in combinations(range(count), 2):
            title = f"{letters[a]} and {letters[b]} swapped in {', '.join(names)}"
            yield of_weights(title, _swapped(dict.fromkeys(names, count), a, b))
        if len(names) > 1:
            for name in names:
                for a, b in combinations(range(count), 2):
                    title = f"{letters[a]} and {letters[b]} swapped in {name} alone"
                    yield of_weights(title, _swapped({name: count}, a, b))
    for name, count in counts.items():
        letters = block_names(row, name)
        yield of_weights(f"{name} with its blocks in reverse", _of(name, _reversed(count)))
        yield of_weights(f"{name}[{letters[0]}] for all blocks", _of(name, _first(count)))
        for k in range(count):
            yield of_weights(f"{name}[{letters[k]}] left out", _of(name, _without(count, k)))
    for name, shape in row.shapes.items():
        if shape.square():
            yield of_weights(f"{name} transposed", _of(name, _transposed(counts.get(name, 1))))


def _swapped(counts: dict[str, int], a: int, b: int) -> Callable[[str, Array], Array]:
    """Two blocks of the weights in `counts` exchanged; it says how many blocks each has."""

    def change(name: str, w: Array) -> Array:
        count = counts.get(name) or counts.get(own_name(name))
        if count is None:
            return w
        blocks = np.split(w, count)
        blocks[a], blocks[b] = blocks[b], blocks[a]
        return np.concatenate(blocks)

    return change


def _reversed(count: int) -> Callable[[Array], Array]:
    return lambda w: np.concatenate(np.split(w, count)[::-1])


def _first(count: int) -> Callable[[Array], Array]:
    return lambda w: np.concatenate([np.split(w, count)[0]] * count)


def _without(count: int, k: int) -> Callable[[Array], Array]:
    def change(w: Array) -> Array:
        blocks = np.split(w.copy(), count)
        blocks[k] = 0.0 * blocks[k]
        return np.concatenate(blocks)

    return change


def _transposed(count: int) -> Callable[[Array], Array]:
    return lambda w: np.concatenate([b.T for b in np.split(w, count)])


def _with_step(row: Kind, step: Callable[..., Any]) -> Callable[[Call], dict[str, Ball]]:
    """The results with another step; raises `ValueError` where it cannot be computed."""

    def results(call: Call) -> dict[str, Ball]:
        with _standing(row, step) as name:
            return replace(call, options=replace(call.options, kind=name)).results()

    return results


def _gradients_with_step(row: Kind, step: Callable[..., Any]) -> Callable[[Pass], dict[str, Ball]]:
    """The gradients with another step, for the same arguments."""

    def gradients(given: Pass) -> dict[str, Ball]:
        case, arrays = given.case, given.case.weight_arrays
        x, state = case.input_array, case.state_arrays
        with _standing(row, step) as name:
            other = replace(given, case=case.but(kind=name))
            return other.gradients(x=x, state=state, weights=arrays)

    return gradients


@contextmanager
def _standing(row: Kind, step: Callable[..., Any]) -> Iterator[str]:
    """A kind with another step, in the table of kinds for as long as it is computed."""
    assert row.declared is not None
    declared = replace(row.declared, step=step)
    name = f"{row.name} with a change"
    own = replace(
        row, name=name, declared=declared, step=lambda o, w, x, s: declared.parts(w, x, s)
    )
    KINDS[name] = own
    try:
        yield name
    finally:
        del KINDS[name]
