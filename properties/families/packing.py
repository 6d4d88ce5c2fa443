"""Packing: a PackedSequence gives what each of its sequences gives alone, whatever the padding.

Each promise of `torch.nn.utils.rnn` and of the layers about packed sequences is a claim here.
B is the batch, T the longest length, D the directions, R the width of the hidden state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_sequence,
    pad_packed_sequence,
    unpack_sequence,
)

from gatewise.reference.classes import LAYERS
from gatewise.reference.unroll import reversal

from ..cases.case import Case
from ..cases.values import seeded
from ..checking.comparison import Check, Expected, agree
from ..checking.oracle import compare_all, expected
from ..subjects.protocol import Results, Subject, padded
from .property import Family

FAMILY = Family("packing", evaluates=True)

#: How the lengths of a batch relate to each other.
LENGTHS = ("ragged", "equal", "ones", "different")

#: All lengths from one up to a longest one, for the subjects that pass a length as a share of it.
EVERY = "every"


def _times_that_cut() -> list[int]:
    """Numbers of steps T for which some n / T · T is below n in float32: 22, 23, 29 and so on."""
    steps = np.arange(1, 65, dtype=np.float32)
    return [int(t) for t in steps if (steps / t * t < steps)[: int(t)].any()]


#: The longest lengths of `EVERY`.
LONGEST = _times_that_cut()


def _with_lengths(case: Case) -> Case:
    """The case with lengths of its variant; the input may be longer than the longest of them."""
    batch, time = case.batch, case.time
    assert batch is not None
    rng = seeded(case.seed, 11)
    if case.variant == "equal":
        return case.but(lengths=(time,) * batch, enforce_sorted=bool(rng.randint(2)))
    if case.variant == "ones":
        return case.but(lengths=(1,) * batch, enforce_sorted=bool(rng.randint(2)))
    if case.variant == "different":
        batch = min(batch, time)
        lengths = tuple(1 + int(n) for n in rng.permutation(time)[:batch])
        return case.but(batch=batch, lengths=lengths, enforce_sorted=False)
    if case.variant == EVERY:
        time = LONGEST[rng.randint(len(LONGEST))]
        lengths = tuple(1 + int(n) for n in rng.permutation(time))
        return case.but(batch=time, time=time, lengths=lengths, enforce_sorted=False)
    return case


def _lengths(case: Case) -> tuple[int, ...]:
    assert case.lengths is not None
    return case.lengths


def _packed(subject: Subject, case: Case) -> tuple[PackedSequence, dict[str, Any]]:
    """The case's packed input, and what the subject returns for it."""
    x, states = subject.given(case)
    sequence = subject.pack(case, x)
    with torch.no_grad():
        return sequence, subject.returned(subject.build(case), sequence, states)


def _run(
    subject: Subject,
    case: Case,
    module: nn.Module,
    sequence: PackedSequence,
    states: tuple[Tensor, ...] | None,
) -> Results:
    """Results for a packed sequence, with the output padded time-major to the case's time."""
    with torch.no_grad():
        return padded(subject.returned(module, sequence, states), False, case.time)


def _cut(case: Case, x: Any, time: int) -> Any:
    """The first `time` steps of an input or output, (T, B, ·) or (B, T, ·)."""
    return x[:, :time] if case.batch_first else x[:time]


def _row(case: Case, x: Any, b: int) -> Any:
    """Row b of an input or output, (T, ·)."""
    return x[b] if case.batch_first else x[:, b]


@FAMILY.claims(
    "For a PackedSequence a layer returns a PackedSequence with the same batch sizes, sorted "
    "indices and unsorted indices, and does not modify the input.",
    "out.batch_sizes, out.sorted_indices, out.unsorted_indices = those of the input",
    of=LAYERS,
    share=0.25,
    forms=("ragged",),
    variants=LENGTHS,
)
def packed_gives_packed(subject: Subject, case: Case, check: Check) -> None:
    case = _with_lengths(case)
    sequence, results = _packed(subject, case)
    # Packed again, since a subject that writes to its input would spoil the comparison.
    given = subject.pack(case, subject.given(case)[0])
    output = results["output"]
    check.same("the type of the output", type(output).__name__, "PackedSequence")
    rows = (sum(_lengths(case)), case.options.output_size)
    check.same("shape of the output's data", tuple(output.data.shape), rows)
    for label, packed in (("the output", output), ("the input after the call", sequence)):
        for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            got, want = getattr(packed, name), getattr(given, name)
            got, want = (None if i is None else (i.tolist(), i.dtype) for i in (got, want))
            check.same(f"{name} of {label}", got, want)
    kept = torch.equal(sequence.data, given.data)
    check.same("the input's data after the call is as before", kept, True)


