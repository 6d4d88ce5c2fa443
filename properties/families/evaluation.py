"""Evaluation: several calls of one module in evaluation mode, which must not know of each other.

The families agreement, composition, invariance, packing, determinism, memory and weights draw the
mode of the module for every case.  Here is what they do not ask: batches that follow each other.
"""

from __future__ import annotations

import torch

from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..checking.comparison import Check, bits
from ..checking.oracle import compare_all, expected
from ..levels import VALUES
from ..subjects.protocol import Subject
from .modes import FAMILY


def following(case: Case) -> Case:
    """Another batch for the same module: other values, a row more and a step more."""
    batch = None if case.batch is None else case.batch + 1
    time = case.time if case.cell else case.time + 1
    return case.but(seed=case.seed ^ 1, batch=batch, time=time, lengths=None)


@FAMILY.claims(
    "In evaluation each batch gives what it gives alone, whatever batches came before it, and "
    "whatever the caller wrote to their results; no later batch changes a result.",
    "eval: f(x), f(x′), f(x), f(x′), no state passed: |f − v| ≤ r each time",
    of=ALL,
    level=VALUES,
    share=0.2,
    training=False,
    with_state=False,
    variants=("no_grad", "grad", "inference"),
)
def evaluation_batches_are_independent(subject: Subject, case: Case, check: Check) -> None:
    module, other = subject.build(case), following(case)
    want = [expected(case), expected(other, weights=case.weight_arrays)]
    kept: dict[str, torch.Tensor] = {}
    with torch.inference_mode(case.variant == "inference"):
        for k in range(4):
            before = {name: bits(t) for name, t in kept.items()}
            batch = (case, other)[k % 2]
            with torch.set_grad_enabled(case.variant == "grad"):
                results = subject.call(batch, module, *subject.given(batch))
            compare_all(check, results, want[k % 2], f"of batch {k + 1} in evaluation: ")
            for name, t in kept.items():
                label = f"{name} of batch {k} keeps its bytes in the call of batch {k + 1}"
                check.same(label, torch.equal(before[name], bits(t)), True)
                t.fill_(torch.nan)
            kept = {name: t.detach() for name, t in results.items()}
