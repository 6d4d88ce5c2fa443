"""Rejection by torch.nn.utils.rnn: lengths and batch sizes that do not fit a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from gatewise.reference.classes import only

from ...cases.case import Case
from ...checking.comparison import Check
from ...levels import CONTRACT, HARDENING
from ...precisions import FLOAT32
from ...subjects.protocol import Subject
from .arguments import FAMILY
from .arguments import GIVEN as DENSE
from .mistakes import REFUSALS, names_it, on_path, outcome, refused, told
from .reads import BATCH_SIZES

#: How lengths are made wrong; they are sorted, longest first.
LENGTHS: dict[str, Callable[[list[Any]], Any]] = {
    "one fewer": lambda n: n[:-1],
    "one more": lambda n: [*n, 1],
    "one past the end": lambda n: [n[0] + 1, *n[1:]],
    "one of 0": lambda n: [*n[:-1], 0],
    "one negative": lambda n: [*n[:-1], -1],
    "with halves": lambda n: [k + 0.5 for k in n],
    "in two dimensions": lambda n: [n],
    "none": lambda n: [],
}
INPUTS: dict[str, Callable[[Tensor], Any]] = {
    "flattened": lambda x: x.flatten(),
    "a list": lambda x: x.tolist(),
    "None": lambda x: None,
}
WAYS = ("enforce_sorted=True", "enforce_sorted=False")
MAKES = (*REFUSALS, AttributeError)

LENGTH_VARIANTS = (
    *(f"lengths: {how}, {way}" for how in LENGTHS for way in WAYS),
    "lengths: shortest first, enforce_sorted=True",
    *(f"input: {how}, {way}" for how in INPUTS for way in WAYS),
)
SEQUENCES: dict[str, Callable[[PackedSequence], Any]] = {
    "a tensor": lambda p: p.data,
    "a tuple of data and batch sizes": lambda p: (p.data, p.batch_sizes),
    "None": lambda p: None,
}
PADDING_VARIANTS = (
    *(f"batch sizes: {how}" for how in BATCH_SIZES),
    *(f"sequence: {how}" for how in SEQUENCES),
    "total_length: one too short",
    "total_length: 2.5",
)
WORDS = {
    "lengths": ("length",),
    "input": ("input", "'list'", "'nonetype'"),
    "batch sizes": ("batch.?size",),
    "sequence": ("sequence", "'tensor'", "'tuple'", "'nonetype'"),
    "total_length": ("total_length",),
}
GIVEN: dict[str, Any] = {
    **DENSE,
    "precisions": FLOAT32,
    "share": 0.5,
    "layout": "contiguous",
}


def _packed(subject: Subject, case: Case) -> tuple[str, str]:
    """Outcome and message of packing with the case's variant."""
    mistake, _, way = case.variant.rpartition(", ")
    what, _, how = mistake.partition(": ")
    first, ordered = case.batch_first, way == WAYS[0]
    lengths: Any = list(on_path(case, "packed ragged").lengths or ())
    x: Any = subject.input_tensor(case.input_array, case)
    subject.factory(x, torch.tensor(lengths), first, ordered)
    if what == "input":
        x = INPUTS[how](x)
    else:
        lengths = lengths[::-1] if how == "shortest first" else LENGTHS[how](lengths)
    return outcome(lambda: subject.factory(x, torch.tensor(lengths), first, ordered), MAKES)


def _padded(subject: Subject, case: Case) -> tuple[str, str]:
    """Outcome and message of padding with the case's variant."""
    what, _, how = case.variant.partition(": ")
    x = subject.input_tensor(case.input_array, case.but(batch_first=False))
    lengths = torch.tensor(on_path(case, "packed ragged").lengths)
    packed: Any = pack_padded_sequence(x, lengths, case.batch_first)
    subject.factory(packed, case.batch_first, 0.0, case.time)
    total: Any = case.time
    if what == "total_length":
        total = 2.5 if how == "2.5" else case.time - 1
    elif what == "sequence":
        packed = SEQUENCES[how](packed)
    else:
        packed, total = PackedSequence(packed.data, BATCH_SIZES[how](packed.batch_sizes)), None
    return outcome(lambda: subject.factory(packed, case.batch_first, 0.0, total), MAKES)


def _named(case: Case, check: Check, got: str, message: str) -> None:
    refused(check, case, got)
    told(case, message, names_it(message, WORDS[case.variant.partition(": ")[0]]))


@FAMILY.claims(
    "pack_padded_sequence refuses lengths that do not fit the batch (one too few or too many, "
    "past the end, 0, negative, not integers, not sorted where they must be) and an input that is "
    "not a padded batch, with a RuntimeError, ValueError, TypeError, IndexError or AttributeError.",
    "raises(pack(x, ℓ)), ℓ ∉ {1, …, T}ᴮ",
    of=only("Packing"),
    variants=LENGTH_VARIANTS,
    **GIVEN,
    level=CONTRACT,
)
def packing_refuses_what_does_not_fit(subject: Subject, case: Case, check: Check) -> None:
    got, _ = _packed(subject, case)
    refused(check, case, got)


@FAMILY.claims(
    "The exception that pack_padded_sequence raises names the argument.",
    "argument ∈ message",
    of=only("Packing"),
    variants=LENGTH_VARIANTS,
    **GIVEN,
    level=HARDENING,
    beyond="torch.nn documents no wording. A caller who catches the exception is served by any.",
)
def packing_refusals_name_the_argument(subject: Subject, case: Case, check: Check) -> None:
    _named(case, check, *_packed(subject, case))


@FAMILY.claims(
    "pad_packed_sequence refuses batch sizes that do not fit the data, an object that is not a "
    "PackedSequence, and a total_length that is below the longest length or not an integer, with a "
    "RuntimeError, ValueError, TypeError, IndexError or AttributeError.",
    "raises(pad(P)), ΣB_t ≠ rows of data, or B_t < B_{t+1}, or B_t < 0",
    of=only("Padding"),
    variants=PADDING_VARIANTS,
    **GIVEN,
    level=CONTRACT,
)
def padding_refuses_what_does_not_fit(subject: Subject, case: Case, check: Check) -> None:
    got, _ = _padded(subject, case)
    refused(check, case, got)


@FAMILY.claims(
    "The exception that pad_packed_sequence raises names the argument.",
    "argument ∈ message",
    of=only("Padding"),
    variants=PADDING_VARIANTS,
    **GIVEN,
    level=HARDENING,
    beyond="torch.nn documents no wording. A caller who catches the exception is served by any.",
)
def padding_refusals_name_the_argument(subject: Subject, case: Case, check: Check) -> None:
    _named(case, check, *_padded(subject, case))
