"""Gradients: backpropagation through time (BPTT), with a claim for each input, state and weight.

Upstream gradients are drawn for every result, and the reference's BPTT on Balls gives each gradient
and its bound.  For a layer in a 16-bit format one step is compared, from the subject's own state:
over a whole sequence the bound soon grows larger than the gradient itself.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from gatewise.reference.ball import Ball
from gatewise.reference.classes import (
    CLASSES,
    CONCAT_CELLS,
    DECLARED,
    LAYERS,
    NAMED,
    NAMED_LAYERS,
    RNNS,
    TAGGERS,
    Class,
    class_of,
    only,
)
from gatewise.reference.formats import Array
from gatewise.reference.groups import Group
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import own_name, suffixes

from ..cases.arrays import as_array
from ..cases.case import Case
from ..cases.values import ORDINARY, SATURATED, seeded, signs
from ..checking.comparison import Check, Expected, agree
from ..checking.derivatives import (
    Gradients,
    Recorded,
    arguments,
    compare_gradients,
    record,
    tell,
    tensors,
)
from ..checking.oracle import UPSTREAM_REGIMES, expected_gradients, upstream_arrays
from ..precisions import PLAIN, SHORT
from ..subjects.builtin import torchs
from ..subjects.protocol import Subject, Unsupported
from .interface import final_states
from .property import STATEFUL, UNPACKED, Claim, Family

FAMILY = Family("gradients", needs=("gradients",))

#: The share of these claims is small: they are many, and each case costs a BPTT on Balls.
SHARE = 0.12
#: The classes with a cell state.
WITH_C = only("LSTM", "LSTMCell", "SharedLSTMCell", "IndependentLSTMCell")


def one_step(subject: Subject, case: Case) -> tuple[Case, Array, list[Array]]:
    """One step of a layer, at a drawn time, from the subject's own state at that time."""
    axis = case.time_axis
    t, dense = case.seed % case.time, case.but(lengths=None)
    x, state = case.input_array, list(case.state_arrays)
    if t:
        before = subject.run(dense.but(time=t), x=np.take(x, range(t), axis=axis), state=state)
        state = final_states(case, before)
    return dense.but(time=1, with_state=True), np.take(x, [t], axis=axis), state


def first_order(
    subject: Subject, case: Case, regime: str = "spread"
) -> tuple[Gradients, dict[str, Ball]]:
    """All gradients of a case and their balls; of one step, for a layer in a 16-bit format.

    `regime` is that of the upstream gradients.
    """
    given, x, state = None, None, None
    if case.precision in SHORT and not case.cell and not KINDS[case.kind].words:
        case, x, state = one_step(subject, case)
        given = arguments(subject, case, x, state)
    upstream = upstream_arrays(case, regime)
    run = record(subject, case, given=given)
    run.backward(tensors(subject, case, upstream))
    return run.gradients, expected_gradients(case, upstream, x=x, state=state)


def _by_name(what: str, part: str, of: Group[Class], **constraints: Any) -> Claim:
    """Register and return the claim of the gradients whose names match the pattern `part`.

    The caller binds the claim to a module attribute of its name, so that another process finds it.
    """

    def claim(subject: Subject, case: Case, check: Check) -> None:
        got, want = first_order(subject, case)
        named = {n: g for n, g in got.items() if re.search(part, n)}
        if not named:
            raise Unsupported(f"there is no {what} in this form of a {case.kind}")
        check.discriminating += tell({n: want[n] for n in named})
        compare_gradients(check, named, want)

    claim.__name__ = claim.__qualname__ = f"gradient_of_{what}"
    return FAMILY.claims(
        f"The gradient of {what} equals backpropagation through time.",
        f"|∂Σ⟨u, result⟩/∂{what} − v| ≤ r",
        of=of,
        precisions=PLAIN,
        share=SHARE,
        **constraints,
    )(claim)