@FAMILY.claims(
    "A sequence in a packed batch gives the outputs that it gives alone, with lengths that are "
    "ragged, all equal, all one or all different.",
    "output[t, b] = f(x_b[:ℓ_b])_t for t < ℓ_b",
    of=LAYERS,
    share=0.25,
    least={"batch": 2},
    forms=("ragged",),
    variants=LENGTHS,
)
def packed_equals_each_sequence_alone(subject: Subject, case: Case, check: Check) -> None:
    case = _with_lengths(case)
    lengths, module = _lengths(case), subject.build(case)
    whole, ball = subject.run(case, module)["output"], expected(case)["output"]
    shortest, longest = int(np.argmin(lengths)), int(np.argmax(lengths))
    for b in dict.fromkeys((shortest, longest, case.seed % len(lengths))):
        time = lengths[b]
        one = case.but(batch=1, time=time, lengths=None, layout="contiguous")
        x = _cut(case, case.input_array, time)
        x = x[b : b + 1] if case.batch_first else x[:, b : b + 1]
        alone = subject.run(one, module, x=x, state=[s[:, b : b + 1] for s in case.state_arrays])
        part = _row(case, _cut(case, ball, time), b)
        got, other = _row(case, _cut(case, whole, time), b), _row(one, alone["output"], 0)
        agree(check, f"output of sequence {b} of length {time}", got, other, part, part)


@FAMILY.claims(
    "The final states are those at the last step of each sequence, in the caller's order.",
    "h_n[:, b], c_n[:, b] = those of f(x_b[:ℓ_b])",
    of=LAYERS,
    share=0.2,
    least={"batch": 2},
    forms=("ragged",),
    variants=(*LENGTHS, EVERY, EVERY),  # twice, so that a run of few cases has it
)
def final_states_are_at_the_true_end(subject: Subject, case: Case, check: Check) -> None:
    case = _with_lengths(case)
    lengths, module = np.asarray(_lengths(case)), subject.build(case)
    got, want = subject.run(case, module), expected(case)
    some = (int(lengths.min()), int(lengths.max()), int(lengths[0]))
    for time in dict.fromkeys(lengths.tolist() if case.variant == EVERY else some):
        # A dense batch, cut at one length: the rows of that length end at its last step.
        cut = case.but(time=time, lengths=None, layout="contiguous")
        x = _cut(case, case.input_array, time)
        ended = subject.run(cut, module, x=x, state=case.state_arrays)
        rows = np.flatnonzero(lengths == time)
        for name in case.final_names:
            part, label = want[name][:, rows], f"{name} of sequences of length {time}"
            agree(check, label, got[name][:, rows], ended[name][:, rows], part, part)


@FAMILY.claims(
    "The reverse direction starts at the last step of each sequence.",
    "output[t, b, R:] = f′(reverse(x_b[:ℓ_b]))_{ℓ_b−1−t}",
    of=LAYERS,
    share=0.2,
    least={"time": 2, "batch": 2},
    forms=("ragged",),
    bidirectional=True,
    num_layers=1,
    batch_first=False,
)
def reverse_starts_at_the_true_end(subject: Subject, case: Case, check: Check) -> None:
    lengths, width = np.asarray(_lengths(case)), case.options.state_size
    index = reversal(case.time, lengths), np.arange(len(lengths))
    got, want = subject.run(case), expected(case)
    ends = "_reverse"
    weights = {n.removesuffix(ends): w for n, w in case.weight_arrays.items() if n.endswith(ends)}
    one = case.but(bidirectional=False, layout="contiguous")
    state = [s[1:] for s in case.state_arrays]
    mirrored = subject.run(one, x=case.input_array[index], state=state, weights=weights)
    other, ball = mirrored["output"].double().cpu().numpy()[index], want["output"][..., width:]
    agree(check, "output of the reverse direction", got["output"][..., width:], other, ball, ball)
    for name in case.final_names:
        label, part = f"{name} of the reverse direction", want[name][1:]
        agree(check, label, got[name][1:], mirrored[name], part, part)


@FAMILY.claims(
    "The content of the padding does not change the results: neither NaN, nor infinities, nor the "
    "largest numbers. NaN in memory before and after the packed data does not change them either.",
    "f(pack(x + padding)) = f(pack(x))",
    of=LAYERS,
    share=0.25,
    forms=("ragged",),
    variants=("nan", "inf", "huge", "band"),
)
def padding_content_cannot_leak(subject: Subject, case: Case, check: Check) -> None:
    lengths, module = np.asarray(_lengths(case)), subject.build(case)
    past = np.arange(case.time)[:, None] >= lengths
    past = past.T if case.batch_first else past
    largest = case.rounding.storage.largest
    content = {"nan": np.nan, "inf": np.inf, "huge": largest, "band": 0.0}[case.variant]
    padded_input = np.where(past[..., None], content, case.input_array)
    x, states = subject.given(case, x=padded_input)
    sequence = subject.pack(case, x)
    if case.variant == "band":
        band = sequence.data.new_full((len(lengths), case.input_size), torch.nan)
        memory = torch.cat((band, sequence.data, band))
        sequence = sequence._replace(data=memory[len(band) : -len(band)])
    got, want = _run(subject, case, module, sequence, states), expected(case)
    if case.batch_first:
        got["output"] = got["output"].transpose(0, 1)
    compare_all(check, got, want, f"with {case.variant} in the padding, ")


