"""Agreement: results equal the reference within the bound, whole and step by step."""

from __future__ import annotations

from gatewise.reference.classes import ALL, LAYERS

from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.oracle import compare_all, discriminates, expected
from ..levels import CONTRACT
from ..precisions import OFFERED
from ..subjects.protocol import Subject
from .interface import final_states
from .property import Family

FAMILY = Family("agreement", evaluates=True)


@FAMILY.claims(
    "Every result equals the reference, for every option and form of input.",
    "|output − v| ≤ r, |h_n − v| ≤ r, |c_n − v| ≤ r",
    of=ALL,
    precisions=OFFERED,
    share=2.0,
    edges=True,
    triples=True,
)
def equals_reference(subject: Subject, case: Case, check: Check) -> None:
    got = subject.run(case)
    check.discriminating += discriminates(case)
    compare_all(check, got, expected(case), time_axis=case.time_axis)


@FAMILY.claims(
    "Small gates and candidates keep their relative accuracy.",
    "|output − v| ≤ r, where σ and tanh may be off by 4 ulps of their values and no more",
    level=CONTRACT,
    of=ALL,
    precisions=OFFERED,
    share=0.5,
    edges=True,
)
def small_gates_keep_relative_accuracy(subject: Subject, case: Case, check: Check) -> None:
    """`equals_reference` allows the absolute error of σ by tanh; this claim does not."""
    compare_all(check, subject.run(case), expected(case, relative=True))


@FAMILY.claims(
    "Each step equals one step of the reference from the subject's own state.",
    "|s_{t+1} − step(x_t, s_t)| ≤ r, with s_t as the subject returned it",
    of=LAYERS,
    precisions=OFFERED,
    share=0.5,
    forms=("dense",),
    batch_first=False,
)
def equals_reference_step_by_step(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    x, state = case.input_array, list(case.state_arrays)
    one = case.but(time=1, with_state=True)
    for t in range(case.time):
        got = subject.run(one, module, x=x[t : t + 1], state=state)
        compare_all(check, got, expected(one, x=x[t : t + 1], state=state), f"step {t}: ")
        state = final_states(one, got)