WITH_LSTM = NAMED + TAGGERS
gradient_of_input = _by_name("input", "input", STATEFUL)
gradient_of_h_0 = _by_name("h_0", "h_0", NAMED + CONCAT_CELLS, with_state=True)
gradient_of_c_0 = _by_name("c_0", "c_0", WITH_C, with_state=True)
gradient_of_weight_ih = _by_name("weight_ih", "weight_ih", WITH_LSTM)
gradient_of_weight_hh = _by_name("weight_hh", "weight_hh", WITH_LSTM)
gradient_of_bias_ih = _by_name("bias_ih", "bias_ih", WITH_LSTM, bias=True)
gradient_of_bias_hh = _by_name("bias_hh", "bias_hh", WITH_LSTM, bias=True)
gradient_of_weight_hr = _by_name(
    "weight_hr", "weight_hr", only("LSTM"), least={"hidden": 2}, proj_size=1
)
gradient_of_gate_layers = _by_name("gate_layers", r"^(gate.*|i2h)\.", CONCAT_CELLS)
gradient_of_output_layer = _by_name(
    "output_layer", r"^(output|i2o|hidden2tag)\.", CONCAT_CELLS + TAGGERS
)
gradient_of_word_embeddings = _by_name("word_embeddings", "word_embeddings", TAGGERS)


def own_weights(like: str) -> tuple[str, ...]:
    """The weights of a declared kind."""
    return tuple(KINDS[CLASSES[like].kind].shapes)


@FAMILY.claims(
    "The gradient of every weight that a declared kind names is the derivative of its step.",
    "|∂Σ⟨u, result⟩/∂w − v| ≤ r for each w",
    of=DECLARED,
    precisions=PLAIN,
    share=SHARE,
    bias=True,
    sweep=True,
    variants=own_weights,
)
def gradient_of_own_weights(subject: Subject, case: Case, check: Check) -> None:
    got, want = first_order(subject, case)
    named = {n: g for n, g in got.items() if (n if case.cell else own_name(n)) == case.variant}
    check.discriminating += tell({n: want[n] for n in named})
    compare_gradients(check, named, want)


@FAMILY.claims(
    "The gradient of every initial state that a declared kind names is the derivative of its step.",
    "|∂Σ⟨u, result⟩/∂s_0 − v| ≤ r for each s",
    of=DECLARED,
    precisions=PLAIN,
    share=SHARE,
    with_state=True,
)
def gradient_of_own_states(subject: Subject, case: Case, check: Check) -> None:
    got, want = first_order(subject, case)
    named = {n: got[n] for n in case.start_names}
    check.discriminating += tell({n: want[n] for n in named})
    compare_gradients(check, named, want)


def through(subject: Subject, case: Case, check: Check, *results: str) -> None:
    """Compare all gradients, with upstream gradients for the named results alone."""
    upstream = {n: u for n, u in upstream_arrays(case).items() if n in results}
    run = record(subject, case)
    run.backward(tensors(subject, case, upstream))
    compare_gradients(check, run.gradients, expected_gradients(case, upstream))


@FAMILY.claims(
    "Every gradient is right whatever upstream gradients a loss gives: ones, one element alone, "
    "tiny, large as from a scaled loss, of mixed magnitudes, or zeros.",
    "|∂Σ⟨u, result⟩/∂θ − v| ≤ r for every regime of u",
    precisions=PLAIN,
    share=SHARE / 2,
    sweep=True,
    triples=True,
    variants=UPSTREAM_REGIMES,
)
def gradients_are_right_for_any_upstream(subject: Subject, case: Case, check: Check) -> None:
    got, want = first_order(subject, case, case.variant)
    check.discriminating += tell(want)
    compare_gradients(check, got, want, f"with upstream of the regime {case.variant}: gradient of ")


