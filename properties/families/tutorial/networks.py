"""Networks: how cells on [x, h] and taggers relate to torch.nn's cells, and their probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import log_softmax

from gatewise.reference.ball import Ball, exact
from gatewise.reference.cells import affine
from gatewise.reference.classes import CONCAT_CELLS, TAGGERS, class_of, only
from gatewise.reference.concat_cells import gate_layers
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.steps import cell

from ...cases.arrays import as_array
from ...cases.case import Case
from ...checking.comparison import Check, Expected, agree
from ...checking.oracle import compare_all, expected
from ...precisions import FLOAT32, PLAIN
from ...subjects.builtin import torchs
from ...subjects.protocol import Subject, Unsupported
from ..property import Family

FAMILY = Family("networks")

#: Cells on [x, h] of two kinds, each with one layer for all gates or a layer for each gate.
CONCAT_LSTMS = only("SharedLSTMCell", "IndependentLSTMCell")
CONCAT_GRUS = only("SharedGRUCell", "IndependentGRUCell")


def stacked(case: Case) -> dict[str, Array]:
    """The gates' weights as torch.nn's cell holds them, with a second bias of zeros.

    The layers are stacked, a shared layer once for each gate.  The first I columns are weight_ih,
    and the others are weight_hh.
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


def inverted(case: Case, weights: dict[str, Array], gate: int) -> dict[str, Array]:
    """Stacked weights with the rows of one gate negated: σ(−a) = 1 − σ(a)."""
    rows = slice(gate * case.hidden_size, (gate + 1) * case.hidden_size)
    changed = {name: w.copy() for name, w in weights.items()}
    for w in changed.values():
        w[rows] *= -1.0
    return changed


def original_gru(case: Case, weights: dict[str, Array], update_keeps: bool) -> Ball:
    """h' of the original GRU, reset before the product; z = 1 keeps h, or z = 0 where stated so."""
    sizes = case.input_size, case.hidden_size
    options = Options("GRU", *sizes, reset_after=False, update_keeps=update_keeps, cell=True)
    x, h = (exact(a, case.rounding) for a in (case.input_array, case.state_arrays[0]))
    new: Ball = cell(options, weights, x, (h,))["h"]
    return new


def torch_case(case: Case) -> Case:
    """The same call of torch.nn's cell."""
    return case.but(kind=KINDS[case.kind].base, bias=True, output_size=0)


def torch_cell(case: Case, device: str) -> Subject:
    """torch.nn's cell of the case's kind."""
    return torchs(class_of(KINDS[case.kind].base, cell=True), device)


@FAMILY.claims(
    "The log-probabilities of every row sum to one.",
    "Σ_k exp(y_k) = 1",
    of=CONCAT_CELLS + TAGGERS,
    precisions=PLAIN,
)
def log_probabilities_sum_to_one(subject: Subject, case: Case, check: Check) -> None:
    got, ball = as_array(subject.run(case)["output"]), expected(case)["output"]
    # Each exp(y_k) is off by a factor of at most e^r.  Here float64 takes n exponentials, each
    # within an ulp, and sums them, which is at most n more roundings of a sum of at most e^r.
    r = np.max(ball.radius, axis=-1)
    bound = np.expm1(r) + (ball.shape[-1] + 2) * 2.0**-52 * np.exp(r)
    total = np.exp(got).sum(axis=-1)
    check.close("Σ exp(y)", total, Expected(np.ones_like(total), bound, "e^r − 1"))


@FAMILY.claims(
    "The cell equals torch.nn's cell with the gate layers stacked and a second bias of zeros.",
    "h', c' = torch.nn cell with W_ih = [W_x; …], W_hh = [W_h; …], b_ih = [b; …], b_hh = 0",
    of=only("SharedLSTMCell", "IndependentLSTMCell", "IndependentRNNCell"),
)
def equals_torch_cell_with_stacked_weights(subject: Subject, case: Case, check: Check) -> None:
    peer_case, weights = torch_case(case), stacked(case)
    got, want = subject.run(case), expected(case)
    peer = torch_cell(case, subject.device).run(peer_case, weights=weights)
    balls = expected(peer_case, weights=weights)
    for name, ball in balls.items():
        agree(check, name, got[name], peer[name], want[name], ball)


@FAMILY.claims(
    "Weights on [x, h] are the same map as these weights split into those of x and those of h.",
    "W [x, h] + b = W_x x + W_h h + b",
    of=CONCAT_CELLS,
)
def split_weights_are_the_same_map(subject: Subject, case: Case, check: Check) -> None:
    w, p = stacked(case), case.rounding
    if "i2h" in gate_layers(case.kind):  # without a nonlinearity
        x, h = exact(case.input_array, p), exact(case.state_arrays[0], p)
        balls = {"h": affine(x, w["weight_ih"], w["bias_ih"]) + affine(h, w["weight_hh"])}
    elif "r" in KINDS[case.kind].gates:
        balls = {"h": original_gru(case, w, update_keeps=False)}
    else:
        balls = expected(torch_case(case), weights=w)
    got, want = subject.run(case), expected(case)
    for name, ball in balls.items():
        agree(check, name, got[name], ball.v, want[name], ball)


