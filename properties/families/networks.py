"""Networks: what ties cells on [x, h] and the tagger to torch.nn's cells and to probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import log_softmax

from reference.ball import exact
from reference.cells import affine, gru_parts
from reference.concat_cells import cell_of, gate_count, gate_layers
from reference.formats import Array

from ..comparison import Check, Expected, agree, as_array
from ..oracle import compare_all, expected
from ..property import Family
from ..strategies.cases import Case
from ..strategies.values import ORDINARY, SUMMABLE
from ..subjects.protocol import CONCAT_CELLS, Subject

FAMILY = Family("networks")

#: Claims of integers, which no precision changes.
ONE = ("float32",)
CPU = ("float64", "float32", "float16", "bfloat16")


def stacked(case: Case) -> dict[str, Array]:
    """The gates' weights as torch.nn's cell holds them, with a second bias of zeros.

    A shared layer is repeated: [W]ₖ split after column I into weight_ih and weight_hh.
    """
    w, width = case.weight_arrays, case.input_size
    layers = gate_layers(case.kind)
    block = np.concatenate([w[f"{name}.weight"] for name in layers])
    bias = np.concatenate([w[f"{name}.bias"] for name in layers])
    return {
        "weight_ih": block[:, :width],
        "weight_hh": block[:, width:],
        "bias_ih": bias,
        "bias_hh": np.zeros_like(bias),
    }


def _torch_case(case: Case) -> Case:
    """The same call of torch.nn's cell."""
    return case.but(kind=cell_of(case.kind), bias=True, output_size=0)


def _torch_cell(case: Case, device: str) -> Subject:
    kind = f"{cell_of(case.kind)}Cell"
    return Subject(f"torch.nn.{kind}", kind, getattr(nn, kind), device)


@FAMILY.claims(
    "The log-probabilities of every row sum to one.",
    "Σ_k exp(y_k) = 1",
    kinds=(*CONCAT_CELLS, "Tagger"),
    precisions=CPU,
)
def log_probabilities_sum_to_one(subject: Subject, case: Case, check: Check) -> None:
    got, ball = as_array(subject.run(case)["output"]), expected(case)["output"]
    # Each exp(y_k) is off by a factor of at most e^r; then float64 sums n of them here.
    r = np.max(ball.radius, axis=-1)
    bound = np.expm1(r) + (ball.shape[-1] + 2) * 2.0**-52
    total = np.exp(got).sum(axis=-1)
    check.close("Σ exp(y)", total, Expected(np.ones_like(total), bound, "e^r − 1"))


@FAMILY.claims(
    "The cell is torch.nn's with its gate layers stacked and a zero second bias.",
    "h', c' = torch.nn cell with W_ih = [W_x; …], W_hh = [W_h; …], b_ih = [b; …], b_hh = 0",
    kinds=("SharedLSTMCell", "IndependentLSTMCell", "IndependentRNNCell"),
)
def equals_torch_cell_with_stacked_weights(subject: Subject, case: Case, check: Check) -> None:
    peer_case, weights = _torch_case(case), stacked(case)
    got, want = subject.run(case), expected(case)
    peer = _torch_cell(case, subject.device).run(peer_case, weights=weights)
    balls = expected(peer_case, weights=weights)
    for name, ball in balls.items():
        agree(check, name, got[name], peer[name], want[name], ball)


@FAMILY.claims(
    "Weights on [x, h] and weights split into those of x and those of h are the same map.",
    "W [x, h] + b = W_x x + W_h h + b",
    kinds=CONCAT_CELLS,
)
def split_weights_are_the_same_map(subject: Subject, case: Case, check: Check) -> None:
    w, p = stacked(case), case.rounding
    x, h = exact(case.input_array, p), exact(case.state_arrays[0], p)
    share = affine(x, w["weight_ih"], w["bias_ih"])
    got = subject.run(case)
    if case.kind == "SharedRNN":
        check.close("h", got["h"], share + affine(h, w["weight_hh"], None))
    elif cell_of(case.kind) == "GRU":
        want = gru_parts(share, h, w["weight_hh"], w["bias_hh"], False, False).h
        check.close("h", got["h"], want)
    else:
        for name, ball in expected(_torch_case(case), weights=w).items():
            check.close(name, got[name], ball)


