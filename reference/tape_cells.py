"""Reverse-mode rules for whole blocks of the cells, which take most of the time of a step.

The forward pass of a block is one operation (`ball_cells`).  Its backward pass multiplies the same
factors as the operations one by one would; tests/reference/test_tape.py checks this.

H is the hidden size, B the batch.
"""

from __future__ import annotations

from typing import Any

from .activations import constant, join
from .cells import GRUParts, gru_state, lstm_state
from .slopes import large, product, sigmoid_slope, tanh_slope
from .tape_adjoints import Adjoint
from .tape_core import Taped, as_taped, record
from .tape_rules import OF_SLOPE, blended, times


@lstm_state.register
def _(gates: Taped, c: Any) -> tuple[Taped, Taped, Taped]:
    """c' = f∘c + i∘g, tanh(c') and m = o∘tanh(c').

    dm gives do = dm∘tanh(c') and the adjoint dm∘o of tanh(c'); dc' gives di = dc'∘g, df = dc'∘c,
    dg = dc'∘i and dc = dc'∘f.
    """
    c, v, size = as_taped(c), gates.v, gates.shape[-1] // 4
    new, tanh_new, m = lstm_state(v, c.v)
    i, f, g, o = (v[..., k * size : (k + 1) * size] for k in range(4))
    first, last = (..., slice(0, 3 * size)), (..., slice(3 * size, 4 * size))

    def back_c(a: Adjoint) -> None:
        if gates.needs:
            factors = [constant(a.d, part) for part in (g, c.v, i)]
            d = product(join([a.d] * 3), large(join(factors)), chain=a.chain)
            gates.receive_part(first, a._replace(d=d, depth=a.depth + 1, columns=3))
        if c.needs:
            c.receive(times(a, f, at_most_one=True), a, 1)

    def back_tanh(a: Adjoint) -> None:
        new_c.receive(times(a, tanh_slope(tanh_new), at_most_one=True), a, OF_SLOPE)

    def back_m(a: Adjoint) -> None:
        if gates.needs:
            d = times(a, tanh_new, at_most_one=True)
            gates.receive_part(last, a._replace(d=d, depth=a.depth + 1, columns=1))
        tanh_c.receive(times(a, o, at_most_one=True), a, 1)

    new_c = record(new, back_c, (c,), 1, (gates,))
    tanh_c = record(tanh_new, back_tanh, (new_c,), OF_SLOPE)
    return new_c, tanh_c, record(m, back_m, (tanh_c,), 1, (gates,))


@gru_state.register
def _(x_share: Taped, a_h: Any, h: Any, update_keeps: bool) -> GRUParts:
    """r, z = σ(·), n = tanh(x_n + r∘q), and h' by `blend`.

    dn gives da_n = dn∘tanh′(n), dq = da_n∘r and dr = da_n∘q.
    """
    a_h, h, size = as_taped(a_h), as_taped(h), h.shape[-1]
    v, rz_v, inner_v, n_v = gru_state(x_share.v, a_h.v, h.v, update_keeps)
    rz_, n_ = (..., slice(0, 2 * size)), (..., slice(2 * size, 3 * size))

    def back_rz(a: Adjoint) -> None:
        d = times(a, sigmoid_slope(rz_v), at_most_one=True)
        part = a._replace(d=d, depth=a.depth + OF_SLOPE, columns=2)
        x_share.receive_part(rz_, part)
        a_h.receive_part(rz_, part)

    def back_n(a: Adjoint) -> None:
        d = times(a, tanh_slope(n_v), at_most_one=True)
        part = a._replace(d=d, depth=a.depth + OF_SLOPE)
        x_share.receive_part(n_, part)
        part = part._replace(depth=part.depth + 1)
        factors = join([constant(d, rz_v[..., :size]), constant(d, inner_v)])
        d = product(join([d, d]), large(factors), chain=a.chain)
        a_h.receive_part(n_, part._replace(d=d[..., :size]))
        rz.receive_part((..., slice(0, size)), part._replace(d=d[..., size:]))

    rz = record(rz_v, back_rz, (), OF_SLOPE, (x_share, a_h))
    n = record(n_v, back_n, (), OF_SLOPE + 1, (x_share, a_h, rz))
    z = rz[..., size:]
    kept, new = (h, n) if update_keeps else (n, h)
    h_new = blended(v, z, kept, new, gate=True)
    return GRUParts(h_new, rz, a_h[..., 2 * size :], n)
