"""Reads outside of the arguments: no argument is read before its start or past its end."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise.reference.classes import LAYERS

from ...cases.case import Case
from ...cases.values import ORDINARY
from ...checking.comparison import Check
from ...checking.oracle import compare_all, expected
from ...levels import HARDENING
from ...precisions import PLAIN
from ...subjects.protocol import Subject, padded
from .arguments import FAMILY, GIVEN
from .mistakes import REFUSALS, Arguments, on_path, outcome, refused, right_call

#: How many NaN lie before and after a tensor: more than any vector unit reads at once.
BAND = 64


def banded(t: Tensor) -> Tensor:
    """A contiguous copy of a tensor, with `BAND` NaN before and after it in memory.

    Raises `AssertionError` where the bands are not where they should be.
    """
    wide = torch.full((t.numel() + 2 * BAND,), torch.nan, dtype=t.dtype, device=t.device)
    inner = wide[BAND : BAND + t.numel()].view(t.shape)
    inner.copy_(t)
    assert inner.storage_offset() == BAND
    assert inner.untyped_storage().nbytes() == wide.numel() * wide.element_size()
    return inner


@FAMILY.claims(
    "A call reads nothing outside of its arguments: with NaN before and after the input, every "
    "state and every weight in memory, the results equal the reference.",
    "f(NaN [x] NaN, NaN [s] NaN; NaN [W] NaN) = f(x, s; W)",
    precisions=PLAIN,
    share=0.4,
    regimes=ORDINARY,
    layout="contiguous",
    isolated=True,
    level=HARDENING,
    beyond="Results may be right although memory past an end was read: no caller sees it.",
)
def nothing_outside_the_arguments_is_read(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    for parameter in module.parameters():
        parameter.data = banded(parameter.data)
    given = Arguments(subject, case)
    given.change("input", banded)
    states = tuple(banded(s) for s in given.states) if case.with_state else None
    with torch.set_grad_enabled(case.seed % 2 == 0):
        if case.lengths is None:
            results = subject.call(case, module, given.input, states)
        else:
            returned = subject.returned(module, given.input, states)
            results = padded(returned, case.batch_first, case.time)
    compare_all(check, results, expected(case))


def _grown(sizes: Tensor) -> Tensor:
    """The last step loses a row, and a step follows with more rows than any before it."""
    return torch.cat((sizes[:-1], sizes[-1:] - 1, sizes[:1] + 1))


#: Words of a variant → how batch sizes are made wrong.
BATCH_SIZES: dict[str, Callable[[Tensor], Tensor]] = {
    "more rows than there are": lambda sizes: torch.cat((sizes, torch.ones_like(sizes[:1]))),
    "fewer rows than there are": lambda sizes: sizes[:-1],
    "a first step larger than the data": lambda sizes: sizes.sum().view(1) + 1,
    "more rows at a step than before": _grown,
    "a negative number of rows": lambda sizes: torch.cat((sizes, -torch.ones_like(sizes[:1]))),
    "no step at all": lambda sizes: sizes[:0],
}


@FAMILY.claims(
    "A PackedSequence whose batch sizes do not fit its data is refused by a RuntimeError, "
    "ValueError, TypeError or IndexError: no row is left out, and none is read past the end.",
    "raises(f, P), ΣB_t ≠ rows of data, or B_t < B_{t+1}, or B_t < 0",
    of=LAYERS,
    share=0.25,
    variants=tuple(f"batch sizes: {how}" for how in BATCH_SIZES),
    **GIVEN,
)
def batch_sizes_that_do_not_fit_are_refused(subject: Subject, case: Case, check: Check) -> None:
    how = case.variant.partition(": ")[2]
    case = on_path(case, "packed ragged")
    module = right_call(subject, case)
    given = Arguments(subject, case)
    given.input = PackedSequence(given.input.data, BATCH_SIZES[how](given.input.batch_sizes))
    got, _ = outcome(lambda: given.call(module), REFUSALS)
    refused(check, case, got)