@FAMILY.claims(
    "The GRU is the original form, reset before the matmul, with its update gate inverted.",
    "h' = (1−z)∘n + z∘h with z = σ(−a_z), n = tanh(W_x x + W_h (r∘h) + b)",
    kinds=("SharedGRUCell", "IndependentGRUCell"),
)
def gru_is_the_original_with_z_inverted(subject: Subject, case: Case, check: Check) -> None:
    w, p = stacked(case), case.rounding
    z = slice(case.hidden_size, 2 * case.hidden_size)
    for name in w:
        w[name] = w[name].copy()
        w[name][z] *= -1.0
    x, h = exact(case.input_array, p), exact(case.state_arrays[0], p)
    share = affine(x, w["weight_ih"], w["bias_ih"])
    want = gru_parts(share, h, w["weight_hh"], w["bias_hh"], reset_after=False).h
    check.close("h", subject.run(case)["h"], want)


@FAMILY.claims(
    "With equal layers for all gates the independent cell is the shared one.",
    "gate_k = gate for every k ⇒ f_independent = f_shared",
    kinds=("IndependentLSTMCell", "IndependentGRUCell"),
)
def equal_gates_give_the_shared_cell(subject: Subject, case: Case, check: Check) -> None:
    shared = case.but(kind=f"Shared{cell_of(case.kind)}")
    own = {n: v for n, v in shared.weight_arrays.items() if n.startswith("output")}
    for name in gate_layers(case.kind):
        for part in ("weight", "bias"):
            own[f"{name}.{part}"] = shared.weight_arrays[f"gate.{part}"]
    compare_all(check, subject.run(case, weights=own), expected(shared))


def rnn_gate_count(case: Case) -> int:
    """Parameters of the one layer of an RNN on [x, h]: (I+H)·H + H."""
    return gate_count("SharedRNN", case.input_size, case.hidden_size)


def own_gate_count(subject: Subject, case: Case) -> int:
    """Parameters of a subject's layers on [x, h], its output layer left out."""
    layers = set(gate_layers(case.kind))
    own = subject.construct(case).named_parameters()
    return sum(p.numel() for name, p in own if name.partition(".")[0] in layers)


@FAMILY.claims(
    "One layer shared by all gates has the parameters of one RNN.",
    "#gates = 1 · #RNN = (I+H)·H + H",
    kinds=("SharedRNNCell", "SharedLSTMCell", "SharedGRUCell", "IndependentRNNCell"),
    precisions=ONE,
)
def shared_gates_are_one_rnn(subject: Subject, case: Case, check: Check) -> None:
    check.same("#gates", own_gate_count(subject, case), rnn_gate_count(case))


@FAMILY.claims(
    "An LSTM with a layer for each gate has four times the gate parameters of an RNN.",
    "#gates = 4 · #RNN",
    kinds=("IndependentLSTMCell",),
    precisions=ONE,
)
def independent_lstm_is_four_rnns(subject: Subject, case: Case, check: Check) -> None:
    check.same("#gates", own_gate_count(subject, case), 4 * rnn_gate_count(case))


@FAMILY.claims(
    "A GRU with a layer for each gate has three times the gate parameters of an RNN.",
    "#gates = 3 · #RNN",
    kinds=("IndependentGRUCell",),
    precisions=ONE,
)
def independent_gru_is_three_rnns(subject: Subject, case: Case, check: Check) -> None:
    check.same("#gates", own_gate_count(subject, case), 3 * rnn_gate_count(case))


def superposed(subject: Subject, case: Case, check: Check, name: str = "h") -> None:
    """f(x₁+x₂, h₁+h₂) = f(x₁, h₁) + f(x₂, h₂) − f(0, 0), for sums that are exact."""
    module = subject.build(case)
    x, (h, *_) = case.input_array, case.state_arrays
    other = case.but(seed=case.seed ^ 1)
    y, g = other.input_array, other.state_arrays[0]
    zero = (np.zeros_like(x), np.zeros_like(h))
    calls = [(x + y, h + g), (x, h), (y, g), zero]
    whole, *parts = (as_array(subject.run(case, module, x=a, state=[s])[name]) for a, s in calls)
    balls = [expected(case, x=a, state=[s])[name] for a, s in calls]
    bound = np.sum([ball.radius for ball in balls], axis=0)
    # The three parts are summed here in float64, two roundings of at most their magnitudes each.
    bound = bound + 2.0**-51 * np.sum(np.abs(parts), axis=0)
    total = parts[0] + parts[1] - parts[2]
    check.close(name, whole, Expected(total, bound, "sum of four ball radii"))


