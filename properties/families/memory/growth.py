"""Growth: many calls of one kind leave no more behind than fewer did."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gatewise.reference.classes import LAYERS

from ...cases.case import Case
from ...checking.comparison import Check
from ...checking.derivatives import tensors
from ...checking.oracle import upstream_arrays
from ...precisions import FLOAT32
from ...subjects.capabilities import Unsupported
from ...subjects.protocol import Subject
from .claims import FAMILY
from .peak import LiveBytes

#: The calls before the first count, and between the first count and the second.
CALLS = 100

#: Kind of call → what it needs of a subject.
KINDS = {"no_grad": "", "grad": "", "raises": "", "backward": "gradients", "packed": "packed"}


def _kinds(like: str) -> tuple[str, ...]:
    """The kinds of call of a class: only a layer takes packed sequences."""
    return tuple(KINDS)[: None if like in LAYERS else -1]


def _call(subject: Subject, case: Case, module: nn.Module) -> Callable[[], None]:
    """One call of the kind of the case's variant, on tensors of its own."""
    x, states = subject.given(case)
    upstream = None
    if case.variant == "backward":
        upstream = tensors(subject, case, upstream_arrays(case))

    def fresh() -> tuple[Tensor, tuple[Tensor, ...] | None]:
        return x.clone(), None if states is None else tuple(s.clone() for s in states)

    def forward() -> None:
        subject.call(case, module, *fresh())

    def without_grad() -> None:
        with torch.no_grad():
            forward()

    def backward() -> None:
        results = subject.call(case, module, *fresh())
        assert upstream is not None
        names = [n for n, t in results.items() if t.requires_grad]
        torch.autograd.backward([results[n] for n in names], [upstream[n] for n in names])
        module.zero_grad(set_to_none=True)

    def raising() -> None:
        wide, own = fresh()
        try:
            subject.call(case, module, torch.cat((wide, wide), dim=-1), own)
        except Exception:
            return  # whether it raises is another property's claim

    kinds = {"no_grad": without_grad, "backward": backward, "raises": raising}
    return kinds.get(case.variant, forward)


@FAMILY.claims(
    "Many calls of one kind leave no more tensors and Python objects behind than fewer did.",
    "after 200 calls: bytes(200) <= bytes(100), objects(200) < objects(100) + 100",
    precisions=FLOAT32,
    share=0.02,
    sweep=True,
    forms=("dense",),
    variants=_kinds,
    most={"input": 2, "hidden": 2, "batch": 2},
    num_layers=1,
    bidirectional=False,
    proj_size=0,
    time=1,
)
def calls_leave_nothing_behind(subject: Subject, case: Case, check: Check) -> None:
    """The counts are exact, so there is no rate of false alarms.

    Storages are those that torch's operations made.  A leak adds at least one object or one
    storage for each call.  What is cached once is there at the first count already.
    """
    needed = KINDS[case.variant]
    if needed in subject.unsupported:
        raise Unsupported(subject.unsupported[needed])
    if case.variant == "packed":
        case = case.but(lengths=(case.time,) * (case.batch or 1), enforce_sorted=True)
    call = _call(subject, case, subject.build(case))
    stored, objects = [], []
    gc.freeze()  # what is there already is not counted, and takes no time
    try:
        with LiveBytes() as live:
            for _ in range(2):
                for _ in range(CALLS):
                    call()
                gc.collect()
                stored.append(live.now)
                objects.append(len(gc.get_objects()))
    finally:
        gc.unfreeze()
    kind = f"{case.variant}: "
    check.same(f"{kind}bytes that calls 101 to 200 leave", max(0, stored[1] - stored[0]), 0)
    per_call = max(0, objects[1] - objects[0]) // CALLS
    check.same(f"{kind}Python objects that each of calls 101 to 200 leaves", per_call, 0)
