"""Dropout masks recovered from a layer's results.

The network that shows its masks works on each unit alone: every recurrent weight is 0, every
gate is held open or shut by a bias of ±1024 (i = o = 1, f = 0; r = 1, and z where it takes the
candidate), and unit j of direction d of a layer reads, with weight 1, one unit of what lies below.
Its map is then φ(a) = relu(a) or tanh(a) for an RNN, tanh(tanh(a)) for an LSTM, tanh(a) for a GRU:
increasing, with φ(0) = 0.  So an output tells what was done to the one unit of the layer below
that it reads: φ(0) = 0 where that was dropped, φ(y/(1−p)) where it was kept.  Both values are known
with their bounds, and with inputs in [1/4, 1] they are far apart: y ≥ tanh(tanh(1/4)) > 0.23.

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
from ...cases.values import seeded
from ...checking.comparison import Check, Expected
from ...checking.oracle import expected
from ...devices import kept_generators
from ...subjects.protocol import Results, Subject

Mask = npt.NDArray[np.bool_]

#: e⁻¹⁰²⁴ is below half of the smallest subnormal in every format: 1 − σ(1024) rounds to 0.
_OPEN = 1024.0
_GATES = {
    "RNN": {},
    "LSTM": {"i": _OPEN, "f": -_OPEN, "o": _OPEN},
    "GRU": {"z": -_OPEN, "r": _OPEN},
}
_CANDIDATE = {"RNN": "h", "LSTM": "g", "GRU": "n"}


@contextmanager
def seeded_generators(subject: Subject, seed: int) -> Iterator[None]:
    """torch's generators on the CPU and on the subject's device seeded, and restored at the end."""
    with kept_generators(subject.device):
        torch.manual_seed(seed)
        yield


def scale(case: Case, shape: tuple[int, ...], kept: Any = True) -> Ball:
    """A mask of `shape`: 1/(1−p), rounded once, where `kept`, else 0."""
    value = np.where(kept, 1.0 / (1.0 - case.dropout), 0.0) * np.ones(shape)
    return Ball(value, case.rounding, case.rounding.u * value)


def time_major(case: Case, x: Any) -> Any:
    """An input or output of the case as (T, B, ·)."""
    if case.batch is None:
        return np.expand_dims(x, 1)
    return np.swapaxes(x, 0, 1) if case.batch_first else x


def showing_weights(case: Case, lifted: bool = False) -> dict[str, Array]:
    """Weights of the network that shows its masks, for a case with biases.

    `lifted` adds 1 to what the second layer's units read, so that they are never 0.
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
    """Initial states of ones, or zeros where the case passes none: the network reads neither."""
    return [np.full(shape, float(case.with_state)) for shape in case.state_shapes]


def outputs_with(
    case: Case, weights: dict[str, Array], masks: Sequence[Ball | Array | bool]
) -> Any:
    """The showing network's output (T, B, D·R) when each mask is as given, or all kept or dropped.

    No step reads another, so that all are one batch of the reference; its state of ones charges
    for the f·c and z·h of every step, since |c| and |h| are at most 1 where f and z do not vanish.
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
    """Which of the hypotheses each element of an output fits; padding counts as the last.

    Raises `Mismatch` where an element is in the ball of none.
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
    """One call of a two-layer showing network: its mask (T, B, D·R), True where kept; results."""
    x, states = showing_input(case), showing_states(case)
    results = subject.run(case, module, x=x, state=states)
    return read(check, case, results["output"], weights), results


def read(check: Check, case: Case, output: Any, weights: dict[str, Array]) -> Mask:
    """The mask (T, B, D·R), True where kept, of a two-layer showing network's output.

    Raises `Mismatch` where an output is neither that of a unit dropped nor that of one kept and
    scaled by 1/(1−p).
    """
    times = f"kept and scaled by {1.0 / (1.0 - case.dropout):.4g}"
    hypotheses = {
        times: outputs_with(case, weights, [True]),
        "dropped": outputs_with(case, weights, [False]),
    }
    return nearest(check, case, "output", output, hypotheses) == 0