@FAMILY.claims(
    "Rows in any order, packed with enforce_sorted=False, give what sorted rows give with "
    "enforce_sorted=True, in the caller's order.",
    "f(pack(x, ℓ))_b = f(pack(Px, Pℓ))_{P(b)}, initial states permuted alike",
    of=LAYERS,
    share=0.2,
    least={"batch": 2},
    forms=("ragged",),
    batch_first=False,
)
def unsorted_equals_sorted(subject: Subject, case: Case, check: Check) -> None:
    lengths = _lengths(case)
    order = np.argsort(np.negative(lengths), kind="stable")
    # A batch that happens to be sorted shows nothing, so its lengths are reversed.
    if order.tolist() == list(range(len(lengths))) and len(set(lengths)) > 1:
        case = case.but(lengths=lengths[::-1])
        lengths = _lengths(case)
        order = np.argsort(np.negative(lengths), kind="stable")
    module = subject.build(case)
    descending = case.but(lengths=tuple(lengths[b] for b in order), enforce_sorted=True)
    x, state = case.input_array[:, order], [s[:, order] for s in case.state_arrays]
    got = subject.run(case.but(enforce_sorted=False), module)
    other = subject.run(descending, module, x=x, state=state)
    for name, ball in expected(case).items():
        part = ball[:, order]
        agree(check, f"{name}, sorted,", got[name][:, order], other[name], part, part)


@FAMILY.claims(
    "pad_packed_sequence pads the output to total_length with padding_value, and returns the "
    "lengths in the caller's order.",
    "output[t, b] = padding_value for ℓ_b ≤ t < total_length",
    of=LAYERS,
    share=0.2,
    forms=("ragged",),
)
def output_pads_to_total_length(subject: Subject, case: Case, check: Check) -> None:
    lengths, ball = np.asarray(_lengths(case)), expected(case)["output"]
    total, fill = case.time + case.seed % 4, -2.5
    output = _packed(subject, case)[1]["output"]
    got, ends = pad_packed_sequence(output, case.batch_first, fill, total)
    check.same("lengths of the output", ends.tolist(), lengths.tolist())
    running = np.arange(total)[:, None] < lengths
    running = (running.T if case.batch_first else running)[..., None]
    room = [(0, total - case.time) if axis == case.time_axis else (0, 0) for axis in range(3)]
    value, bound = (np.pad(part, room) for part in (ball.v, ball.radius))
    formula = "ball radius of the reference before a sequence's end, 0 in the padding"
    want = Expected(np.where(running, value, fill), np.where(running, bound, 0.0), formula)
    check.close(f"output padded with {fill} to {total} steps", got, want)


@FAMILY.claims(
    "A layer takes a batch of pack_sequence like one of pack_padded_sequence, and unpack_sequence "
    "returns each sequence's outputs in the caller's order.",
    "unpack(f(pack_sequence([x_0, …])))_b = f(x_b)",
    of=LAYERS,
    share=0.2,
    forms=("ragged", "equal"),
    batch_first=False,
)
def pack_sequence_gives_each_sequence(subject: Subject, case: Case, check: Check) -> None:
    lengths, want = _lengths(case), expected(case)
    x, states = subject.given(case)
    rows = [x[:time, b] for b, time in enumerate(lengths)]
    sequence = pack_sequence(rows, case.enforce_sorted)
    with torch.no_grad():
        results = subject.returned(subject.build(case), sequence, states)
    outputs = unpack_sequence(results.pop("output"))
    check.same("lengths of the outputs", tuple(len(o) for o in outputs), lengths)
    for b, (output, time) in enumerate(zip(outputs, lengths, strict=True)):
        check.close(f"output of sequence {b}", output, want["output"][:time, b])
    for name in case.final_names:
        check.close(name, results[name], want[name])


@FAMILY.claims(
    "A batch that is packed with equal lengths gives what the dense batch gives.",
    "f(pack(x, (T, …, T))) = f(x)",
    of=LAYERS,
    share=0.25,
    forms=("equal",),
)
def equal_lengths_equal_dense(subject: Subject, case: Case, check: Check) -> None:
    module, want = subject.build(case), expected(case)
    case = case.but(enforce_sorted=bool(case.seed % 2))
    packed, dense = subject.run(case, module), subject.run(case.but(lengths=None), module)
    for name, ball in want.items():
        agree(check, name, packed[name], dense[name], ball, ball)


@FAMILY.claims(
    "batch_first has no effect on a PackedSequence.",
    "f_bf(pack(x)) = f(pack(x))",
    of=LAYERS,
    share=0.2,
    forms=("ragged", "equal"),
    batch_first=False,
)
def batch_first_leaves_packed_alone(subject: Subject, case: Case, check: Check) -> None:
    x, states = subject.given(case)
    sequence, want = subject.pack(case, x), expected(case)
    modules = (subject.build(case.but(batch_first=flag)) for flag in (False, True))
    got, other = (_run(subject, case, module, sequence, states) for module in modules)
    for name, ball in want.items():
        agree(check, f"{name} with batch_first,", other[name], got[name], ball, ball)
