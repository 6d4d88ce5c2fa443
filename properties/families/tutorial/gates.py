"""Gates of the cells on [x, h]: what each gate does, at its limits and between them."""

from __future__ import annotations

import numpy as np

from gatewise.reference.activations import sigmoid
from gatewise.reference.ball import Ball, exact
from gatewise.reference.classes import only
from gatewise.reference.concat_cells import gate_layers, linear
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS

from ...cases.arrays import as_array
from ...cases.case import Case
from ...cases.values import ORDINARY, SATURATED, SUMMABLE
from ...checking.comparison import Check, Expected, agree
from ...checking.oracle import expected
from ...subjects.protocol import Subject
from ..property import Family
from .networks import CONCAT_GRUS, CONCAT_LSTMS

FAMILY = Family("gates")


def _run_of(subject: Subject, case: Case, xs: list[Array], h: Array) -> tuple[Array, Ball]:
    """The state after the inputs `xs`, as the subject returns it and as a ball."""
    module = subject.build(case)
    got, ball = h, exact(h, case.rounding)
    for x in xs:
        got = as_array(subject.run(case, module, x=x, state=[got])["h"])
        ball = expected(case, x=x, state=[ball])["h"]
    return got, ball


@FAMILY.claims(
    "The state of the RNN is an affine map of its inputs: superposition holds.",
    "h_T(x+y, h+g) = h_T(x, h) + h_T(y, g) − h_T(0, 0), for sums that are exact",
    of=only("SharedRNNCell"),
    with_state=True,
    layout="contiguous",
    regimes=SUMMABLE,
)
def rnn_superposes(subject: Subject, case: Case, check: Check) -> None:
    """Runs one to three steps, and carries a ball through them along with the state."""
    steps = range(1 + case.seed % 3)
    one = [case.but(seed=case.seed ^ (2 * t)) for t in steps]
    two = [case.but(seed=case.seed ^ (2 * t + 1)) for t in steps]
    x, y = ([c.input_array for c in drawn] for drawn in (one, two))
    h, g = one[0].state_arrays[0], two[0].state_arrays[0]
    both, zeros = [a + b for a, b in zip(x, y, strict=True)], [np.zeros_like(a) for a in x]
    whole, *parts = (
        _run_of(subject, case, xs, s)
        for xs, s in ((both, h + g), (x, h), (y, g), (zeros, np.zeros_like(h)))
    )
    p, q, r = (got for got, _ in parts)
    bound = whole[1].radius + sum(ball.radius for _, ball in parts)
    # The parts are summed here in float64: two roundings of at most their magnitudes each.
    bound = bound + 2.0**-51 * (np.abs(p) + np.abs(q) + np.abs(r))
    check.close("h", whole[0], Expected(p + q - r, bound, "sum of four ball radii"))


@FAMILY.claims(
    "The state of the RNN stays in [−1, 1].",
    "|h'| ≤ 1",
    of=only("IndependentRNNCell"),
    share=0.5,
)
def rnn_state_is_bounded_by_one(subject: Subject, case: Case, check: Check) -> None:
    ball = expected(case)["h"]
    one = np.ones(ball.shape)
    check.between("h", subject.run(case)["h"], -one, one, ball.radius)


def held(case: Case, **gates: float) -> dict[str, Array]:
    """Weights with which the gates' pre-activations are the given numbers, whatever the input.

    Where gates share a layer, the last given number counts.
    """
    weights = {name: w.copy() for name, w in case.weight_arrays.items()}
    layer_of = dict(zip(KINDS[case.kind].gates, gate_layers(case.kind), strict=True))
    for gate, a in gates.items():
        weights[f"{layer_of[gate]}.weight"][:] = 0.0
        weights[f"{layer_of[gate]}.bias"][:] = a
    return weights


def _goes_to(
    subject: Subject, case: Case, check: Check, name: str, w: dict[str, Array], limit: Array
) -> None:
    """Require that with weights `w` a result is `limit`, the exact value of the equations."""
    ball = expected(case, weights=w)[name]
    want = Expected(np.broadcast_to(limit, ball.shape), ball.radius, "ball radius at the limit")
    check.close(name, subject.run(case, weights=w)[name], want)


