"""Named faults of a backward pass: the gradients that a common mistake gives.

The forward results are right.  The gradients of a fault come from the reference's backpropagation
through time with one change (`backward_legs`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gatewise.reference.activations import stack
from gatewise.reference.ball import Ball, exact
from gatewise.reference.cells import Weights
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.recurrence import Loop

from ..cases.case import Case
from .backward_legs import (
    Back,
    GradientFault,
    Leg,
    Pass,
    by_leg,
    by_upstream,
    dropped,
    in_parts,
    times,
    zero,
)
from .faults_of_arguments import GATE_TITLES
from .faults_of_steps import step_gradient_faults


def _several(case: Case) -> bool:
    return case.time > 1


def _flow(kind: str) -> Iterator[GradientFault]:
    states = KINDS[kind].states
    for k, s in enumerate(states):
        title = f"no gradient from {s}_t to {s}_(t−1)"
        yield by_leg(title + f", nor to {s}_0", in_parts(1, dropped(k), at_start=True))
        yield by_leg(title, in_parts(1, dropped(k), at_start=False), _several)
    if len(states) > 1:
        both = in_parts(1, dropped(0, 1), at_start=True)
        yield by_leg("the states detached between the steps", both)


# ---------------------------------------------------------------- one direction


def _other_weights(change: Callable[[Options, Weights], Weights]) -> Leg:
    """The recurrence goes back through other weights."""
    return lambda back: back.finish(back.adjoints(change(back.options, back.w)))


def _transposed(options: Options, w: Weights) -> Weights:
    if w.hh.shape[1] != options.hidden_size:
        raise ValueError("the recurrent blocks are not square")
    blocks = np.split(w.hh.v, len(KINDS[options.kind].gates))
    return w._replace(hh=exact(np.concatenate([b.T for b in blocks]), w.hh.precision))


def _fed(change: Callable[[Back, Any], Any]) -> Leg:
    """The gradient of W_hh takes other hidden states."""

    def leg(back: Back) -> Any:
        a = back.adjoints()
        return back.finish(a, a._replace(fed=(change(back, a.fed[0]), *a.fed[1:])))

    return leg


def _only(keep: Callable[[Any], Any]) -> Leg:
    """The gradients of the weights take some adjoints alone; `keep` (T, B, 1) says which."""

    def leg(back: Back) -> Any:
        a = back.adjoints()
        kept = keep(np.zeros((*a.share.shape[:2], 1), dtype=bool))
        share = np.where(kept, a.share, 0.0)
        recurrent = share if a.recurrent is a.share else np.where(kept, a.recurrent, 0.0)
        projected = a.projected and (np.where(kept, a.projected[0], 0.0), a.projected[1])
        return back.finish(a, a._replace(share=share, recurrent=recurrent, projected=projected))

    return leg


def _at(axis: int, place: int, mask: Any) -> Any:
    mask[(slice(None),) * axis + (place,)] = True
    return mask


class _Without(Loop):
    """A loop in which one gate is taken for a constant: its factor is zero."""

    def __init__(self, back: Back, block: int) -> None:
        super().__init__(back.upstream, back.running)
        self.block, self.size, self.first = block, back.options.hidden_size, True

    def masked(self, factors: Any) -> Any:
        factors, first = super().masked(factors), self.first
        self.first = False  # only the first factors are those of the gates
        keep = np.arange(factors.shape[-1]) // self.size != self.block
        return np.where(keep, factors, 0.0) if first else factors


def _constant(gate: str) -> Leg:
    """A gate through which no gradient flows."""

    def leg(back: Back) -> Any:
        if not back.options.reset_after:
            raise ValueError("the factors of this form have another order")
        block = KINDS[back.options.kind].gates.index(gate)
        return back.finish(back.adjoints(loop=_Without(back, block)))

    return leg


def _unreversed(back: Back) -> Any:
    """The weights of the reverse direction take the input in the order of time."""
    a = back.adjoints()
    return back.finish(a, x=back.x[::-1] if back.index % 2 else None)


def _without_input(back: Back, where: Callable[[int], bool]) -> Any:
    own, dx, state = back.finish(back.adjoints())
    return own, zero(dx) if where(back.index) else dx, state


def _without_half(parity: int, back: Back) -> Any:
    return _without_input(back, lambda index: index % 2 == parity)


def _directions(kind: str) -> Iterator[GradientFault]:
    yield by_leg(
        "weight_hh's gradient taken from h_t in place of h_(t−1)",
        _fed(lambda back, h: stack([new[0] for _, new in back.tape])),
    )
    yield by_leg(
        "weight_hh's gradient taken with zeros for h_0",
        _fed(lambda back, h: np.where(np.arange(len(back.tape))[:, None, None] > 0, h, 0.0)),
        lambda case: case.with_state,
    )
    yield by_leg(
        "the recurrent weights transposed in the backward pass", _other_weights(_transposed)
    )
    for title, axis, place in (
        ("last step", 0, -1),
        ("first step", 0, 0),
        ("last row", 1, -1),
        ("first row", 1, 0),
    ):
        yield by_leg(
            f"the gradients of the weights taken from the {title} alone, and not summed",
            _only(partial(_at, axis, place)),
            _several if axis == 0 else lambda case: case.batch is not None and case.batch > 1,
        )
    for gate in {"LSTM": "ifgo", "GRU": "rz"}.get(kind, ""):
        yield by_leg(f"no gradient through the {GATE_TITLES[gate]}", _constant(gate))


def _stacks() -> Iterator[GradientFault]:
    """Faults between layers and directions."""

    def two(case: Case) -> bool:
        return case.bidirectional

    for title, parity in (("reverse", 1), ("forward", 0)):
        yield by_leg(
            f"the {title} direction's gradient of its input dropped, and not summed",
            partial(_without_half, parity),
            two,
        )
    yield by_leg(
        "weight_ih's gradient in the reverse direction taken from the sequence read forwards",
        _unreversed,
        lambda case: case.bidirectional and case.lengths is None and case.time > 1,
    )


def _no_layer_below(given: Pass) -> dict[str, Ball]:
    if given.case.num_layers == 1:
        raise ValueError("there is one layer")
    above = given.case.options.directions

    def leg(back: Back) -> Any:
        return _without_input(back, lambda index: index >= above)

    return given.gradients(leg=lambda *arguments: leg(Back(*arguments)))


# ---------------------------------------------------------------- upstream gradients


def _overwritten(of: str, given: Pass) -> dict[str, Ball]:
    if given.before is None:
        raise ValueError("there is no pass before")
    summed, last = given.gradients(), replace(given, before=None).gradients()
    return {n: last[n] if re.match(of, n) else g for n, g in summed.items()}


def _output(change: Callable[[Array], Array], given: Pass, upstream: dict[str, Array]) -> Any:
    """`change` takes and gives the upstream gradient of the output with time as its first axis."""
    case = given.case
    if "output" not in upstream or case.time == 1 or case.lengths is not None:
        raise ValueError("there is no such output")
    axis = 1 if case.batch is not None and case.batch_first else 0
    moved = np.moveaxis(upstream["output"], axis, 0).copy()
    return {**upstream, "output": np.moveaxis(change(moved), 0, axis)}


def _exchanged(given: Pass, upstream: dict[str, Array]) -> dict[str, Array]:
    first, second = sorted(n for n in upstream if n[0] in "hc")
    if upstream[first].shape != upstream[second].shape:
        raise ValueError("h and c have different shapes")
    return {**upstream, first: upstream[second], second: upstream[first]}


def _upstreams(kind: str, cell: bool) -> Iterator[GradientFault]:
    states = KINDS[kind].final_names(cell)
    for name in KINDS[kind].result_names(cell):
        yield by_upstream(f"the gradient of {name} dropped", partial(times, name, 0.0))
    yield by_upstream(
        "every upstream gradient taken for ones",
        lambda given, upstream: {n: np.ones_like(u) for n, u in upstream.items()},
    )
    yield by_upstream(
        "every upstream gradient divided by its number of elements",
        lambda given, upstream: {
            n: exact(u, given.case.rounding) * (1.0 / max(u.size, 1)) for n, u in upstream.items()
        },
    )
    for title, of in (("all leaves", ""), ("the weights", "weight_|bias_")):
        name = f"a backward pass that overwrites the .grad of {title}, and does not add to it"
        yield GradientFault(name, partial(_overwritten, of))
    if len(states) == 2:
        yield by_upstream(f"the gradients of {states[0]} and {states[1]} swapped", _exchanged)
    if not cell:
        yield by_upstream(
            "the gradient of the output's last step dropped",
            partial(_output, lambda u: np.concatenate([u[:-1], 0 * u[-1:]])),
        )
        yield by_upstream(
            "the gradient of the output taken at its last step alone",
            partial(_output, lambda u: np.concatenate([0 * u[:-1], u[-1:]])),
        )
        yield by_upstream(
            "the gradient of the output read in reverse", partial(_output, lambda u: u[::-1])
        )


def gradient_faults(kind: str, cell: bool, several: bool) -> list[GradientFault]:
    """The named faults of a backward pass.

    Where no pass has `several` steps, what does not flow between them is not told apart.
    """
    if KINDS[kind].declared is not None:
        return [*_upstreams(kind, cell), *step_gradient_faults(kind)]
    flow = _flow(kind) if several else ()
    found = [*_upstreams(kind, cell), *flow, *_directions(kind)]
    if not cell:
        below = "no gradient from a layer to the one below"
        found += [*_stacks(), GradientFault(below, _no_layer_below)]
    return found