@FAMILY.claims(
    "The GRU equals the original form, reset before the matmul, with the update gate inverted.",
    "h' = (1−z)∘n + z∘h with z = σ(−a_z), n = tanh(W_x x + W_h (r∘h) + b)",
    of=CONCAT_GRUS,
)
def gru_is_the_original_with_z_inverted(subject: Subject, case: Case, check: Check) -> None:
    """Compared within both balls: σ(−a) keeps relative accuracy where 1 − σ(a) has lost it."""
    original = original_gru(case, inverted(case, stacked(case), 1), update_keeps=True)
    agree(check, "h", subject.run(case)["h"], original.v, expected(case)["h"], original)


@FAMILY.claims(
    "With one hidden unit the GRU equals torch.nn's GRU with the update gate inverted.",
    "H = 1 ⇒ W_h (r∘h) = r∘(W_h h), so h' = torch.nn.GRUCell with z = σ(−a_z), b_hh = 0",
    of=CONCAT_GRUS,
    share=0.5,
    hidden_size=1,
)
def gru_of_one_unit_is_torchs(subject: Subject, case: Case, check: Check) -> None:
    w, peer_case = inverted(case, stacked(case), 1), torch_case(case)
    peer = torch_cell(case, subject.device).run(peer_case, weights=w)["h"]
    balls = expected(case)["h"], expected(peer_case, weights=w)["h"]
    agree(check, "h", subject.run(case)["h"], peer, *balls)


@FAMILY.claims(
    "With equal layers for all gates the independent cell equals the shared cell.",
    "gate_k = gate for every k ⇒ f_independent = f_shared",
    of=only("IndependentLSTMCell", "IndependentGRUCell"),
)
def equal_gates_give_the_shared_cell(subject: Subject, case: Case, check: Check) -> None:
    shared = case.but(kind=f"Shared{KINDS[case.kind].base}")
    own = {n: v for n, v in shared.weight_arrays.items() if n.startswith("output")}
    for name in gate_layers(case.kind):
        for part in ("weight", "bias"):
            own[f"{name}.{part}"] = shared.weight_arrays[f"gate.{part}"]
    compare_all(check, subject.run(case, weights=own), expected(shared))


def _part(subject: Subject, module: Any, name: str) -> Any:
    if not hasattr(module, name):
        raise Unsupported(f"{subject.name} has no {name!r}")
    return getattr(module, name)


@FAMILY.claims(
    "A tagger equals its embedding, its LSTM and its linear layer, applied word by word.",
    "y_t = log_softmax(W h_t + b), (h_t, c_t) = LSTM(e_t, (h_{t−1}, c_{t−1}))",
    of=TAGGERS,
)
def tagger_is_word_by_word(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    names = ("word_embeddings", "lstm", "hidden2tag")
    embedding, lstm, linear = (_part(subject, module, name) for name in names)
    ids = subject.input_tensor(case.input_array, case)
    ball, state, rows = expected(case)["output"], None, []
    with torch.no_grad():
        for word in ids:
            output, state = lstm(embedding(word.view(1, 1)), state)
            rows.append(log_softmax(linear(output[0]), dim=-1))
    got = subject.run(case, module)["output"]
    agree(check, "output", got, torch.cat(rows), ball, ball)


def _after_another(subject: Subject, case: Case, check: Check, reset: bool) -> None:
    module = subject.build(case)
    ball = expected(case)["output"]
    subject.run(case, module, x=case.but(seed=case.seed ^ 1).input_array)
    if reset:
        _part(subject, module, "reset")()
    got = subject.run(case, module)["output"]
    agree(check, "output after another sentence", got, subject.run(case)["output"], ball, ball)


@FAMILY.claims(
    "A tagger's outputs do not depend on earlier sentences.",
    "f(s₂ after s₁) = f(s₂)",
    of=TAGGERS,
)
def earlier_sentences_do_not_matter(subject: Subject, case: Case, check: Check) -> None:
    _after_another(subject, case, check, reset=False)


@FAMILY.claims(
    "After reset, a tagger's outputs do not depend on earlier sentences.",
    "f(s₂ after s₁ and reset) = f(s₂)",
    of=TAGGERS,
)
def reset_forgets_earlier_sentences(subject: Subject, case: Case, check: Check) -> None:
    _after_another(subject, case, check, reset=True)


@FAMILY.claims(
    "A tagger trains on one sentence after another: the backward pass of each sentence works.",
    "∂f(s₂)/∂w exists after ∂f(s₁)/∂w was taken",
    of=TAGGERS,
    precisions=FLOAT32,
    share=0.5,
)
def a_second_backward_works(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    for turn, seed in (("first", case.seed ^ 1), ("second", case.seed)):
        ids = subject.input_tensor(case.but(seed=seed).input_array, case)
        module.zero_grad()
        try:
            module(ids).sum().backward()
            raised = "no error"
        except RuntimeError as error:  # autograd raises it for a graph that was freed
            raised = type(error).__name__
        check.same(f"what the {turn} backward raises", raised, "no error")
        without = [name for name, p in module.named_parameters() if p.grad is None]
        check.same(f"the parameters without a gradient after the {turn}", without, [])