@FAMILY.claims(
    "An RNN without a nonlinearity is an affine map: superposition holds.",
    "h'(x₁+x₂, h₁+h₂) = h'(x₁, h₁) + h'(x₂, h₂) − h'(0, 0)",
    kinds=("SharedRNNCell",),
    with_state=True,
    layout="contiguous",
    regimes=SUMMABLE,
)
def rnn_without_nonlinearity_superposes(subject: Subject, case: Case, check: Check) -> None:
    superposed(subject, case, check)


def shared_gate_held(case: Case, a: float) -> dict[str, Array]:
    """Weights in which the shared gate's pre-activation is `a` whatever the input."""
    w = {name: v.copy() for name, v in case.weight_arrays.items()}
    w["gate.weight"][:] = 0.0
    w["gate.bias"][:] = a
    return w


@FAMILY.claims(
    "With one layer for all gates, a forget gate at 0 erases the cell state.",
    "a → −∞ ⇒ c' = 0·c + 0·tanh(a) = 0",
    kinds=("SharedLSTMCell",),
    regimes=ORDINARY,
)
def shared_gate_at_zero_erases_the_cell(subject: Subject, case: Case, check: Check) -> None:
    w = shared_gate_held(case, -1024.0)
    ball = expected(case, weights=w)["c"]
    zero = Expected(np.zeros(ball.shape), ball.radius, "ball radius around the limit")
    check.close("c", subject.run(case, weights=w)["c"], zero)


@FAMILY.claims(
    "With one layer for all gates, a forget gate at 1 adds one to the cell state.",
    "a → ∞ ⇒ c' = 1·c + 1·tanh(a) = c + 1",
    kinds=("SharedLSTMCell",),
    regimes=ORDINARY,
)
def shared_gate_at_one_adds_one(subject: Subject, case: Case, check: Check) -> None:
    w = shared_gate_held(case, 1024.0)
    ball = expected(case, weights=w)["c"]
    limit = Expected(case.state_arrays[1] + 1.0, ball.radius, "ball radius around the limit")
    check.close("c", subject.run(case, weights=w)["c"], limit)


@FAMILY.claims(
    "A tagger is its embedding, LSTM and linear layer applied word by word.",
    "y_t = log_softmax(W h_t + b), (h_t, c_t) = LSTM(e_t, (h_{t−1}, c_{t−1}))",
    kinds=("Tagger",),
)
def tagger_is_word_by_word(subject: Subject, case: Case, check: Check) -> None:
    module: Any = subject.build(case)
    ids = subject.input_tensor(case.input_array, case)
    ball, state, rows = expected(case)["output"], None, []
    with torch.no_grad():
        for word in ids:
            embedded = module.word_embeddings(word.view(1, 1))
            output, state = module.lstm(embedded, state)
            rows.append(log_softmax(module.hidden2tag(output[0]), dim=-1))
    got = subject.run(case, module)["output"]
    agree(check, "output", got, torch.cat(rows), ball, ball)


@FAMILY.claims(
    "Once reset, a tagger's outputs do not depend on the sentences before.",
    "f(s₂ after s₁ and reset) = f(s₂)",
    kinds=("Tagger",),
    least={"time": 2},
)
def reset_forgets_earlier_sentences(subject: Subject, case: Case, check: Check) -> None:
    module: Any = subject.build(case)
    ball = expected(case)["output"]
    earlier = case.but(seed=case.seed ^ 1).input_array
    subject.run(case, module, x=earlier)
    module.reset()
    got = subject.run(case, module)["output"]
    agree(check, "output", got, subject.run(case)["output"], ball, ball)
