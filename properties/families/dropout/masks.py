"""Dropout masks, read from a layer's results.

A network with special weights shows its masks: in it, each unit works alone.  Every recurrent
weight is 0.  A bias of ±SATURATED holds every gate open or shut: i = o = 1 and f = 0 in an LSTM;
r = 1 in a GRU, with z at the value that takes the candidate.  Unit j of direction d of a layer
reads one unit of the layer below, with weight 1.  A unit then maps what it reads by φ(a) = relu(a)
or tanh(a) in an RNN, tanh(tanh(a)) in an LSTM, tanh(a) in a GRU.  Each φ is increasing, with
φ(0) = 0.

So an output tells what dropout did to the unit below, which had the value y: the output is
φ(0) = 0 where dropout dropped it, and φ(y/(1−p)) where dropout kept it.  Both values are known with
their bounds.  With inputs in [1/4, 1] they are far apart: y ≥ tanh(tanh(1/4)) > 0.23.

p is a multiple of 1/8, so 1−p is exact in every format and 1/(1−p) is one rounding away.
T is time, B batch, D the directions, R the width of the hidden state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gatewise.reference.ball import Ball
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import suffixes

from ...cases.arrays import as_array
from ...cases.case import Case
from ...cases.values import SATURATED, seeded
from ...checking.comparison import Check, Expected
from ...checking.oracle import expected
from ...devices import kept_generators
from ...subjects.protocol import Results, Subject

Mask = npt.NDArray[np.bool_]

#: Kind → the pre-activations of its gates in the network that shows its masks.
_GATES = {
    "RNN": {},
    "LSTM": {"i": SATURATED, "f": -SATURATED, "o": SATURATED},
    "GRU": {"z": -SATURATED, "r": SATURATED},
}
#: Kind → its candidate, among the names of its gates.
_CANDIDATE = {"RNN": "h", "LSTM": "g", "GRU": "n"}


@contextmanager
def seeded_generators(subject: Subject, seed: int) -> Iterator[None]:
    """Seed torch's generators of the CPU and of the subject's device; restore them at the end."""
    with kept_generators(subject.device):
        torch.manual_seed(seed)
        yield


def seeded_run(subject: Subject, case: Case, module: Any, seed: int) -> Results:
    """The results of a call of a module, from the state of the generators that a seed gives."""
    with seeded_generators(subject, seed):
        return subject.run(case, module)


def scale(
    case: Case, shape: tuple[int, ...], kept: Any = True, factor: float | None = None
) -> Ball:
    """A mask of `shape`: 1/(1−p), or another factor, rounded once, where `kept`, else 0."""
    factor = 1.0 / (1.0 - case.dropout) if factor is None else factor
    value = np.where(kept, factor, 0.0) * np.ones(shape)
    return Ball(value, case.rounding, case.rounding.u * value)


def time_major(case: Case, x: Any) -> Any:
    """An input or output of the case as (T, B, ·)."""
    if case.batch is None:
        return np.expand_dims(x, 1)
    return np.swapaxes(x, 0, 1) if case.batch_first else x


def showing_weights(case: Case, lifted: bool = False) -> dict[str, Array]:
    """Weights of the network that shows its masks, for a case with biases.

    `lifted` adds 1 to what the second layer's units read, so that their outputs are never 0.
    """
    weights = {name: np.zeros(shape) for name, shape in case.weight_shapes.items()}
    names, size, width = KINDS[case.kind].gates, case.hidden_size, case.options.state_size
    candidate = names.index(_CANDIDATE[case.kind]) * size
    for index, suffix in enumerate(suffixes(case.options)):
        w_ih, bias = weights[f"weight_ih{suffix}"], weights[f"bias_{case.biases[0]}{suffix}"]
        j, direction = np.arange(width), index % case.options.directions
        w_ih[candidate + j, (direction * width + j) % w_ih.shape[1]] = 1.0
        for gate, value in _GATES[case.kind].items():
            k = names.index(gate) * size
            bias[k : k + size] = value if gate != "z" or case.update_keeps else -value
        if lifted and index // case.options.directions == 1:
            bias[candidate : candidate + size] = 1.0
        if case.proj_size:
            weights[f"weight_hr{suffix}"][j, j] = 1.0
    return weights


def showing_input(case: Case) -> Array:
    """An input in [1/4, 1], exact in every format."""
    return seeded(case.seed, 5).randint(16, 65, size=case.input_shape) / 64.0


def showing_states(case: Case) -> list[Array]:
    """Initial states of ones, or zeros where the case passes none.  The network reads neither."""
    return [np.full(shape, float(case.with_state)) for shape in case.state_shapes]


def outputs_with(
    case: Case, weights: dict[str, Array], masks: Sequence[Ball | Array | bool]
) -> Any:
    """The output (T, B, D·R) of the network that shows its masks, under given masks.

    A mask of True keeps every unit, and one of False drops every unit.

    No step reads another, so the reference runs all steps as one batch.  The batch starts at states
    of ones, and so its bound covers the terms f·c and z·h of every step: |c| and |h| are at most 1
    where f and z do not vanish.
    """
    x = time_major(case, showing_input(case))
    time, batch, width = x.shape
    fold = case.but(time=1, batch=time * batch, batch_first=False, lengths=None, with_state=True)
    shape = (1, time * batch, case.options.output_size)
    given = [scale(case, shape, m) if isinstance(m, bool) else m for m in masks]
    states = showing_states(fold)
    x = x.reshape(1, time * batch, width)
    output: Any = expected(fold, x=x, state=states, weights=weights, masks=given)["output"]
    return np.reshape(output, (time, batch, -1))


def nearest(
    check: Check, case: Case, name: str, output: Any, hypotheses: dict[str, Ball]
) -> npt.NDArray[np.int64]:
    """The index of the hypothesis that is nearest to each element of an output.

    In padding it is the last index.  Raises `Mismatch` where an element is outside of the ball of
    its nearest hypothesis.
    """
    got = time_major(case, as_array(output))
    balls = list(hypotheses.values())
    real = np.ones(got.shape, dtype=bool)
    if case.lengths is not None:
        real &= (np.arange(len(got))[:, None] < np.asarray(case.lengths))[..., None]
    distance = np.stack([np.abs(got - ball.v) for ball in balls])
    index = np.where(real, np.argmin(np.where(np.isnan(distance), np.inf, distance), 0), -1)
    index[~real] = len(balls) - 1
    pick = [index == k for k in range(len(balls))]
    value = np.select([~real, *pick], [0.0, *(ball.v for ball in balls)])
    bound = np.select([~real, *pick], [0.0, *(ball.radius for ball in balls)])
    check.close(
        name, got, Expected(value, bound, f"ball of the nearest of {', '.join(hypotheses)}")
    )
    return index


def run_showing(
    subject: Subject, case: Case, module: Any, check: Check, weights: dict[str, Array]
) -> tuple[Mask, Results]:
    """Call a two-layer network that shows its mask.

    Returns the mask (T, B, D·R), True where kept, and the results.
    """
    x, states = showing_input(case), showing_states(case)
    results = subject.run(case, module, x=x, state=states)
    return read(check, case, results["output"], weights), results


def read(check: Check, case: Case, output: Any, weights: dict[str, Array]) -> Mask:
    """The mask (T, B, D·R), True where kept, from the output of a two-layer network that shows it.

    Raises `Mismatch` where an output fits neither a dropped unit nor a kept unit that is scaled by
    1/(1−p).
    """
    times = f"kept and scaled by {1.0 / (1.0 - case.dropout):.4g}"
    hypotheses = {
        times: outputs_with(case, weights, [True]),
        "dropped": outputs_with(case, weights, [False]),
    }
    return nearest(check, case, "output", output, hypotheses) == 0
