"""Invariance: changes of a case that leave its results as they are, or only reorder them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.reference.classes import DROP_IN, GRUS, LAYERS, NAMED, RNNS
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.shapes import Shape

from ..cases.case import Case
from ..cases.values import ORDINARY
from ..checking.comparison import Check, agree
from ..checking.oracle import compare_all, expected, overlap
from ..subjects.protocol import Subject, Unsupported
from .property import STATEFUL, UNPACKED, Family

FAMILY = Family("invariance", evaluates=True)


def _batch_axis(case: Case, name: str) -> int:
    if case.cell:
        return 0
    return 0 if name in ("input", "output") and case.batch_first else 1


def _rows(case: Case, index: Any) -> tuple[Array, list[Array]]:
    """Input and states with the batch rows taken in the order of `index`."""
    x = np.take(case.input_array, index, axis=_batch_axis(case, "input"))
    axis = _batch_axis(case, "state")
    return x, [np.take(s, index, axis=axis) for s in case.state_arrays]


@FAMILY.claims(
    "A batch row alone gives what it gives in the batch.",
    "f(x)_b = f(x_b)",
    of=STATEFUL,
    least={"batch": 2},
    forms=("dense", "ragged"),
)
def batch_rows_are_independent(subject: Subject, case: Case, check: Check) -> None:
    assert case.batch is not None
    row = case.seed % case.batch
    module = subject.build(case)
    x, state = _rows(case, np.array([row]))
    lengths = None if case.lengths is None else (case.lengths[row],)
    alone = case.but(batch=1, lengths=lengths, layout="contiguous")
    if lengths is not None:
        x = np.take(x, np.arange(lengths[0]), axis=case.time_axis)
        alone = alone.but(time=lengths[0], enforce_sorted=True)
    whole, want = subject.run(case, module), expected(case)
    got = subject.run(alone, module, x=x, state=state)
    for name, ball in want.items():
        axis = _batch_axis(case, name)
        index: list[slice | int] = [slice(None)] * ball.ndim
        index[axis] = slice(row, row + 1)
        if name == "output" and lengths is not None:
            index[1 - axis] = slice(0, lengths[0])
        part = tuple(index)
        agree(check, f"{name} of row {row}", got[name], whole[name][part], ball[part], ball[part])


@FAMILY.claims(
    "Permuting the batch permutes the results.",
    "f(Px) = P f(x)",
    of=STATEFUL,
    least={"batch": 2},
    forms=("dense",),
)
def batch_permutation(subject: Subject, case: Case, check: Check) -> None:
    assert case.batch is not None
    order = np.random.RandomState(case.seed).permutation(case.batch)
    module = subject.build(case)
    x, state = _rows(case, order)
    got, moved = subject.run(case, module), subject.run(case, module, x=x, state=state)
    for name, ball in expected(case).items():
        axis = _batch_axis(case, name)
        permuted = np.take(got[name].double().cpu().numpy(), order, axis=axis)
        at = (slice(None),) * axis + (order,)
        agree(check, name, moved[name], permuted, ball[at], ball[at])


@FAMILY.claims(
    "An unbatched input gives what a batch of one gives.",
    "f(x) = f([x])_0",
    forms=("unbatched",),
)
def unbatched_is_a_batch_of_one(subject: Subject, case: Case, check: Check) -> None:
    case = case.but(batch=None, layout="contiguous")
    want = expected(case)
    axis = 0 if case.cell or case.batch_first else 1
    x = np.expand_dims(case.input_array, axis)
    state_axis = 0 if case.cell else 1
    state = [np.expand_dims(s, state_axis) for s in case.state_arrays]
    module = subject.build(case)
    got, batched = (
        subject.run(case, module),
        subject.run(case.but(batch=1), module, x=x, state=state),
    )
    for name, ball in want.items():
        one = np.take(batched[name].double().cpu().numpy(), 0, axis=_batch_axis(case, name))
        agree(check, name, got[name], one, ball, ball)


@FAMILY.claims(
    "batch_first transposes input and output, and not the states.",
    "f_bf(xᵀ) = f(x)ᵀ",
    of=LAYERS,
    forms=("dense", "ragged"),
    batch_first=True,
)
def batch_first_transposes(subject: Subject, case: Case, check: Check) -> None:
    want = expected(case)
    plain = case.but(batch_first=False, layout="contiguous")
    x = np.ascontiguousarray(np.swapaxes(case.input_array, 0, 1))
    got, other = subject.run(case), subject.run(plain, x=x, state=case.state_arrays)
    for name, ball in want.items():
        values = other[name].double().cpu().numpy()
        if name == "output":
            values = np.swapaxes(values, 0, 1)
        agree(check, name, got[name], values, ball, ball)


def _permuted(w: Array, shape: Shape, order: Any) -> Array:
    """A weight with the hidden units in another order, in each block of H of each dimension."""
    for axis, terms in enumerate(shape.dimensions):
        if any(letter == "H" for _, letter in terms) and len(terms) > 1:
            raise Unsupported(f"a weight has the shape {shape.text}, with other rows beside H")
        for factor, letter in terms:
            if letter == "H":
                blocks = [k * len(order) + order for k in range(factor)]
                w = np.take(w, np.concatenate(blocks), axis=axis)
    return w


@FAMILY.claims(
    "Permuting the hidden units permutes the states.",
    "W_ih, b → P·, W_hh → P W_hh Pᵀ, s_0 → P s_0 gives P s_t",
    of=DROP_IN,
    forms=UNPACKED,
    num_layers=1,
    bidirectional=False,
    proj_size=0,
    least={"hidden": 2},
)
def hidden_permutation(subject: Subject, case: Case, check: Check) -> None:
    order = np.random.RandomState(case.seed).permutation(case.hidden_size)
    shapes = KINDS[case.kind].shapes
    weights = {
        name: _permuted(w, shapes[name.removesuffix("" if case.cell else "_l0")], order)
        for name, w in case.weight_arrays.items()
    }
    got, want = subject.run(case), expected(case)
    state = [s[..., order] for s in case.state_arrays]
    if KINDS[case.kind].declared is not None:
        other = expected(case, state=state, weights=weights)
        if not all(overlap(other[name], ball[..., order]) for name, ball in want.items()):
            raise Unsupported(f"the units of {case.kind} are not exchangeable")
    moved = subject.run(case, state=state, weights=weights)
    for name, ball in want.items():
        permuted = got[name].double().cpu().numpy()[..., order]
        agree(check, name, moved[name], permuted, ball[..., order], ball[..., order])


def _exchanged_biases(case: Case) -> dict[str, Array]:
    """Weights with b_ih and b_hh exchanged, except the rows of a candidate that is reset."""
    if len(case.biases) < 2:
        raise Unsupported(f"there is one bias, b_{case.biases[0]}")
    reset = not KINDS[case.kind].sums_biases and case.reset_after
    keep = slice(2 * case.hidden_size if reset else None)
    weights = dict(case.weight_arrays)
    for name in case.weight_arrays:
        if name.startswith("bias_hh"):
            other = name.replace("_hh", "_ih")
            b_ih, b_hh = weights[other].copy(), weights[name].copy()
            b_ih[keep], b_hh[keep] = b_hh[keep].copy(), b_ih[keep].copy()
            weights[other], weights[name] = b_ih, b_hh
    return weights


@FAMILY.claims(
    "b_ih and b_hh may be exchanged, except in the rows of the GRU's candidate.",
    "(b_ih, b_hh) → (b_hh, b_ih) gives the same; in a GRU for the rows of r and z",
    of=NAMED,
    bias=True,
)
def bias_may_be_split_anyhow(subject: Subject, case: Case, check: Check) -> None:
    weights = _exchanged_biases(case)
    got, moved = subject.run(case), subject.run(case, weights=weights)
    want, other = expected(case), expected(case, weights=weights)
    for name, ball in want.items():
        agree(check, name, moved[name], got[name], other[name], ball)


@FAMILY.claims(
    "The GRU's candidate bias b_hn is scaled by the reset gate, and b_in is not.",
    "n = tanh(W_in x + b_in + r∘(W_hn h + b_hn))",
    of=GRUS,
    bias=True,
    regimes=ORDINARY,
)
def candidate_bias_is_reset(subject: Subject, case: Case, check: Check) -> None:
    if not case.reset_after:
        raise Unsupported("the reset gate comes before the matmul, and b_hn after it")
    if len(case.biases) < 2:
        raise Unsupported(f"there is one bias, b_{case.biases[0]}")
    weights = dict(case.weight_arrays)
    n = slice(2 * case.hidden_size, None)
    for name in case.weight_arrays:
        if name.startswith("bias"):
            b = weights[name].copy()
            b[n] = 1.0 if "_hh" in name else 0.0
            weights[name] = b
    got = subject.run(case, weights=weights)
    compare_all(check, got, expected(case, weights=weights))


@FAMILY.claims(
    "A tanh RNN without bias is an odd function of its input and its state.",
    "f(−x, −h) = −f(x, h)",
    of=RNNS,
    bias=False,
    nonlinearity="tanh",
)
def rnn_without_bias_is_odd(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    got = subject.run(case, module)
    negated = [-s for s in case.state_arrays]
    mirrored = subject.run(case, module, x=-case.input_array, state=negated)
    for name, ball in expected(case).items():
        agree(check, name, mirrored[name], -got[name], -ball, ball)
