"""Lengths: a padded input with lengths or a mask, and resets inside a sequence.

torch.nn takes none of them; an adapter states which of them an implementation takes, and a
PackedSequence is passed as lengths too.  The claims here are those that a PackedSequence cannot
ask: rows of length zero, every length up to T, what stands in the padding, and masks with holes.
B is the batch, T the time; the input is (T, B, I).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatewise.reference.ball import Ball
from gatewise.reference.classes import LAYERS
from gatewise.reference.formats import Array

from ..cases.case import Case
from ..cases.values import ORDINARY, seeded
from ..checking.comparison import Check, Expected
from ..checking.oracle import expected, expected_gradients, upstream_arrays
from ..levels import HARDENING
from ..subjects.protocol import Results, Subject
from .property import Family

FAMILY = Family("lengths")

#: The input of every claim here is a padded tensor (T, B, I).
_PADDED: dict[str, Any] = {"of": LAYERS, "forms": ("dense",), "batch_first": False}

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


def _drawn(case: Case, least: int = 1) -> Integers:
    """A length from `least` to T for each row; one row has T."""
    assert case.batch is not None
    rng = seeded(case.seed, 12)
    lengths = rng.randint(least, case.time + 1, size=case.batch)
    lengths[rng.randint(case.batch)] = case.time
    return np.asarray(lengths, dtype=np.int64)


def _ragged(case: Case, lengths: Integers) -> Case:
    """The case with these lengths, for the reference."""
    return case.but(lengths=tuple(map(int, lengths)), enforce_sorted=False)


def _call(subject: Subject, case: Case, x: Array | None = None, **given: Any) -> Results:
    """Results for lengths, steps or resets that are given as NumPy arrays."""
    placed = case if x is None else case.but(layout="contiguous")
    values = case.input_array if x is None else x
    inputs, states = subject.given(placed, x=values, state=case.state_arrays)
    own = {n: torch.from_numpy(np.array(v)).to(inputs.device) for n, v in given.items()}
    with torch.no_grad():
        return subject.returned(subject.build(case), inputs, states, **own)


def _compare(
    check: Check,
    case: Case,
    got: Results,
    want: dict[str, Ball],
    running: Booleans,
    rows: Any = None,
) -> None:
    """Compare the output where `running` (T, B) is true, and the final states of some rows."""
    ball = want["output"]
    bound = np.where(running[..., None], ball.radius, np.inf)
    check.close("output", got["output"], Expected(ball.v, bound, "ball radius of the reference"))
    for name in case.final_names:
        part = slice(None) if rows is None else rows
        check.close(name, got[name][:, part], want[name][:, part])


def _running(case: Case, lengths: Integers) -> Booleans:
    """Where a row has a step, (T, B)."""
    return np.arange(case.time)[:, None] < lengths


@FAMILY.claims(
    "A row of length zero keeps its initial state, or has a state of zeros where none is passed, "
    "and does not change the other rows.",
    "ℓ_b = 0 ⇒ h_n[:, b] = h_0[:, b], c_n[:, b] = c_0[:, b]",
    extra="lengths",
    least={"batch": 2},
    **_PADDED,
    variants=("some", "all"),
)
def a_row_of_length_zero_keeps_its_state(subject: Subject, case: Case, check: Check) -> None:
    assert case.batch is not None
    lengths = _drawn(case, least=0)
    lengths[case.seed % case.batch if case.variant == "some" else slice(None)] = 0
    got = _call(subject, case, lengths=lengths)
    empty = lengths == 0
    want = expected(_ragged(case, np.maximum(lengths, 1)))
    _compare(check, case, got, want, _running(case, lengths), np.flatnonzero(~empty))
    for name, start in zip(case.final_names, case.state_arrays, strict=True):
        kept = Expected(start[:, empty], np.zeros_like(start[:, empty]), "the initial state itself")
        check.close(f"{name} of rows of length 0", got[name][:, empty], kept)


@FAMILY.claims(
    "Every length from 1 to T gives that many steps, in one batch of T rows.",
    "h_n[:, b] = f(x_b[:b+1])_n for b = 0 … T−1",
    extra="lengths",
    share=0.25,
    most={"input": 4, "hidden": 4},
    **_PADDED,
)
def every_length_is_taken_as_it_is(subject: Subject, case: Case, check: Check) -> None:
    time = 16 + int(seeded(case.seed, 12).randint(49))
    case = case.but(time=time, batch=time)
    lengths = np.arange(1, time + 1)
    got = _call(subject, case, lengths=lengths)
    _compare(check, case, got, expected(_ragged(case, lengths)), _running(case, lengths))


def _with_padding(case: Case, lengths: Integers, content: Any) -> Array:
    past = ~_running(case, lengths)
    return np.where(past[..., None], content, case.input_array)


@FAMILY.claims(
    "Other finite numbers in the padding of a padded input do not change the results.",
    "f(x + padding, ℓ) = f(x, ℓ)",
    extra="lengths",
    share=0.5,
    **_PADDED,
)
def padded_numbers_do_not_matter(subject: Subject, case: Case, check: Check) -> None:
    lengths = _drawn(case)
    largest = np.sqrt(case.rounding.storage.largest)
    other = case.rounding.storage.round(largest * seeded(case.seed, 13).uniform(-1, 1))
    got = _call(subject, case, x=_with_padding(case, lengths, other), lengths=lengths)
    _compare(check, case, got, expected(_ragged(case, lengths)), _running(case, lengths))


@FAMILY.claims(
    "NaN and infinities in the padding of a padded input do not change the results.",
    "f(x + padding, ℓ) = f(x, ℓ)",
    level=HARDENING,
    beyond="A mask that is a factor, 0 · NaN, passes NaN on, and many libraries mask in this way.",
    extra="lengths",
    share=0.5,
    **_PADDED,
    variants=("nan", "inf"),
)
def nan_in_padded_steps_goes_nowhere(subject: Subject, case: Case, check: Check) -> None:
    lengths = _drawn(case)
    content = {"nan": np.nan, "inf": np.inf}[case.variant]
    got = _call(subject, case, x=_with_padding(case, lengths, content), lengths=lengths)
    _compare(check, case, got, expected(_ragged(case, lengths)), _running(case, lengths))


@FAMILY.claims(
    "The gradient by a padded input is that of the sequences alone, and zero in the padding.",
    "∂loss/∂x[t, b] = 0 for t ≥ ℓ_b",
    extra="lengths",
    needs=("gradients",),
    **_PADDED,
    layout="contiguous",
    # Where a step overflows, 0 · ∞ in the backward pass of a mask is NaN, rightly.
    regimes=ORDINARY,
)
def padding_has_no_gradient(subject: Subject, case: Case, check: Check) -> None:
    lengths = _drawn(case)
    running, ragged = _running(case, lengths), _ragged(case, lengths)
    upstream = upstream_arrays(case)
    upstream["output"] = upstream["output"] * running[..., None]
    inputs, states = subject.given(case)
    inputs.requires_grad_()
    ends = torch.from_numpy(lengths).to(inputs.device)
    got = subject.returned(subject.build(case), inputs, states, lengths=ends)
    torch.autograd.backward(list(got.values()), [_like(got[n], upstream[n]) for n in got])
    check.close("gradient of input", inputs.grad, expected_gradients(ragged, upstream)["input"])
    past = Expected(np.zeros(case.input_shape), np.where(running[..., None], np.inf, 0.0), "zero")
    check.close("gradient of input in the padding", inputs.grad, past)


def _like(result: Tensor, values: Array) -> Tensor:
    return torch.from_numpy(values).to(device=result.device, dtype=result.dtype)


@FAMILY.claims(
    "A step that a mask leaves out is skipped: the state goes past it unchanged.",
    "f(x, m)_t = f(x_b[m_b])_{m_b[:t].sum()}, and the final states alike",
    extra="mask",
    least={"time": 2},
    **_PADDED,
)
def a_masked_step_is_skipped(subject: Subject, case: Case, check: Check) -> None:
    assert case.batch is not None
    rng = seeded(case.seed, 12)
    steps = rng.randint(2, size=(case.time, case.batch)).astype(bool)
    steps[rng.randint(case.time)] = True
    got = _call(subject, case, steps=steps)
    # Row b of the reference's input has the steps of row b that count, one after the other.
    order = np.argsort(~steps, axis=0, kind="stable")
    x = np.take_along_axis(case.input_array, order[..., None], axis=0)
    want = expected(_ragged(case, steps.sum(axis=0)), x=x)
    place = torch.from_numpy(order).to(got["output"].device)[..., None]
    got["output"] = got["output"].gather(0, place.expand_as(got["output"]))
    running = np.take_along_axis(steps, order, axis=0)
    _compare(check, case, got, want, running)


@FAMILY.claims(
    "After a reset inside a sequence a row goes on as one that begins there with a state of zeros.",
    "f(x, r)[t, b] = f(x_b[r_b:])_{t − r_b} for t ≥ r_b",
    extra="resets",
    least={"time": 2},
    **_PADDED,
    bidirectional=False,
)
def a_reset_begins_with_zeros(subject: Subject, case: Case, check: Check) -> None:
    assert case.batch is not None
    # A row with a reset at T has none.
    at = seeded(case.seed, 12).randint(case.time + 1, size=case.batch)
    time = np.arange(case.time)[:, None]
    got = _call(subject, case, resets=time == at)
    before = expected(case)
    order = (time + at) % case.time
    x = np.take_along_axis(case.input_array, order[..., None], axis=0)
    rest = _ragged(case, np.maximum(case.time - at, 1)).but(with_state=False)
    after = expected(rest, x=x)
    reset = at < case.time
    _compare(check, case, got, before, time < at, np.flatnonzero(~reset))
    place = torch.from_numpy(order).to(got["output"].device)[..., None]
    got["output"] = got["output"].gather(0, place.expand_as(got["output"]))
    _compare(check, case, got, after, time < case.time - at, np.flatnonzero(reset))
