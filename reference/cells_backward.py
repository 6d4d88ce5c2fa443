"""One direction of one layer backward in time, for every cell, written once as the cells are.

Backpropagation through time (Werbos 1990) with the adjoints of Hochreiter & Schmidhuber's,
Cho et al.'s and Elman's equations worked out by hand.  A bar over a letter, here a `d` before it,
is the derivative of the loss by it.  The loss reaches every pre-activation of a step through one
adjoint alone, dh (and dc of an LSTM), times a factor that does not depend on it: da = dh∘K.  So
the factors of all steps are formed at once, from the tape of the forward pass, and only the
recurrence dh_{t−1} = da W_hh + … is a loop.

T is time, B the batch, I the width of the input, R that of the hidden state, H the hidden size,
G the number of gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .activations import also_rounded
from .parameters import GATES, Options
from .slopes import also_summed, product, relu_slope, settled, sigmoid_slope, tanh_slope

Tape = Sequence[tuple[tuple[Any, ...], Any]]
Running = npt.NDArray[np.bool_]


class Adjoints(NamedTuple):
    """What the loop leaves: adjoints by the pre-activations of all steps and by the first state.

    `share` (T, B, G·H) is that of the input's share, `recurrent` that of W_hh h + b_hh, of the
    same shape; they differ in a GRU alone.  `fed` (T, B, ·) is what W_hh was multiplied by, one
    for each block of rows given in `blocks`.  `projected` is (dh, m) of a projection, else None.
    """

    share: Any
    recurrent: Any
    fed: tuple[Any, ...]
    state: tuple[Any, ...]
    projected: tuple[Any, Any] | None = None


def stack(parts: Sequence[Any]) -> Any:
    """T parts (B, ·) as one (T, B, ·), each rounded and stored as the forward pass left it."""
    return np.stack([settled(part) for part in parts])


def plus(a: Any, b: Any) -> Any:
    """a + b, where None is a zero that is never added."""
    return b if a is None else a if b is None else a + b


def weight_gradient(adjoint: Any, fed: Any) -> Any:
    """Σ_t Σ_b adjoint ⊗ fed: (T, B, m), (T, B, n) → (m, n), for every order of summation."""
    d, v = (np.reshape(a, (-1, a.shape[-1])) for a in (adjoint, fed))
    return also_summed(d.T @ v, adjoint.shape[0] - 1)


def bias_gradient(adjoint: Any) -> Any:
    """Σ_t Σ_b adjoint: (T, B, m) → (m,), for every order of summation."""
    total = np.sum(np.reshape(adjoint, (-1, adjoint.shape[-1])), axis=0)
    return also_summed(total, adjoint.shape[0] - 1)


def through(adjoint: Any, w: Any, gates: int) -> Any:
    """adjoint W: back through y = W x, as one product or as one for each gate."""
    return also_summed(adjoint @ w, gates - 1)


class Loop:
    """The steps from last to first: which rows run, and the loss's own adjoints of the outputs."""

    def __init__(self, upstream: Any, running: Running | None) -> None:
        self.upstream = upstream
        self.running = running

    def arriving(self, t: int, dh: Any) -> Any:
        """The adjoint by h_t: what came back from step t+1 and what the loss adds at t."""
        return dh if self.upstream is None else plus(dh, self.upstream[t])

    def held(self, t: int, before: Any, after: Any) -> Any:
        """`before`, but `after` in rows whose sequence has ended, where the state is passed on."""
        if self.running is None or self.running[t].all():
            return before
        return np.where(self.running[t], before, after)

    def masked(self, factors: Any) -> Any:
        """The factors, zero where a row does not run: nothing flows into padding."""
        return factors if self.running is None else np.where(self.running, factors, 0.0)