@FAMILY.claims(
    "Every gradient is right where the output alone has an upstream gradient.",
    "u_h = u_c = 0",
    of=LAYERS + CONCAT_CELLS,
    share=SHARE,
)
def gradients_through_the_output_alone(subject: Subject, case: Case, check: Check) -> None:
    through(subject, case, check, "output")


@FAMILY.claims(
    "Every gradient is right where the hidden state alone has an upstream gradient.",
    "u_output = u_c = 0",
    of=LAYERS + CONCAT_CELLS + only("LSTMCell"),
    share=SHARE,
)
def gradients_through_the_hidden_state_alone(subject: Subject, case: Case, check: Check) -> None:
    through(subject, case, check, "h", "h_n")


@FAMILY.claims(
    "Every gradient is right where the cell state alone has an upstream gradient.",
    "u_output = u_h = 0",
    of=WITH_C,
    share=SHARE,
)
def gradients_through_the_cell_state_alone(subject: Subject, case: Case, check: Check) -> None:
    through(subject, case, check, "c", "c_n")


@FAMILY.claims(
    "Gradients flow from the final states to the first step, through all steps, layers and "
    "directions.",
    "∂⟨u, s_T⟩/∂s_0 and ∂⟨u, s_T⟩/∂x_1 with T ≥ 10",
    of=LAYERS,
    share=SHARE,
    least={"time": 10},
    forms=UNPACKED,
    with_state=True,
    regimes=ORDINARY,
)
def gradients_flow_through_all_steps(subject: Subject, case: Case, check: Check) -> None:
    upstream = {n: u for n, u in upstream_arrays(case).items() if n != "output"}
    run = record(subject, case)
    run.backward(tensors(subject, case, upstream))
    want = expected_gradients(case, upstream)
    got = {n: g for n, g in run.gradients.items() if n in ("input", *case.start_names)}
    check.discriminating += tell({n: want[n] for n in case.start_names[:1]})
    compare_gradients(check, got, want)


@FAMILY.claims(
    "No gradient flows into the padding of a packed sequence, nor out of it.",
    "∂/∂x_t = 0 for t ≥ length, whatever u is there",
    of=LAYERS,
    share=SHARE,
    least={"batch": 2, "time": 2},
    forms=("ragged",),
)
def no_gradient_flows_into_padding(subject: Subject, case: Case, check: Check) -> None:
    padding = np.arange(case.time)[:, None] >= np.asarray(case.lengths)
    padding = padding.T if case.batch_first else padding
    upstream = upstream_arrays(case)
    given = {**upstream, "output": np.where(padding[..., None], 1024.0, upstream["output"])}
    run = record(subject, case)
    run.backward(tensors(subject, case, given))
    x = run.leaves["input"].grad
    inside = np.zeros(case.input_shape) if x is None else as_array(x)
    inside = inside[padding]
    zero = np.zeros_like(inside)
    check.close("gradient of input in the padding", inside, Expected(zero, zero, "exact"))
    compare_gradients(check, run.gradients, expected_gradients(case, upstream))


@FAMILY.claims(
    "The slope of relu at exactly 0 is 0, as in torch.",
    "W_ih x + b_ih + W_hh h + b_hh = 0 ⇒ ∂ = 0",
    of=RNNS,
    share=SHARE,
    forms=("dense",),
    nonlinearity="relu",
    bias=True,
    with_state=True,
    batch=1,
    time=1,
    num_layers=1,
    weights="dyadic",
    inputs="dyadic",
    states="dyadic",
)
def relu_has_slope_zero_at_zero(subject: Subject, case: Case, check: Check) -> None:
    w = dict(case.weight_arrays)
    x, (states,) = case.input_array.reshape(1, -1), case.state_arrays
    for d, end in enumerate(suffixes(case.options)):
        h = states if case.cell else states[d]
        first, *rest = (f"bias_{name}{end}" for name in case.biases)
        # Sums of multiples of 1/16, which are exact in every order of summation.
        a = x @ w[f"weight_ih{end}"].T + h @ w[f"weight_hh{end}"].T + sum(w[b] for b in rest)
        w[first] = -a[0]
    run = record(subject, case, module=subject.build(case, w))
    run.backward(tensors(subject, case, upstream_arrays(case)))
    for name, leaf in run.leaves.items():
        zero = np.zeros(tuple(leaf.shape))
        got = zero if leaf.grad is None else leaf.grad
        check.close(f"gradient of {name}", got, Expected(zero, zero, "exact"))


