"""Conduct: what a subject does to the process that it runs in."""

from __future__ import annotations

from gatewise.reference.classes import ALL

from .. import process_state
from ..cases.case import Case
from ..checking.comparison import Check
from ..levels import CONTRACT
from ..precisions import only as precisions_of
from ..subjects.protocol import Subject
from .property import Family

FAMILY = Family("conduct", CONTRACT)


@FAMILY.claims(
    "Construction and a call print nothing and change no setting of the process: default dtype and "
    "device, threads, grad mode, autocast, determinism, rounding, directory.",
    "state after f = state before f",
    of=ALL,
    precisions=precisions_of("float32", "bfloat16"),
    share=0.6,
)
def the_process_is_left_as_found(subject: Subject, case: Case, check: Check) -> None:
    before = process_state.settings()
    with process_state.printing() as printed:
        try:
            subject.call(case, subject.build(case), *subject.given(case))
        finally:
            after = process_state.settings()
            process_state.restore(before)
    for name, value in after.items():
        check.same(f"after a call, {name}", value, before[name])
    check.same("what a call writes to standard output", printed.text, "")


@FAMILY.claims(
    "A call without dropout draws no random number.",
    "states of the generators of torch, NumPy and Python before f = after f",
    of=ALL,
    share=0.5,
)
def a_call_draws_no_random_number(subject: Subject, case: Case, check: Check) -> None:
    module, given = subject.build(case), subject.given(case)
    for mode in ("training", "evaluation"):
        module.train(mode == "training")
        before = process_state.generators()
        subject.call(case, module, *given)
        for name, digest in process_state.generators().items():
            check.same(f"{name} after a call in {mode}", digest, before[name])