def rnn_backward(o: Options, w: Any, tape: Tape, loop: Loop, last: tuple[Any, ...]) -> Adjoints:
    """h' = f(a), a = x_share + W_hh h: da = dh'∘f′(a), dh = da W_hh."""
    if o.nonlinearity == "tanh":
        factors = tanh_slope(stack([new.h for _, new in tape]))
    else:
        factors = relu_slope(stack([new[1] for _, new in tape]))
    factors = loop.masked(factors)
    (dh,), das = last, []
    for t in range(len(tape) - 1, -1, -1):
        d = loop.arriving(t, dh)
        da = product(factors[t], d)
        das.append(da)
        dh = loop.held(t, through(da, w["hh"], 1), d)
    da = stack(das[::-1])
    return Adjoints(da, da, (stack([s[0] for s, _ in tape]),), (dh,))


def lstm_backward(o: Options, w: Any, tape: Tape, loop: Loop, last: tuple[Any, ...]) -> Adjoints:
    """c' = f∘c + i∘g, m = o∘tanh(c'), h' = m or W_hr m.

    dm = dh' or dh' W_hr; dc' gains dm∘o∘tanh′(c'); then da_i = dc'∘g∘σ′(i), da_f = dc'∘c∘σ′(f),
    da_g = dc'∘i∘tanh′(g), da_o = dm∘tanh(c')∘σ′(o), dc = dc'∘f and dh = da W_hh.
    """
    i, f, g, out = (stack([new.gates[k] for _, new in tape]) for k in range(4))
    tanh_c = stack([new.tanh_c for _, new in tape])
    c = stack([s[1] for s, _ in tape])
    through_c = loop.masked(product(out, tanh_slope(tanh_c)))
    factors = loop.masked(
        np.concatenate(
            [
                product(g, sigmoid_slope(i)),
                product(c, sigmoid_slope(f)),
                product(i, tanh_slope(g)),
                product(tanh_c, sigmoid_slope(out)),
                f,
            ],
            axis=-1,
        )
    )
    w_hr, size = w.get("hr"), o.hidden_size
    (dh, dc), das, dhs = last, [], []
    for t in range(len(tape) - 1, -1, -1):
        d = loop.arriving(t, dh)
        dm = d if w_hr is None else through(d, w_hr, 1)
        held = dc
        dc = plus(dc, product(through_c[t], dm))
        all_ = product(factors[t], np.concatenate([dc, dc, dc, dm, dc], axis=-1))
        da = all_[..., : 4 * size]
        das.append(da)
        dhs.append(d)
        dh = loop.held(t, through(da, w["hh"], 4), d)
        dc = all_[..., 4 * size :]
        if held is not None:
            dc = loop.held(t, dc, held)
    da = stack(das[::-1])
    projected = None
    if w_hr is not None:
        projected = (loop.masked(stack(dhs[::-1])), stack([new.m for _, new in tape]))
    return Adjoints(da, da, (stack([s[0] for s, _ in tape]),), (dh, dc), projected)


