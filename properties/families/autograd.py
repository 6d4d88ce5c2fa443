"""Autograd: backward passes accumulate gradients, repeat them, and skip frozen leaves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatewise.reference.classes import ALL, DROP_IN
from gatewise.reference.formats import Array

from ..cases.case import Case
from ..cases.values import seeded
from ..checking.comparison import Check
from ..checking.derivatives import (
    arguments,
    checkpointed,
    compare_gradients,
    offered,
    record,
    tensors,
)
from ..checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ..subjects.protocol import Subject
from .gradients import SHARE
from .property import Family

FAMILY = Family("autograd", needs=("gradients",))


@FAMILY.claims(
    "The gradients of two backward passes add up in .grad.",
    ".grad = ∂Σ⟨u₁, result⟩ + ∂Σ⟨u₂, result⟩",
    of=ALL,
    share=SHARE,
)
def gradients_accumulate(subject: Subject, case: Case, check: Check) -> None:
    module, given = subject.build(case), arguments(subject, case)
    upstreams = [upstream_arrays(case.but(seed=seed)) for seed in (case.seed, case.seed ^ 1)]
    for upstream in upstreams:
        run = record(subject, case, module=module, given=given)
        run.backward(tensors(subject, case, upstream))
    first, second = (expected_gradients(case, u) for u in upstreams)
    total = {n: ball.settled() + second[n].settled() for n, ball in first.items()}
    compare_gradients(check, run.gradients, total, "accumulated gradient of ")


@FAMILY.claims(
    "A second backward pass through a retained graph gives the same gradient again.",
    "retain_graph: ∂₂ = ∂₁",
    of=ALL,
    share=SHARE,
)
def retained_graph_gives_the_gradient_again(subject: Subject, case: Case, check: Check) -> None:
    upstream = upstream_arrays(case)
    run = record(subject, case)
    for _ in range(2):
        again = run.gradient(tensors(subject, case, upstream), retain_graph=True)
    compare_gradients(check, again, expected_gradients(case, upstream), "second gradient of ")


@FAMILY.claims(
    "For any subset of the leaves, each leaf that requires a gradient gets one, and no other does.",
    "requires_grad(θ) ⇔ θ.grad is not None, for a drawn subset and for what it leaves out",
    of=ALL,
    share=1.5 * SHARE,
)
def only_what_requires_a_gradient_gets_one(subject: Subject, case: Case, check: Check) -> None:
    module, upstream = subject.build(case), upstream_arrays(case)
    want, placed = expected_gradients(case, upstream), tensors(subject, case, upstream)
    names = [*arguments(subject, case), *case.weight_arrays]
    drawn = seeded(case.seed, 8).randint(0, 2, len(names))
    for side in (0, 1):
        requires = {n for n, d in zip(names, drawn, strict=True) if d == side}
        module.zero_grad()
        run = record(subject, case, module=module, requires=requires)
        run.backward(placed)
        for name, leaf in run.leaves.items():
            if name not in requires:
                check.same(f"{name}.grad, which requires none,", leaf.grad, None)
        compare_gradients(check, run.gradients, want)


def for_upstream(
    subject: Subject, case: Case, check: Check, upstream: Mapping[str, Array], layout: str
) -> None:
    """Compare all gradients, with the upstream gradients placed in a memory layout."""
    run = record(subject, case)
    if layout == "scalar":
        placed = {
            n: subject.tensor(u.flat[:1].reshape(()), case, "contiguous").expand(u.shape)
            for n, u in upstream.items()
        }
    else:
        placed = {n: subject.tensor(u, case, layout) for n, u in upstream.items()}
    run.backward(placed)
    want = expected_gradients(case, upstream)
    compare_gradients(check, run.gradients, want, f"for {layout} upstream, gradient of ")


@FAMILY.claims(
    "Upstream gradients may be non-contiguous.",
    "∂ does not depend on the strides of u",
    of=ALL,
    share=SHARE,
    least={"batch": 2, "hidden": 2, "time": 2},
    forms=("dense",),
    variants=("transposed", "strided", "offset"),
)
def upstream_may_be_non_contiguous(subject: Subject, case: Case, check: Check) -> None:
    for_upstream(subject, case, check, upstream_arrays(case), case.variant)


@FAMILY.claims(
    "Upstream gradients may be expanded along one axis, or along all axes as the backward pass of "
    "a sum gives them.",
    "∂ does not depend on strides of 0 in u",
    of=ALL,
    share=SHARE,
    least={"batch": 2, "hidden": 2, "time": 2},
    forms=("dense",),
    variants=("expanded", "scalar"),
)
def upstream_may_be_expanded(subject: Subject, case: Case, check: Check) -> None:
    rows = (slice(None),) if case.variant == "scalar" else (..., slice(1), slice(None))
    upstream = {
        n: np.broadcast_to(u.flat[0] if case.variant == "scalar" else u[rows], u.shape)
        for n, u in upstream_arrays(case).items()
    }
    for_upstream(subject, case, check, upstream, case.variant)


@FAMILY.claims(
    "Under torch.utils.checkpoint, reentrant or not, results and gradients are the same.",
    "checkpoint(f): |f − v| ≤ r, ∂ = BPTT of the reference",
    of=DROP_IN,
    share=0.08,
    sweep=True,
    variants=("reentrant", "not reentrant"),
)
def checkpointing_gives_the_same_gradients(subject: Subject, case: Case, check: Check) -> None:
    upstream, under = upstream_arrays(case), f"under checkpoint, {case.variant}: "
    run = checkpointed(subject, case, subject.build(case), case.variant == "reentrant")
    run.backward(tensors(subject, case, upstream))
    compare_all(check, run.results, expected(case), under)
    compare_gradients(
        check, run.gradients, expected_gradients(case, upstream), f"{under}gradient of "
    )


@FAMILY.claims(
    "Gradients are the same in eval mode, also where other calls come before and in between.",
    "∂ of module.eval() = ∂, with f(x′) before f(x), and between f(x) and ∂",
    of=ALL,
    share=SHARE,
)
def gradients_in_eval_mode(subject: Subject, case: Case, check: Check) -> None:
    upstream = upstream_arrays(case)
    module, other = subject.build(case).eval(), case.but(seed=case.seed ^ 1, with_state=False)
    with offered():
        record(subject, other, module=module)
        run = record(subject, case, module=module)
        subject.run(other, module)
        run.backward(tensors(subject, case, upstream))
    compare_gradients(check, run.gradients, expected_gradients(case, upstream))
