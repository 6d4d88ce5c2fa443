"""Special values: NaN, infinities, the largest and the smallest numbers, and the two zeros.

The reference runs on NaN too, and IEEE 754's rules give the results that are NaN.  Every correct
form of the equations gives NaN in the same results: NaN passes through each operation, and 0 · NaN
does not arise, since no weight is 0.  Only relu may turn NaN into 0, as IEEE 754's maxNum does.  An
infinite pre-activation stands for the limit of large ones: σ is 0 or 1, and tanh is ±1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gatewise.reference.ball import Ball
from gatewise.reference.classes import NAMED
from gatewise.reference.formats import Array

from ..cases.case import Case
from ..cases.values import NONZERO, ORDINARY, seeded, signs
from ..checking.comparison import Check, agree
from ..checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ..precisions import PLAIN
from ..subjects.protocol import Results, Subject
from .property import STATEFUL, Family

FAMILY = Family("special_values")


#: A large number in place of an infinity.  Times the least weight (1/4 over the root of the largest
#: fan-in) it is at least 2¹⁴, where σ is 0 or 1 and tanh ±1 in every format.  It is far below the
#: largest float32.
_FAR = 2.0**20


def _place(case: Case) -> tuple[int, tuple[int, ...]]:
    """A drawn row, and the index in the input of a feature at one of its steps, not of padding."""
    assert case.batch is not None
    rng = seeded(case.seed, 6)
    b, feature = int(rng.randint(case.batch)), int(rng.randint(case.input_size))
    if case.cell:
        return b, (b, feature)
    t = int(rng.randint(case.time if case.lengths is None else case.lengths[b]))
    return b, ((b, t, feature) if case.batch_first else (t, b, feature))


def _sign(case: Case) -> float:
    return -1.0 if case.seed & 1 else 1.0


def _with(array: Array, index: tuple[Any, ...], value: float) -> Array:
    changed = np.array(array)
    changed[index] = value
    return changed


def _propagated(check: Check, case: Case, got: Results, want: Mapping[str, Ball]) -> None:
    """Require NaN where the reference has NaN, and every bounded result within its bound."""
    for name, ball in want.items():
        undefined = np.isnan(ball.v)
        if case.nonlinearity != "relu":
            check.not_a_number(name, got[name], undefined)
            if undefined.all():
                continue
        check.close(name, got[name], ball)


@FAMILY.claims(
    "A NaN or an infinity in one row's input or state does not change the other rows, nor the "
    "steps before it (in the reverse direction, the steps after it); a NaN reaches every result "
    "that reads it, but relu may lose it.",
    "x_tb = NaN or ±∞: f(x)_b' = reference for b' ≠ b, and for b where t is not read",
    of=STATEFUL,
    share=0.3,
    least={"batch": 2},
    forms=("dense", "ragged"),
    regimes=NONZERO,
    with_state=True,
    variants=("nan in the input", "nan in a state", "inf in the input", "inf in a state"),
)
def nonfinite_value_stays_in_its_row(subject: Subject, case: Case, check: Check) -> None:
    value = np.nan if case.variant.startswith("nan") else _sign(case) * np.inf
    b, index = _place(case)
    x, state = case.input_array, list(case.state_arrays)
    if case.variant.endswith("state"):
        k = case.seed % len(state)
        row = (Ellipsis, b, case.seed % state[k].shape[-1])
        state[k] = _with(state[k], row, value)
    else:
        x = _with(x, index, value)
    got = subject.run(case, x=x, state=state)
    _propagated(check, case, got, expected(case, x=x, state=state))


@FAMILY.claims(
    "A NaN in one row's input does not change the gradients of the other rows' inputs and states.",
    "x_tb = NaN: ∂L/∂x_b', ∂L/∂s_b' = reference for b' ≠ b",
    share=0.15,
    needs=("gradients",),
    least={"batch": 2},
    forms=("dense", "ragged"),
    regimes=NONZERO,
    with_state=True,
)
def nan_leaves_other_rows_gradients(subject: Subject, case: Case, check: Check) -> None:
    b, index = _place(case)
    inputs = _with(case.input_array, index, np.nan)
    x, states = subject.given(case, x=inputs)
    arguments = {"input": x, **dict(zip(case.start_names, states or (), strict=False))}
    for t in arguments.values():
        t.requires_grad_()
    results = subject.call(case, subject.build(case), x, states)
    upstream = upstream_arrays(case)
    losses = [(results[n] * subject.tensor(d, case)).sum() for n, d in upstream.items()]
    found = torch.autograd.grad(torch.stack(losses).sum(), tuple(arguments.values()))
    want = expected_gradients(case, upstream, x=inputs)
    for name, gradient in zip(arguments, found, strict=True):
        axis = 0 if case.cell or (name == "input" and case.batch_first) else 1
        others: Any = (slice(None),) * axis + (np.delete(np.arange(gradient.shape[axis]), b),)
        check.close(f"gradient of {name} in other rows", gradient[others], want[name][others])


@FAMILY.claims(
    "An infinite input puts the gates that read it to their limits; only opposite infinities in "
    "one sum make NaN.",
    "f(±∞) = lim f(x), x → ±∞;  NaN where ∞ − ∞ is summed",
    of=NAMED,
    share=0.25,
    least={"input": 2},
    forms=("dense", "ragged"),
    regimes=NONZERO,
    nonlinearity="tanh",
    variants=("one", "two"),
)
def infinite_input_saturates(subject: Subject, case: Case, check: Check) -> None:
    _, index = _place(case)
    second = (*index[:-1], (index[-1] + 1) % case.input_size)
    signs = {index: _sign(case)}
    if case.variant == "two":
        signs[second] = -1.0 if case.seed & 2 else 1.0
    x, far = np.array(case.input_array), np.array(case.input_array)
    for place, sign in signs.items():
        x[place], far[place] = sign * np.inf, sign * _FAR
    got, want, limit = subject.run(case, x=x), expected(case, x=x), expected(case, x=far)
    for name, ball in want.items():
        undefined = np.isnan(ball.v)
        check.not_a_number(name, got[name], undefined)
        if undefined.all():
            continue
        # Where the reference is not NaN, no two infinities met: large numbers have the same limit.
        value = np.where(undefined, np.nan, limit[name].v)
        check.close(name, got[name], Ball(value, case.rounding, limit[name].radius))


def _extreme(case: Case) -> tuple[dict[str, Array], Array, Sequence[Array]]:
    """Weights, input and states, with one feature of each row at ±1e4 or ± the largest number.

    Weights are a quarter of the case's, at most 1/2, so that no product overflows.
    """
    fmt, rng = case.rounding.storage, seeded(case.seed, 7)
    value = 1e4 if case.variant.startswith("1e4") else fmt.largest

    def one_a_row(shape: tuple[int, ...]) -> Array:
        one = np.zeros(shape)
        rows = one.reshape(-1, shape[-1])
        columns = rng.randint(shape[-1], size=len(rows))
        rows[np.arange(len(rows)), columns] = value * signs(rng, (len(rows),))
        return fmt.round(one)

    weights = {n: w / 4 if n.startswith("weight") else w for n, w in case.weight_arrays.items()}
    if case.variant.endswith("input"):
        return weights, one_a_row(case.input_shape), case.state_arrays
    return weights, case.input_array, [one_a_row(s.shape) for s in case.state_arrays]


@FAMILY.claims(
    "Inputs and states of ±1e4 and of the format's largest number give saturated gates, not NaN.",
    "σ(±10⁴ w) = 1 or 0, tanh(±10⁴ w) = ±1",
    of=NAMED,
    precisions=PLAIN,
    share=0.15,
    forms=("dense", "unbatched", "ragged"),
    regimes=NONZERO,
    nonlinearity="tanh",
    with_state=True,
    variants=("1e4 in the input", "largest in the input", "1e4 in a state", "largest in a state"),
)
def extreme_values_saturate(subject: Subject, case: Case, check: Check) -> None:
    weights, x, state = _extreme(case)
    got = subject.run(case, x=x, state=state, weights=weights)
    compare_all(check, got, expected(case, x=x, state=state, weights=weights))


@FAMILY.claims(
    "A subnormal number counts as itself or as zero: no operation divides by it or traps.",
    "|f(x) − v| ≤ r, r a few smallest normal numbers, with x, s or W subnormal and no bias",
    share=0.15,
    bias=False,
    variants=("inputs", "weights"),
)
def subnormals_are_kept_or_flushed(subject: Subject, case: Case, check: Check) -> None:
    small = case.variant == "inputs"
    case = case.but(
        inputs="subnormal" if small else "spread",
        states="subnormal" if small else "spread",
        weights="spread" if small else "subnormal",
    )
    compare_all(check, subject.run(case), expected(case))


@FAMILY.claims(
    "The sign of a zero in input, states or weights does not matter.",
    "f(−0) = f(0), as numbers",
    of=STATEFUL,
    share=0.15,
    regimes=ORDINARY,
    with_state=True,
)
def sign_of_zero_does_not_matter(subject: Subject, case: Case, check: Check) -> None:
    rng = seeded(case.seed, 8)

    def zeroed(array: Array) -> tuple[Array, Array]:
        where = rng.randint(3, size=array.shape) == 0
        return np.where(where, 0.0, array), np.where(where, -0.0, array)

    x = zeroed(case.input_array)
    state = [zeroed(s) for s in case.state_arrays]
    weights = {name: zeroed(w) for name, w in case.weight_arrays.items()}
    plus, minus = (
        subject.run(
            case,
            x=x[k],
            state=[s[k] for s in state],
            weights={name: w[k] for name, w in weights.items()},
        )
        for k in (0, 1)
    )
    want = expected(
        case, x=x[0], state=[s[0] for s in state], weights={n: w[0] for n, w in weights.items()}
    )
    for name, ball in want.items():
        agree(check, f"{name} with −0 for 0", minus[name], plus[name], ball, ball)


@FAMILY.claims(
    "A NaN in one weight reaches the weight's unit, then every result that reads that unit, and "
    "nothing else; relu may lose it.",
    "W_jk = NaN: h_j is NaN from the first step; other units, directions and lower layers as were",
    share=0.25,
    regimes=NONZERO,
    with_state=True,
)
def nan_weight_reaches_its_unit(subject: Subject, case: Case, check: Check) -> None:
    rng, names = seeded(case.seed, 9), list(case.weight_arrays)
    name = names[rng.randint(len(names))]
    weights = dict(case.weight_arrays)
    shape = weights[name].shape
    weights[name] = _with(weights[name], tuple(int(rng.randint(n)) for n in shape), np.nan)
    got, want = subject.run(case, weights=weights), expected(case, weights=weights)
    _propagated(check, case, got, want)


@FAMILY.claims(
    "An infinite bias, or an infinite weight of the input, puts its gate to its limit.",
    "b_j = ±∞ or W_ih,jk = ±∞, x_k ≠ 0: f = lim f",
    of=NAMED,
    share=0.2,
    bias=True,
    regimes=NONZERO,
    nonlinearity="tanh",
)
def infinite_weight_saturates_its_gate(subject: Subject, case: Case, check: Check) -> None:
    rng = seeded(case.seed, 10)
    names = [n for n in case.weight_arrays if "bias" in n or n.startswith("weight_ih")]
    # Above the first layer a weight may meet a 0 of the layer below, and 0 · ∞ is NaN.
    names = [n for n in names if "bias" in n or case.cell or n.startswith("weight_ih_l0")]
    name = names[rng.randint(len(names))]
    index = tuple(int(rng.randint(n)) for n in case.weight_arrays[name].shape)
    w = case.weight_arrays[name]
    weights = case.weight_arrays | {name: _with(w, index, _sign(case) * np.inf)}
    far = case.weight_arrays | {name: _with(w, index, _sign(case) * _FAR)}
    compare_all(check, subject.run(case, weights=weights), expected(case, weights=far))