def gru_backward(o: Options, w: Any, tape: Tape, loop: Loop, last: tuple[Any, ...]) -> Adjoints:
    """h' = (1−z)∘n + z∘h, n = tanh(x_n + r∘q) with q = W_hn h + b_hn, or W_hn (r∘h) in its place.

    da_z = dh'∘(h−n)∘σ′(z), da_n = dh'∘(1−z)∘tanh′(n), and dh gains dh'∘z; n and h change places
    where `update_keeps` is false.  With the reset after the product, da_r = da_n∘q∘σ′(r) and
    dq = da_n∘r; before it, with p = da_n W_hn, da_r = p∘h∘σ′(r), and dh gains p∘r.

    h−n is charged for dh'∘h and −dh'∘n rounded apart, as the form (1−z)∘n + z∘h has it; 1−z and z
    for dh' − dh'∘z, as the form n + z∘(h−n) has it.
    """
    r, z, n, inner = (stack([new[k] for _, new in tape]) for k in range(1, 5))
    h = stack([s[0] for s, _ in tape])
    rest = also_rounded(1.0 - z, z, 1.0)
    if o.update_keeps:
        apart, to_n, to_h = also_rounded(h - n, h, n), rest, z
    else:
        apart, to_n, to_h = also_rounded(n - h, h, n), z, rest
    by_z = product(apart, sigmoid_slope(z))
    by_n = product(to_n, tanh_slope(n))
    by_r = product(inner, sigmoid_slope(r))
    size, (dh,), ds = o.hidden_size, last, []
    if o.reset_after:
        factors = [product(by_n, by_r), by_z, product(by_n, r), to_h]
    else:
        factors = [by_z, by_n, to_h]
        by_p = loop.masked(np.concatenate([by_r, r], axis=-1))
        w_rz, w_n = w["hh"][: 2 * size], w["hh"][2 * size :]
    whole = loop.masked(np.concatenate(factors, axis=-1))
    recurrents, shares = [], []
    for t in range(len(tape) - 1, -1, -1):
        d = loop.arriving(t, dh)
        ds.append(d)
        all_ = product(whole[t], np.concatenate([d] * len(factors), axis=-1))
        if o.reset_after:
            a_h, kept = all_[..., : 3 * size], all_[..., 3 * size :]
            recurrents.append(a_h)
            before = kept + through(a_h, w["hh"], 3)
        else:
            a_z, a_n, kept = (all_[..., k * size : (k + 1) * size] for k in range(3))
            p = through(a_n, w_n, 1)
            both = product(by_p[t], np.concatenate([p, p], axis=-1))
            a_rz = np.concatenate([both[..., :size], a_z], axis=-1)
            before = kept + both[..., size:] + through(a_rz, w_rz, 2)
            shares.append(np.concatenate([a_rz, a_n], axis=-1))
        dh = loop.held(t, before, d)
    if not o.reset_after:
        share = stack(shares[::-1])
        return Adjoints(share, share, (h, r * h), (dh,))
    recurrent = stack(recurrents[::-1])
    a_n = product(loop.masked(by_n), stack(ds[::-1]))
    share = np.concatenate([recurrent[..., : 2 * size], a_n], axis=-1)
    return Adjoints(share, recurrent, (h,), (dh,))


_BACKWARD = {"RNN": rnn_backward, "LSTM": lstm_backward, "GRU": gru_backward}


def direction_backward(
    options: Options,
    weights: Mapping[str, Any],
    suffix: str,
    x: Any,
    tape: Tape,
    upstream: Any,
    last: tuple[Any, ...],
    running: Running | None = None,
) -> tuple[dict[str, Any], Any, tuple[Any, ...]]:
    """Gradients of one direction: those of its weights by name, of x (T, B, I), of the state.

    `upstream` (T, B, R) or None is the loss's own adjoint of the hidden states, `last` that of
    the final state, parts of which may be None for zero, though not all with no upstream.
    `running` (T, B, 1) says which rows run.
    """
    own = {name: weights.get(f"weight_{name}{suffix}") for name in ("ih", "hh", "hr")}
    a = _BACKWARD[options.kind](options, own, tape, Loop(upstream, running), last)
    size, gates = options.hidden_size, GATES[options.kind]
    gradients = {f"weight_ih{suffix}": weight_gradient(a.share, x)}
    ends = (0, 2 * size, 3 * size) if len(a.fed) == 2 else (0, gates * size)
    blocks = [
        weight_gradient(a.recurrent[..., low:high], fed)
        for low, high, fed in zip(ends, ends[1:], a.fed, strict=False)
    ]
    gradients[f"weight_hh{suffix}"] = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if options.bias:
        gradients[f"bias_ih{suffix}"] = bias_gradient(a.share)
        gradients[f"bias_hh{suffix}"] = bias_gradient(a.recurrent)
    if a.projected is not None:
        gradients[f"weight_hr{suffix}"] = weight_gradient(*a.projected)
    return gradients, through(a.share, own["ih"], gates), a.state