@FAMILY.claims(
    "Where every gate is saturated, gradients are finite, and right however small they are.",
    "|a| ≥ 512 ⇒ σ′(a), tanh′(a) → 0, never NaN",
    of=NAMED,
    precisions=PLAIN,
    share=SHARE,
    bias=True,
    nonlinearity="tanh",
    regimes=ORDINARY,
)
def saturated_gates_give_finite_gradients(subject: Subject, case: Case, check: Check) -> None:
    w = dict(case.weight_arrays)
    rng = seeded(case.seed, 8)
    for name, b in case.weight_arrays.items():
        if name.startswith(f"bias_{case.biases[0]}"):
            w[name] = SATURATED * signs(rng, b.shape)
    upstream = upstream_arrays(case)
    run = record(subject, case, module=subject.build(case, w))
    run.backward(tensors(subject, case, upstream))
    got = run.gradients
    for name, g in got.items():
        check.same(f"gradient of {name} is finite", g is None or bool(g.isfinite().all()), True)
    compare_gradients(check, got, expected_gradients(case, upstream, weights=w))


@FAMILY.claims(
    "The gradients of a layer equal those of the torch.nn cell of its kind, applied step by step.",
    "∂ of output_t = h_t, s_{t+1} = cell(x_t, s_t)",
    of=NAMED_LAYERS,
    share=SHARE,
    forms=UNPACKED,
    num_layers=1,
    bidirectional=False,
    batch_first=False,
    proj_size=0,
)
def gradients_equal_those_of_the_unrolled_cell(subject: Subject, case: Case, check: Check) -> None:
    if not (case.reset_after and case.update_keeps):
        raise Unsupported("torch.nn has no GRU of this form")
    upstream = upstream_arrays(case)
    placed = tensors(subject, case, upstream)
    run = record(subject, case)
    run.backward(placed)
    by_hand = unrolled_cell(subject, case)
    by_hand.backward(placed)
    want, peer = expected_gradients(case, upstream), by_hand.gradients
    for name, got in run.gradients.items():
        ball, other = want[name], peer[name.removesuffix("_l0")]
        zero = np.zeros(ball.shape)
        label = f"gradient of {name}" + (" (None)" if got is None else "")
        agree(
            check,
            label,
            zero if got is None else got,
            zero if other is None else other,
            ball,
            ball,
        )


def unrolled_cell(subject: Subject, case: Case) -> Recorded:
    """The torch.nn cell of the layer's kind, unrolled over time with its autograd graph."""
    cell = torchs(class_of(case.kind, cell=True), subject.device)
    one = case.but(cell=True, time=1, biases=("ih", "hh"))
    weights = {name.removesuffix("_l0"): v for name, v in case.weight_arrays.items()}
    for name, shape in one.weight_shapes.items():
        weights.setdefault(name, np.zeros(shape))  # a bias that the subject does not have
    module, given = cell.build(one, weights), arguments(cell, case)
    leaves = {**given, **dict(module.named_parameters())}
    for leaf in leaves.values():
        leaf.requires_grad_()
    state = tuple(given[n][0] for n in case.start_names if n in given) or None
    steps = []
    for x in given["input"]:
        results = cell.call(one, module, x, state)
        state = tuple(results.values())
        steps.append(results["h"])
    finals = {f"{n}_n": s[None] for n, s in results.items()}
    return Recorded(leaves, {"output": torch.stack(steps), **finals})
