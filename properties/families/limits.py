"""Limits: saturated gates, and the ranges in which states stay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatewise.reference.ball import Ball, exact
from gatewise.reference.cells import affine, gru_parts
from gatewise.reference.classes import GRUS, LSTMS, NAMED, RNNS, only
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..cases.values import ORDINARY, SATURATED
from ..checking.comparison import Check, Expected, agree
from ..checking.oracle import expected
from ..precisions import PLAIN
from ..subjects.protocol import Subject
from .property import UNPACKED, Family

FAMILY = Family("limits")


def _forced(case: Case, **gates: float) -> dict[str, Array]:
    """Weights with which the named gates' pre-activations are ±SATURATED, whatever the input."""
    weights = {name: w.copy() for name, w in case.weight_arrays.items()}
    bias = f"bias_{case.biases[0]}"
    for gate, sign in gates.items():
        k = KINDS[case.kind].gates.index(gate)
        rows = slice(k * case.hidden_size, (k + 1) * case.hidden_size)
        for name, w in weights.items():
            if name.startswith("weight_hr"):
                continue
            w[rows] = sign * SATURATED if name.startswith(bias) else 0.0
    return weights


def _limit(ball: Ball, value: Array) -> Expected:
    """The limit, which is the exact value of the equations, with the radius of the ball."""
    return Expected(value, ball.radius, "ball radius around the limit")


def _last(case: Case) -> str:
    """The name of the kind's last state among the results: of c where it has a cell state."""
    return KINDS[case.kind].states[-1] + ("" if case.cell else "_n")


@FAMILY.claims(
    "With the forget gate at 1 and the input gate at 0, the cell state is kept.",
    "f = 1, i = 0 ⇒ c_T = c_0",
    of=LSTMS,
    precisions=PLAIN,
    share=0.5,
    bias=True,
    with_state=True,
    regimes=ORDINARY,
)
def open_forget_gate_keeps_the_cell(subject: Subject, case: Case, check: Check) -> None:
    weights = _forced(case, f=1.0, i=-1.0)
    name = _last(case)
    got, want = subject.run(case, weights=weights), expected(case, weights=weights)
    check.close(name, got[name], _limit(want[name], case.state_arrays[1]))


@FAMILY.claims(
    "With the forget gate at 0, nothing of the old cell state is left.",
    "f = 0 ⇒ c_1 does not depend on c_0",
    of=LSTMS,
    precisions=PLAIN,
    share=0.5,
    bias=True,
    with_state=True,
    regimes=ORDINARY,
)
def closed_forget_gate_erases_the_cell(subject: Subject, case: Case, check: Check) -> None:
    weights = _forced(case, f=-1.0)
    other = (case.state_arrays[0], np.flip(1.0 + case.state_arrays[1], axis=-1))
    other = (other[0], case.rounding.storage.round(other[1]))
    got = subject.run(case, weights=weights)
    changed = subject.run(case, weights=weights, state=other)
    want, moved = expected(case, weights=weights), expected(case, weights=weights, state=other)
    for name, ball in want.items():
        agree(check, name, changed[name], got[name], moved[name], ball)


@FAMILY.claims(
    "With the input gate at 0, the cell state decays at exactly the forget gate's rate.",
    "i = 0, f = σ(a) ⇒ c_T = σ(a)^T c_0",
    of=LSTMS,
    precisions=PLAIN,
    share=0.5,
    bias=True,
    with_state=True,
    forms=UNPACKED,
    regimes=ORDINARY,
)
def cell_state_decays_at_the_forget_gates_rate(subject: Subject, case: Case, check: Check) -> None:
    a = (case.seed % 17 - 8) / 2.0  # exact in every format
    weights = _forced(case, f=1.0, i=-1.0)
    rows = slice(case.hidden_size, 2 * case.hidden_size)
    for name, w in weights.items():
        if name.startswith(f"bias_{case.biases[0]}"):
            w[rows] = a
    name = _last(case)
    got, want = subject.run(case, weights=weights), expected(case, weights=weights)
    rate = np.exp(-case.time * np.log1p(np.exp(-a)))
    check.close(name, got[name], _limit(want[name], rate * case.state_arrays[1]))


@FAMILY.claims(
    "With the output gate at 0, the hidden state is 0.",
    "o = 0 ⇒ h_t = 0",
    of=LSTMS,
    share=0.5,
    bias=True,
    regimes=ORDINARY,
)
def closed_output_gate_hides_the_cell(subject: Subject, case: Case, check: Check) -> None:
    weights = _forced(case, o=-1.0)
    name = "h" if case.cell else "h_n"
    got, want = subject.run(case, weights=weights), expected(case, weights=weights)
    check.close(name, got[name], _limit(want[name], np.zeros(want[name].shape)))


def _update(case: Case, kept: bool) -> float:
    """The sign of z's pre-activation that keeps the state (`kept`), or else takes the candidate."""
    return 1.0 if kept == case.update_keeps else -1.0