@FAMILY.claims(
    "With the forget gate at 0, nothing of the old cell state is left.",
    "f = 0 ⇒ c' = i∘g does not depend on c",
    of=CONCAT_LSTMS,
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def forget_gate_at_zero_erases_the_old_cell(subject: Subject, case: Case, check: Check) -> None:
    w = held(case, f=-SATURATED)
    h, c = case.state_arrays
    other = (h, case.rounding.storage.round(np.flip(1.0 + c, axis=-1)))
    got, changed = (subject.run(case, weights=w, state=s) for s in ((h, c), other))
    want, moved = (expected(case, weights=w, state=s) for s in ((h, c), other))
    agree(check, "c", changed["c"], got["c"], moved["c"], want["c"])


@FAMILY.claims(
    "With the forget gate at 0, the cell state is 0.",
    "f = 0 ⇒ c' = 0, which is so where f = i",
    of=only("SharedLSTMCell"),
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def forget_gate_at_zero_empties_the_cell(subject: Subject, case: Case, check: Check) -> None:
    _goes_to(subject, case, check, "c", held(case, f=-SATURATED), np.zeros(1))


@FAMILY.claims(
    "With the forget gate at 1 and the input gate at 0, the cell state is kept.",
    "f = 1, i = 0 ⇒ c' = c",
    of=only("IndependentLSTMCell"),
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def forget_gate_at_one_keeps_the_cell(subject: Subject, case: Case, check: Check) -> None:
    w = held(case, i=-SATURATED, f=SATURATED)
    _goes_to(subject, case, check, "c", w, case.state_arrays[1])


@FAMILY.claims(
    "With the one gate at 1, the cell state grows by 1.",
    "f = i = 1, g = tanh(∞) = 1 ⇒ c' = c + 1",
    of=only("SharedLSTMCell"),
    share=0.5,
    regimes=ORDINARY,
)
def shared_gate_at_one_adds_one(subject: Subject, case: Case, check: Check) -> None:
    c = case.state_arrays[1]
    # c + 1 may need more digits than the format has; a float64 holds it up to one rounding.
    w = held(case, f=SATURATED)
    ball = expected(case, weights=w)["c"]
    limit = exact(c, case.rounding) + 1.0
    agree(check, "c", subject.run(case, weights=w)["c"], limit.v, ball, limit)


def _rate(case: Case) -> float:
    """A pre-activation from −4 to 4, exact in every format."""
    return (case.seed % 17 - 8) / 2.0


@FAMILY.claims(
    "With the input gate at 0, the cell state decays at exactly the forget gate's rate.",
    "i = 0, f = σ(a) ⇒ c' = σ(a) c: |c'| ≤ e^a |c| as f → 0, |c' − c| ≤ e^−a |c| as f → 1",
    of=only("IndependentLSTMCell"),
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def cell_decays_at_the_forget_gates_rate(subject: Subject, case: Case, check: Check) -> None:
    a = _rate(case)
    w = held(case, i=-SATURATED, f=a)
    want = sigmoid(exact(np.full(1, a), case.rounding)) * exact(case.state_arrays[1], case.rounding)
    got, ball = subject.run(case, weights=w)["c"], expected(case, weights=w)["c"]
    agree(check, "c", got, want.v, ball, want)


@FAMILY.claims(
    "With one gate for all, the gate scales the sum of the cell state and the candidate.",
    "f = i = σ(a), g = tanh(a) ⇒ c' = σ(a) (c + tanh(a))",
    of=only("SharedLSTMCell"),
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def shared_gate_scales_cell_and_candidate(subject: Subject, case: Case, check: Check) -> None:
    a, p = _rate(case), case.rounding
    w, ball = held(case, f=a), exact(np.full(1, a), p)
    want = sigmoid(ball) * (exact(case.state_arrays[1], p) + np.tanh(ball))
    agree(
        check, "c", subject.run(case, weights=w)["c"], want.v, expected(case, weights=w)["c"], want
    )


@FAMILY.claims(
    "The forget, input and output gate are one gate.",
    "f = c'(c=1) − c'(c=0);  h'(c=0) = f∘tanh(c'(c=0));  c'(c=0) = f∘tanh(σ⁻¹(f))",
    of=only("SharedLSTMCell"),
)
def gates_are_one(subject: Subject, case: Case, check: Check) -> None:
    """The cell state gives f, and the results must be those that i = f and o = f give.

    With e^a = f/(1−f), tanh(a) = φ(f) = (2f−1)/(2f²−2f+1).  |φ′| = 4f(1−f)/(2f²−2f+1)² ≤ 4, since
    the denominator is at least 1/4 and the numerator at most 1; |φ| ≤ 1, so (f φ(f))′ ≤ 5.
    """
    case = case.but(with_state=True)
    h = case.state_arrays[0]
    module = subject.build(case)
    cells = [np.zeros_like(h), np.ones_like(h)]
    got = [subject.run(case, module, state=[h, c]) for c in cells]
    ball = [expected(case, state=[h, c]) for c in cells]
    c0, c1 = (as_array(results["c"]) for results in got)
    f, u = c1 - c0, 2.0**-53
    r0, r1 = (b["c"].radius for b in ball)
    r = r0 + r1 + u * np.abs(f)
    output = Expected(f * np.tanh(c0), ball[0]["h"].radius + r + r0 + 4 * u, "radii of f, o, c'")
    check.close("h' = f∘tanh(c')", got[0]["h"], output)
    f = np.clip(f, 0.0, 1.0)
    let_in = f * (2 * f - 1) / (2 * f * f - 2 * f + 1)
    want = Expected(let_in, r0 + 5 * r + 16 * u, "radii of f, i∘g")
    check.close("c' = f∘tanh(σ⁻¹(f))", got[0]["c"], want)


@FAMILY.claims(
    "The gate z at 0 keeps the hidden state.",
    "z = 0 ⇒ h' = h",
    of=CONCAT_GRUS,
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def z_at_zero_keeps_the_state(subject: Subject, case: Case, check: Check) -> None:
    w = held(case, z=-SATURATED)
    _goes_to(subject, case, check, "h", w, case.state_arrays[0])


@FAMILY.claims(
    "With the gate z at 1, the hidden state becomes the candidate.",
    "z = 1 ⇒ h' = n = tanh(W_n [x, r∘h] + b_n)",
    of=only("IndependentGRUCell"),
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def z_at_one_takes_the_candidate(subject: Subject, case: Case, check: Check) -> None:
    w, p = held(case, z=SATURATED), case.rounding
    x, h = exact(case.input_array, p), exact(case.state_arrays[0], p)
    r = sigmoid(linear(w, "gate_r", np.concatenate([x, h], axis=-1)))
    n = np.tanh(linear(w, "gate_n", np.concatenate([x, r * h], axis=-1)))
    agree(check, "h", subject.run(case, weights=w)["h"], n.v, expected(case, weights=w)["h"], n)


@FAMILY.claims(
    "With the one gate of the shared GRU at 1, its hidden state is 1.",
    "z = 1, n = tanh(∞) = 1 ⇒ h' = 1",
    of=only("SharedGRUCell"),
    share=0.5,
    regimes=ORDINARY,
)
def shared_gru_gate_at_one_gives_one(subject: Subject, case: Case, check: Check) -> None:
    w = held(case, z=SATURATED)
    # n reads [x, r∘h] with a weight of zero.
    _goes_to(subject, case, check, "h", w, np.ones(1))


@FAMILY.claims(
    "The gate r at 0 hides the hidden state from the candidate.",
    "r = 0 ⇒ h' does not depend on the columns of W_n that read h",
    of=only("IndependentGRUCell"),
    share=0.5,
    with_state=True,
    regimes=ORDINARY,
)
def r_at_zero_cuts_the_recurrence(subject: Subject, case: Case, check: Check) -> None:
    w = held(case, r=-SATURATED)
    other = {**w, "gate_n.weight": w["gate_n.weight"].copy()}
    other["gate_n.weight"][:, case.input_size :] = 0.0
    got, changed = (subject.run(case, weights=v)["h"] for v in (w, other))
    want, moved = (expected(case, weights=v)["h"] for v in (w, other))
    agree(check, "h", changed, got, moved, want)
