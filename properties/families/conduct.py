"""Conduct: what a subject does to the process that it runs in."""

from __future__ import annotations

from .. import surroundings
from ..comparison import Check
from ..property import Family
from ..strategies.cases import Case
from ..subjects.protocol import ALL_KINDS, Subject

FAMILY = Family("conduct")


@FAMILY.claims(
    "Construction and a call leave the process as they found it: default dtype and device, "
    "threads, grad mode, autocast, determinism, rounding, directory; and print nothing.",
    "state after f = state before f",
    kinds=ALL_KINDS,
    precisions=("float32", "bfloat16"),
    share=0.6,
)
def the_process_is_left_as_found(subject: Subject, case: Case, check: Check) -> None:
    before = surroundings.settings()
    with surroundings.printing() as printed:
        try:
            subject.call(case, subject.build(case), *subject.given(case))
        finally:
            after = surroundings.settings()
            surroundings.restore(before)
    for name, value in after.items():
        check.same(f"after a call, {name}", value, before[name])
    check.same("what a call writes to standard output", printed.text, "")


@FAMILY.claims(
    "A call without dropout draws no random number.",
    "states of the generators of torch, NumPy and Python before f = after f",
    kinds=ALL_KINDS,
    share=0.5,
)
def a_call_draws_no_random_number(subject: Subject, case: Case, check: Check) -> None:
    module, given = subject.build(case), subject.given(case)
    for mode in ("training", "evaluation"):
        module.train(mode == "training")
        before = surroundings.generators()
        subject.call(case, module, *given)
        for name, digest in surroundings.generators().items():
            check.same(f"{name} after a call in {mode}", digest, before[name])
