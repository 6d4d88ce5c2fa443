"""The two recurrences of BPTT.  Both go from the last step to the first and are linear in dh.

`linear` is the recurrence of an RNN and of a GRU.  `lstm` is that of an LSTM, which carries dc as
well.  The factors are computed before the loop, for all steps at once.

T is time, B the batch, H the hidden size, R the width of the hidden state.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import join, stack
from .slopes import also_summed, product

Running = npt.NDArray[np.bool_]


def plus(a: Any, b: Any) -> Any:
    """a + b, where None is a zero that is never added."""
    return b if a is None else a if b is None else a + b


def through(adjoint: Any, w: Any, gates: int) -> Any:
    """adjoint W: backward through y = W x, by one product or by one product for each gate."""
    return also_summed(adjoint @ w, gates - 1)


class Loop:
    """What the loop over the steps needs: which rows run, and the upstream gradients.

    `upstream` (T, B, R) is the derivative of the loss by the hidden states, or None for zero.
    `running` (T, B, 1) is true where a row runs, or None if all rows always run.
    """

    def __init__(self, upstream: Any, running: Running | None) -> None:
        self.upstream = upstream
        self.running = running

    def arriving(self, t: int, dh: Any) -> Any:
        """The adjoint of h_t: the dh that step t+1 gave, plus the upstream gradient at t."""
        return dh if self.upstream is None else plus(dh, self.upstream[t])

    def rows(self, t: int) -> Running | None:
        """Which rows run at t, or None where all do."""
        return None if self.running is None or self.running[t].all() else self.running[t]

    def held(self, t: int, before: Any, after: Any) -> Any:
        """`before`; in rows whose sequence has ended, `after`, since they keep their state."""
        rows = self.rows(t)
        return before if rows is None else np.where(rows, before, after)

    def masked(self, factors: Any) -> Any:
        """The factors, set to zero where a row does not run: nothing flows into padding."""
        return factors if self.running is None else np.where(self.running, factors, 0.0)


def backward_stack(parts: list[Any]) -> Any:
    """Stack parts, collected from the last step to the first, into (T, B, ·) in order of time."""
    parts.reverse()
    return stack(parts)


@singledispatch
def linear(factors: Any, w: Any, gates: int, loop: Loop, dh: Any) -> tuple[Any, Any, Any]:
    """da_t = factors_t ∘ [dh_t, …], dh_{t−1} = da_t W.

    factors (T, B, k·H), w (m·H, H) with m = k or m = k−1.  If m = k−1, the last block of the
    product is not the adjoint of a pre-activation: it is added to dh_{t−1}.  Returns all dh_t, all
    da_t, and the dh of the initial state.
    """
    time, _, width = factors.shape
    rows, size = w.shape
    ds, das = [], []
    for t in range(time - 1, -1, -1):
        d = loop.arriving(t, dh)
        back = product(factors[t], d if width == size else join([d] * (width // size)))
        da = back if width == rows else back[..., :rows]
        ds.append(d)
        das.append(da)
        before = through(da, w, gates)
        dh = loop.held(t, before if width == rows else back[..., rows:] + before, d)
    return backward_stack(ds), backward_stack(das), dh


@singledispatch
def lstm(
    factors: Any, through_c: Any, w_hh: Any, w_hr: Any, loop: Loop, last: tuple[Any, Any]
) -> tuple[Any, Any, tuple[Any, Any]]:
    """dm = dh or dh W_hr, dc' = dc + dm∘through_c, [da, dc] = factors ∘ [dc', dc', dc', dm, dc'].

    factors (T, B, 5H), through_c (T, B, H), w_hh (4H, R), w_hr (R, H) or None; `last` is (dh, dc)
    of the final state, dc None for zero.  Returns all dh_t, all da_t, and (dh, dc) of the initial
    state.
    """
    (dh, dc), das, ds = last, [], []
    rows = w_hh.shape[0]
    for t in range(factors.shape[0] - 1, -1, -1):
        d = loop.arriving(t, dh)
        dm = d if w_hr is None else through(d, w_hr, 1)
        held, dc = dc, plus(dc, product(through_c[t], dm))
        back = product(factors[t], join([dc, dc, dc, dm, dc]))
        da = back[..., :rows]
        das.append(da)
        ds.append(d)
        dh = loop.held(t, through(da, w_hh, 4), d)
        dc = back[..., rows:]
        if held is not None:
            dc = loop.held(t, dc, held)
    return backward_stack(ds), backward_stack(das), (dh, dc)
