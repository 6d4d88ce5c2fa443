"""BPTT of one direction of one layer, for every cell, written once for all arithmetics.

Backpropagation through time (Werbos 1990).  The adjoints of the equations of Hochreiter &
Schmidhuber, Cho et al. and Elman are derived by hand.  dy is the adjoint of a value y: the
derivative of the loss by y.  The adjoint of every pre-activation of a step is dh (in an LSTM, dh
or dc) times a factor K that depends on neither: da = dh∘K.  So the factors of all steps are
computed at once, from the tape: the values that the forward pass kept.  Only the recurrence
dh_{t−1} = da W_hh + … is a loop.

T is time, B the batch, I the width of the input, R that of the hidden state, H the hidden size,
G the number of gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from .activations import blend_slopes, join, rounded_apart, settled, stack
from .cells import Weights
from .options import Options
from .recurrence import Loop, backward_stack, linear, lstm, through
from .slopes import also_summed, large, lstm_slopes, product, relu_slope, sigmoid_slope, tanh_slope

Tape = Sequence[tuple[tuple[Any, ...], Any]]
Last = tuple[Any, ...]


class Adjoints(NamedTuple):
    """Results of the loop: adjoints of the pre-activations of all steps and of the initial state.

    `share` (T, B, G·H) is the adjoint of x W_ihᵀ + b_ih, `recurrent` that of W_hh h + b_hh, of the
    same shape; only in a GRU do they differ.  `fed` holds the arrays (T, B, ·) that W_hh
    multiplied: one for all its rows, or two if the rows of n multiplied another one (a GRU with
    the reset gate before the product).  `projected` is (dh, m) of a projection, else None.
    """

    share: Any
    recurrent: Any
    fed: tuple[Any, ...]
    state: tuple[Any, ...]
    projected: tuple[Any, Any] | None = None


def weight_gradients(adjoint: Any, *fed: Any) -> list[Any]:
    """Σ_t Σ_b adjoint ⊗ v for each v of `fed`, then Σ_t Σ_b adjoint, the gradient of the bias.

    Shapes: adjoint (T, B, m), v (T, B, n) → (m, n), and (m,) for the bias.  One matrix product
    gives all of them, and its bound holds for every order of summation.
    """
    ones = np.ones((*adjoint.shape[:-1], 1))
    columns = join([*fed, ones])
    d = adjoint.reshape(-1, adjoint.shape[-1])
    whole = d.T @ columns.reshape(-1, columns.shape[-1])
    whole = settled(also_summed(whole, adjoint.shape[0] - 1))
    gradients, start = [], 0
    for v in fed:
        gradients.append(whole[:, start : start + v.shape[-1]])
        start += v.shape[-1]
    return [*gradients, whole[:, start]]


@singledispatch
def lstm_factors(gates: Any, tanh_c: Any, c: Any) -> tuple[Any, Any]:
    """The arguments `factors` (..., 5H) and `through_c` (..., H) of `recurrence.lstm`."""
    size = tanh_c.shape[-1]
    i, f, g, out = (gates[..., k * size : (k + 1) * size] for k in range(4))
    by_gate = product(join([g, large(c), i, tanh_c]), lstm_slopes(gates))
    return join([by_gate, f]), product(out, tanh_slope(tanh_c))


@singledispatch
def gru_local(rz: Any, n: Any, inner: Any, h: Any, update_keeps: bool) -> tuple[Any, Any, Any]:
    """Local factors of a GRU step: [q∘σ′(r), (h−n)∘σ′(z)] (..., 2H), (1−z)∘tanh′(n), and z.

    q is `inner`.  q∘σ′(r) multiplies the adjoint of r∘q, the other factors multiply dh'.  The form
    (1−z)∘n + z∘h rounds dh'∘h and −dh'∘n separately, and h−n is charged for that.  1−z and z are
    charged as in `blend_slopes`.
    """
    z = rz[..., n.shape[-1] :]
    apart = rounded_apart(h - n if update_keeps else n - h)
    to_h, to_n = blend_slopes(z) if update_keeps else blend_slopes(z)[::-1]
    by_rz = settled(product(large(join([inner, apart])), sigmoid_slope(rz)))
    return by_rz, product(to_n, tanh_slope(n)), to_h


@singledispatch
def gru_factors(rz: Any, n: Any, inner: Any, h: Any, update_keeps: bool) -> tuple[Any, Any]:
    """Factors of dh' that give da_r, da_z, dq, z∘dh' (..., 4H), and the factor that gives da_n."""
    size = n.shape[-1]
    by_rz, by_n, to_h = gru_local(rz, n, inner, h, update_keeps)
    twice = product(join([by_rz[..., :size], rz[..., :size]]), join([by_n, by_n]))
    return join([twice[..., :size], by_rz[..., size:], twice[..., size:], to_h]), by_n


def rnn_backward(o: Options, w: Weights, tape: Tape, loop: Loop, last: Last) -> Adjoints:
    """h' = f(a), a = x_share + W_hh h: da = dh'∘f′(a), dh = da W_hh."""
    if o.nonlinearity == "tanh":
        slopes = tanh_slope(stack([new.h for _, new in tape]))
    else:
        slopes = relu_slope(stack([new.a for _, new in tape]))
    _, da, dh = linear(loop.masked(slopes), w.hh, 1, loop, last[0])
    return Adjoints(da, da, (stack([s[0] for s, _ in tape]),), (dh,))


def lstm_backward(o: Options, w: Weights, tape: Tape, loop: Loop, last: Last) -> Adjoints:
    """c' = f∘c + i∘g, m = o∘tanh(c'), h' = m or W_hr m.

    dm = dh' or dh' W_hr; dc' gains dm∘o∘tanh′(c'); then da_i = dc'∘g∘σ′(i), da_f = dc'∘c∘σ′(f),
    da_g = dc'∘i∘tanh′(g), da_o = dm∘tanh(c')∘σ′(o), dc = dc'∘f and dh = da W_hh.
    """
    gates = stack([new.gates for _, new in tape])
    tanh_c = stack([new.tanh_c for _, new in tape])
    c = stack([s[1] for s, _ in tape])
    factors, through_c = lstm_factors(gates, tanh_c, c)
    factors, through_c = loop.masked(factors), loop.masked(through_c)
    ds, da, state = lstm(factors, through_c, w.hh, w.hr, loop, (last[0], last[1]))
    fed = (stack([s[0] for s, _ in tape]),)
    if w.hr is None:
        return Adjoints(da, da, fed, state)
    return Adjoints(da, da, fed, state, (loop.masked(ds), stack([new.m for _, new in tape])))


def gru_backward(o: Options, w: Weights, tape: Tape, loop: Loop, last: Last) -> Adjoints:
    """h' = (1−z)∘n + z∘h, n = tanh(x_n + r∘q), q = W_hn h + b_hn; or W_hn (r∘h) + b_hn for r∘q.

    da_z = dh'∘(h−n)∘σ′(z), da_n = dh'∘(1−z)∘tanh′(n), and dh gains dh'∘z; n and h swap places
    where `update_keeps` is false.  With the reset after the product, da_r = da_n∘q∘σ′(r) and
    dq = da_n∘r; before it, with p = da_n W_hn, da_r = p∘h∘σ′(r), and dh gains p∘r.
    """
    size = o.hidden_size
    rz, inner, n = (stack([new[k] for _, new in tape]) for k in (1, 2, 3))
    h = stack([s[0] for s, _ in tape])
    if o.reset_after:
        factors, by_n = gru_factors(rz, n, inner, h, o.update_keeps)
        ds, recurrent, dh = linear(loop.masked(factors), w.hh, 3, loop, last[0])
        a_n = product(loop.masked(by_n), ds)
        share = join([recurrent[..., : 2 * size], a_n])
        return Adjoints(share, recurrent, (h,), (dh,))
    by_rz, by_n, to_h = gru_local(rz, n, inner, h, o.update_keeps)
    r = rz[..., :size]
    factors = loop.masked(join([by_rz[..., size:], by_n, to_h]))
    inner_factors = loop.masked(join([by_rz[..., :size], r]))
    share, dh = _reset_before(size, w, factors, inner_factors, loop, last[0])
    return Adjoints(share, share, (h, r * h), (dh,))


def _reset_before(
    size: int, w: Weights, factors: Any, inner_factors: Any, loop: Loop, dh: Any
) -> tuple[Any, Any]:
    """The loop of a GRU whose reset gate comes before the product: all da, and dh."""
    w_rz, w_n, shares = w.hh[: 2 * size], w.hh[2 * size :], []
    for t in range(factors.shape[0] - 1, -1, -1):
        d = loop.arriving(t, dh)
        back = product(factors[t], join([d, d, d]))
        a_z, a_n, kept = (back[..., k * size : (k + 1) * size] for k in range(3))
        p = through(a_n, w_n, 1)
        inner = product(inner_factors[t], join([p, p]))
        a_rz = join([inner[..., :size], a_z])
        shares.append(join([a_rz, a_n]))
        dh = loop.held(t, kept + inner[..., size:] + through(a_rz, w_rz, 2), d)
    return backward_stack(shares), dh
