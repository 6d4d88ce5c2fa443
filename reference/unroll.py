"""A layer: the step unrolled over time, layers and directions.

T is time, B batch, I the input size, L layers, D directions, R the width of the hidden state,
H the hidden size.  The functions accept arrays, complex arrays, Balls and Duals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import join, settled, stack
from .cells import Parts
from .kinds import KINDS
from .options import Options, suffixes
from .steps import parts

Lengths = npt.NDArray[np.int64]
State = tuple[Any, ...]
#: (suffix of the weights, x (T, B, I), state, reverse) → T hidden states, and the last state.
Leg = Callable[[str, Any, State, bool], tuple[list[Any], State]]


@dataclass(frozen=True)
class Unrolled:
    """Results of a layer: output (T, B, D·R), and the final states by their letters.

    Those of an LSTM are h (L·D, B, R) and c (L·D, B, H).
    """

    output: Any
    states: Mapping[str, Any]

    @property
    def h_n(self) -> Any:
        """The final hidden states."""
        return self.states["h"]

    @property
    def c_n(self) -> Any:
        """The final cell states; None for a kind that has none."""
        return self.states.get("c")

    def named(self) -> dict[str, Any]:
        """The results by torch.nn's names: output, h_n, c_n."""
        return {"output": self.output, **{f"{s}_n": value for s, value in self.states.items()}}


def reversal(time: int, lengths: Lengths) -> npt.NDArray[np.int64]:
    """Index (T, B) that reverses each sequence within its own length; padding keeps its place."""
    t = np.arange(time)[:, None]
    return np.where(t < lengths, lengths - 1 - t, t)


def reversed_in_time(x: Any, lengths: Lengths | None) -> Any:
    """Reverse x (T, B, ·) in time, each sequence within its own length.  Twice gives x again."""
    if lengths is None:
        return x[::-1]
    return x[reversal(x.shape[0], lengths), np.arange(x.shape[1])]


def direction(
    options: Options,
    w: Any,
    x: Any,
    state: tuple[Any, ...],
    lengths: Lengths | None = None,
    reverse: bool = False,
    tape: list[tuple[tuple[Any, ...], Parts]] | None = None,
) -> tuple[list[Any], tuple[Any, ...]]:
    """One layer in one direction: x (T, B, I), state of (B, ·) → T hidden states, last state.

    With `lengths` (B,) the state of a row stays the same after the end of its sequence, and the
    hidden states returned for later steps are zero, as `pad_packed_sequence` fills them.  Each
    step appends to `tape`, if given, the state before it and all values of the step.
    """
    time, kind = x.shape[0], KINDS[options.kind]
    if reverse:
        x = reversed_in_time(x, lengths)
    shares, w = kind.shares(w, x)
    outputs = []
    for t in range(time):
        through = parts(options, w, shares[t], state)
        if tape is not None:
            tape.append((state, through))
        new: tuple[Any, ...] = through[: len(state)]
        h = through[kind.output]
        if lengths is not None and not (t < lengths).all():
            running = (t < lengths)[:, None]
            h = np.where(running, h, 0.0)
            new = tuple(np.where(running, a, b) for a, b in zip(new, state, strict=True))
        state = new
        outputs.append(h)
    if reverse:
        if lengths is None:
            outputs.reverse()
        else:
            stacked = reversed_in_time(stack(outputs), lengths)
            outputs = [stacked[t] for t in range(time)]
    return outputs, state


def walk(
    options: Options,
    x: Any,
    state: Sequence[Any],
    leg: Leg,
    batch_first: bool = False,
    masks: Sequence[Any] = (),
    beside: Callable[[list[Any]], list[Any]] = list,
    order: Callable[[list[State]], list[State]] = list,
) -> Unrolled:
    """Unroll every layer and direction, each by `leg`; x and states as in `layer`.

    `beside` puts the outputs of the directions in the order of their concatenation.  `order` puts
    the final states of all layers and directions in the order of h_n.
    """
    unbatched = x.ndim == 2
    if unbatched:
        x = x[:, None, :]
        state = [s[:, None, :] for s in state]
    elif batch_first:
        x = np.swapaxes(x, 0, 1)
    finals: list[State] = []
    halves: list[Any] = []
    with np.errstate(all="ignore"):
        for index, suffix in enumerate(suffixes(options)):
            reverse = index % options.directions == 1
            outputs, final = leg(suffix, x, tuple(s[index] for s in state), reverse)
            finals.append(final)
            halves.append(outputs)
            if len(halves) < options.directions:
                continue
            pairs = zip(*beside(halves), strict=True)
            outputs = outputs if len(halves) == 1 else [join(pair) for pair in pairs]
            below, halves = index // options.directions, []
            x = stack(outputs)
            if masks and below < options.num_layers - 1:
                x = x * masks[below]
        x = settled(x)
        states = [stack(part) for part in zip(*order(finals), strict=True)]
    if unbatched:
        x, states = x[:, 0], [s[:, 0] for s in states]
    elif batch_first:
        x = np.swapaxes(x, 0, 1)
    return Unrolled(x, dict(zip(KINDS[options.kind].states, states, strict=True)))


def layer(
    options: Options,
    weights: Mapping[str, Any],
    x: Any,
    state: Sequence[Any],
    lengths: Sequence[int] | None = None,
    batch_first: bool = False,
    masks: Sequence[Any] = (),
) -> Unrolled:
    """A torch.nn layer: x (T, B, I), (B, T, I) with `batch_first`, or (T, I) unbatched.

    `state` is (h_0,) or (h_0, c_0) of shapes (L·D, B, R) and (L·D, B, H) (no B when unbatched),
    which `batch_first` does not transpose.  `lengths` (B,) are true lengths, at least 1.
    `masks` are the dropout masks between layers, already scaled by 1/(1−p): L−1 of them, each
    (T, B, D·R).  Raises `ValueError` when time is 0, as torch does.
    """
    if x.shape[1 if batch_first and x.ndim == 3 else 0] == 0:
        raise ValueError("the input has time 0; expected at least one step")
    ends = None if lengths is None else np.asarray(lengths, dtype=np.int64)

    def leg(suffix: str, x: Any, start: State, reverse: bool) -> tuple[list[Any], State]:
        w = KINDS[options.kind].weights(weights, suffix, x)
        return direction(options, w, x, start, ends, reverse)

    return walk(options, x, state, leg, batch_first, masks)