@FAMILY.claims(
    "With the update gate at 1, the hidden state is kept.",
    "z = 1 ⇒ h_T = h_0; z = 0 where the subject states that z takes the candidate",
    of=GRUS,
    precisions=PLAIN,
    share=0.5,
    bias=True,
    with_state=True,
    regimes=ORDINARY,
)
def update_gate_at_one_keeps_the_state(subject: Subject, case: Case, check: Check) -> None:
    weights = _forced(case, z=_update(case, kept=True))
    name = _last(case)
    got, want = subject.run(case, weights=weights), expected(case, weights=weights)
    check.close(name, got[name], _limit(want[name], case.state_arrays[0]))


@FAMILY.claims(
    "With the update gate at 0, the hidden state becomes the candidate.",
    "z = 0 ⇒ h' = n; z = 1 where the subject states that z takes the candidate",
    of=only("GRUCell"),
    precisions=PLAIN,
    share=0.5,
    bias=True,
    regimes=ORDINARY,
)
def update_gate_at_zero_takes_the_candidate(subject: Subject, case: Case, check: Check) -> None:
    weights = _forced(case, z=_update(case, kept=False))
    n = _candidate(case, weights)
    got, want = subject.run(case, weights=weights), expected(case, weights=weights)
    check.close("h", got["h"], _limit(want["h"], n.v))


@FAMILY.claims(
    "With the reset gate at 0, the candidate does not depend on the recurrent weights.",
    "r = 0 ⇒ n does not depend on W_hn, nor on a b_hn that is reset",
    of=GRUS,
    precisions=PLAIN,
    share=0.5,
    bias=True,
    regimes=ORDINARY,
)
def closed_reset_gate_cuts_the_recurrence(subject: Subject, case: Case, check: Check) -> None:
    weights = _forced(case, r=-1.0)
    other = {name: w.copy() for name, w in weights.items()}
    for name, w in other.items():
        if name.startswith("weight_hh") or (name.startswith("bias_hh") and case.reset_after):
            w[2 * case.hidden_size :] = 1.0 - w[2 * case.hidden_size :]
            other[name] = case.rounding.storage.round(w)
    got, changed = subject.run(case, weights=weights), subject.run(case, weights=other)
    want, moved = expected(case, weights=weights), expected(case, weights=other)
    for name, ball in want.items():
        agree(check, name, changed[name], got[name], moved[name], ball)


def _candidate(case: Case, weights: Mapping[str, Array]) -> Ball:
    p = case.rounding
    share = affine(exact(case.input_array, p), weights["weight_ih"], weights.get("bias_ih"))
    h = exact(case.state_arrays[0], p)
    return gru_parts(share, h, weights["weight_hh"], weights.get("bias_hh"), case.reset_after).n


@FAMILY.claims(
    "A GRU's new state lies between its old state and the candidate.",
    "min(h, n) ≤ h' ≤ max(h, n)",
    of=only("GRUCell"),
    precisions=PLAIN,
)
def gru_state_lies_in_the_hull(subject: Subject, case: Case, check: Check) -> None:
    n, h = _candidate(case, case.weight_arrays), case.state_arrays[0]
    got, want = subject.run(case), expected(case)
    slack = n.radius + want["h"].radius
    check.between("h", got["h"], np.minimum(h, n.v), np.maximum(h, n.v), slack)


@FAMILY.claims(
    "The hidden state of a tanh RNN, an LSTM or a GRU stays in [−1, 1] or in its initial range.",
    "|h_t| ≤ 1 (RNN, LSTM), |h_t| ≤ max(1, |h_0|) (GRU)",
    of=NAMED,
    precisions=PLAIN,
    nonlinearity="tanh",
    proj_size=0,
)
def hidden_state_is_bounded(subject: Subject, case: Case, check: Check) -> None:
    got, want = subject.run(case), expected(case)
    for name, ball in want.items():
        if name.startswith("c"):
            continue
        largest = 1.0
        if "update_keeps" in KINDS[case.kind].forms:
            largest = max(1.0, float(np.abs(case.state_arrays[0]).max(initial=0.0)))
        limit = np.full(ball.shape, largest)
        check.between(name, got[name], -limit, limit, ball.radius)


@FAMILY.claims(
    "A cell state grows by at most one a step.",
    "|c_t| ≤ |c_0| + t",
    of=LSTMS,
    precisions=PLAIN,
)
def cell_state_grows_by_one_a_step(subject: Subject, case: Case, check: Check) -> None:
    name = _last(case)
    got, want = subject.run(case), expected(case)
    limit = np.abs(case.state_arrays[1]) + case.time
    check.between(name, got[name], -limit, limit, want[name].radius)


@FAMILY.claims(
    "A relu RNN's output is not negative.",
    "relu(a) ≥ 0",
    of=RNNS,
    nonlinearity="relu",
)
def relu_output_is_not_negative(subject: Subject, case: Case, check: Check) -> None:
    got, want = subject.run(case), expected(case)
    for name, ball in want.items():
        high = np.where(np.isfinite(ball.radius), np.abs(ball.v) + ball.radius, np.nan)
        check.between(name, got[name], np.zeros(ball.shape), high, np.zeros(ball.shape))
