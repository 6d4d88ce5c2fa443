"""Dropout in training together with the rest: recurrent weights, gradients, memory, checkpointing.

The mask is read from a network that shows it (`masks`).  Then the case's own network, whose
recurrent weights are not zero, is called from the same state of the generators.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gatewise.reference.ball import Ball
from gatewise.reference.classes import LAYERS, NAMED_LAYERS

from ...cases.case import Case
from ...cases.values import ORDINARY
from ...checking.comparison import Check
from ...checking.derivatives import checkpointed, compare_gradients, record, tensors
from ...checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ...levels import CONTRACT
from ...precisions import PLAIN, SHORT
from ...subjects.protocol import Subject
from ..gradients import SHARE
from ..memory.claims import MODIFYING, unmodified
from .claims import FAMILY, PROBABILITIES, with_dropout
from .masks import (
    read,
    scale,
    seeded_generators,
    showing_input,
    showing_states,
    showing_weights,
)


@contextmanager
def drawing(subject: Subject, case: Case) -> Iterator[None]:
    """Seed the generators and draw once, so that their state is not the one that a seed gives."""
    with seeded_generators(subject, case.seed):
        torch.rand(1, device=subject.torch_device)
        yield


def mask_of(subject: Subject, case: Case, check: Check) -> Ball:
    """The mask of the case's seed, read in a call that records gradients."""
    weights = showing_weights(case)
    module = subject.build(case, weights).train()
    x, states = subject.given(case, x=showing_input(case), state=showing_states(case))
    with drawing(subject, case):
        output = subject.call(case, module, x, states)["output"]
    kept = read(check, case, output.detach(), weights)
    return scale(case, kept.shape, kept)


def _bounded(case: Case) -> Case:
    """The case; in 16 bits with one step, since the bound of a gradient grows with the steps."""
    return case.but(time=1, lengths=None) if case.precision in SHORT else case


@FAMILY.claims(
    "With dropout, every gradient of a network with recurrent weights is that of the reference "
    "under the same mask.",
    "∂L/∂(x, s_0, W) = BPTT of the reference under mask(seed), for W_hh ≠ 0",
    of=NAMED_LAYERS,
    precisions=PLAIN,
    share=SHARE,
    needs=("gradients",),
    num_layers=2,
    bias=True,
    regimes=ORDINARY,
    variants=PROBABILITIES,
)
def gradients_equal_reference_given_their_mask(subject: Subject, case: Case, check: Check) -> None:
    case = _bounded(with_dropout(case))
    mask, upstream = mask_of(subject, case, check), upstream_arrays(case)
    module = subject.build(case).train()
    with drawing(subject, case):
        run = record(subject, case, module=module)
        run.backward(tensors(subject, case, upstream))
    compare_gradients(check, run.gradients, expected_gradients(case, upstream, masks=[mask]))


@FAMILY.claims(
    "Under torch.utils.checkpoint, reentrant or not, the recomputation draws the mask of the "
    "forward pass: results and gradients are those of the reference under this mask.",
    "checkpoint(f_p): ∂L/∂(x, s_0, W) = BPTT of the reference under mask(seed)",
    of=NAMED_LAYERS,
    level=CONTRACT,
    share=0.08,
    sweep=True,
    needs=("gradients",),
    num_layers=2,
    dropout=0.5,
    bias=True,
    regimes=ORDINARY,
    variants=("reentrant", "not reentrant"),
)
def checkpointing_keeps_the_mask(subject: Subject, case: Case, check: Check) -> None:
    mask, upstream = mask_of(subject, case, check), upstream_arrays(case)
    module = subject.build(case).train()
    with drawing(subject, case):
        run = checkpointed(subject, case, module, case.variant == "reentrant")
        run.backward(tensors(subject, case, upstream))
    under = f"under checkpoint, {case.variant}: "
    compare_all(check, run.results, expected(case, masks=[mask]), under)
    want = expected_gradients(case, upstream, masks=[mask])
    compare_gradients(check, run.gradients, want, f"{under}gradient of ")


@FAMILY.claims(
    "Training with dropout modifies no input, state, weight or upstream gradient.",
    "bytes and version counters before f_p = after f_p, and after its backward pass",
    of=LAYERS,
    level=CONTRACT,
    share=0.15,
    sweep=True,
    num_layers=2,
    dropout=0.5,
    variants=MODIFYING,
)
def dropout_modifies_no_argument(subject: Subject, case: Case, check: Check) -> None:
    with seeded_generators(subject, case.seed):
        unmodified(subject, case, check)
