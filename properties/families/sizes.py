"""Sizes: results and gradients where one size, or the product of two, is large.

A case elsewhere has sizes up to 129.  A kernel may recurse over time, wrap an index, or use another
code path for a large size, so each case here has one size far above that, under a budget of work.
The weights contract: after thousands of steps the bound is then still as small as after a few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gatewise.reference.classes import CLASSES
from gatewise.reference.formats import Array

from ..cases.case import Case
from ..cases.values import seeded
from ..checking.comparison import Check
from ..checking.derivatives import compare_gradients, record, tensors
from ..checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ..precisions import FLOAT32, only
from ..subjects.capabilities import Unsupported
from ..subjects.protocol import Subject
from .property import Family

FAMILY = Family("sizes")

#: Variant → the fields of its case.  2^16 lies between 255·257 and 257·257, and 65,537 is past it.
LARGE: dict[str, dict[str, Any]] = {
    "257 steps": {"time": 257},
    "1025 steps": {"time": 1025},
    "2049 steps": {"time": 2049},
    "257 rows of 257 steps": {"batch": 257, "time": 257, "hidden_size": 2},
    "1025 rows": {"batch": 1025, "time": 2},
    "65537 rows": {"batch": 65537, "hidden_size": 1},
    "hidden 513": {"hidden_size": 513, "time": 2},
    "hidden 1024": {"hidden_size": 1024, "time": 2},
    "129 steps of hidden 513": {"hidden_size": 513, "time": 129, "batch": 1},
    "input 1025": {"input_size": 1025, "time": 2},
    "4 layers": {"num_layers": 4, "time": 3},
    "8 layers of two directions": {"num_layers": 8, "bidirectional": True, "time": 3},
    "packed, 1025 rows": {"batch": 1025, "time": 4, "packed": True},
    "packed, 1025 steps": {"batch": 3, "time": 1025, "packed": True},
}

#: What needs more than a call on tensors: the option that a subject may not offer.
_NEEDS = ("num_layers", "bidirectional", "packed")


def _of(*names: str) -> Any:
    """For a class, the variants among `names` that it can have: a cell has rows and widths."""

    def variants(like: str) -> Iterator[str]:
        for name in names:
            layers = {"num_layers", "packed"} & set(LARGE[name])
            if not CLASSES[like].cell or not (layers or LARGE[name].get("time", 2) > 2):
                yield name

    return variants


def large(subject: Subject, case: Case) -> Case:
    """The large case that a drawn case stands for; its options are those of the drawn one.

    Raises `Unsupported` where the subject does not offer what the variant needs.
    """
    own: Mapping[str, Any] = LARGE[case.variant]
    for need in _NEEDS:
        if need in own and need in subject.unsupported:
            raise Unsupported(subject.unsupported[need])
    changes = {name: value for name, value in own.items() if name != "packed"}
    if case.cell:
        changes.pop("time", None)
    if "packed" in own:
        rng, time = seeded(case.seed, 3), own["time"]
        lengths = [time, *(int(n) for n in rng.randint(1, time + 1, size=own["batch"] - 1))]
        changes |= {"lengths": tuple(lengths), "enforce_sorted": False}
    return case.but(**changes)


#: Above this hidden size the small regime does not contract by itself.
_CONTRACTS = 64


def contracting(case: Case) -> dict[str, Array]:
    """The weights of a large case, made smaller by a power of 2, which is exact, where h is wide.

    A random W_hh with entries of the standard deviation σ has a norm of about 2σ√H.  With a norm
    above 1 an error grows with each step, and after a hundred steps the bound says nothing.
    """
    weights = case.weight_arrays
    if case.hidden_size <= _CONTRACTS:
        return weights
    widest = max(2 * float(w.std()) * case.hidden_size**0.5 for w in weights.values() if w.ndim > 1)
    factor = 2.0 ** -max(0, math.ceil(math.log2(2 * widest)))
    return {name: factor * w for name, w in weights.items()}


_SMALL = {
    "forms": ("dense",),
    "most": {"hidden": 4, "input": 4, "batch": 2, "time": 2},
    "least": {"hidden": 2},
    "num_layers": 1,
    "proj_size": 0,
    "weights": "small",
    "inputs": "spread",
    "states": "spread",
    "layout": "contiguous",
}


@FAMILY.claims(
    "Every result equals the reference where one size, or the product of two, is large.",
    "|output − v| ≤ r, |h_n − v| ≤ r, |c_n − v| ≤ r",
    precisions=FLOAT32,
    share=0.02,
    sweep=True,
    variants=_of(*LARGE),
    **_SMALL,
)
def large_sizes_equal_reference(subject: Subject, case: Case, check: Check) -> None:
    case = large(subject, case)
    weights = contracting(case)
    want, got = expected(case, weights=weights), subject.run(case, weights=weights)
    compare_all(check, got, want, f"{case.variant}: ", case.time_axis)


@FAMILY.claims(
    "Every gradient equals backpropagation through time where one size is large.",
    "|∂Σ⟨u, result⟩/∂θ − v| ≤ r, for every θ",
    precisions=only("float64"),
    share=0.02,
    sweep=True,
    needs=("gradients",),
    variants=_of(
        "257 steps",
        "1025 steps",
        "1025 rows",
        "257 rows of 257 steps",
        "hidden 513",
        "8 layers of two directions",
    ),
    **_SMALL,
)
def large_sizes_give_the_gradients(subject: Subject, case: Case, check: Check) -> None:
    case = large(subject, case)
    upstream, weights = upstream_arrays(case), contracting(case)
    run = record(subject, case, module=subject.build(case, weights))
    run.backward(tensors(subject, case, upstream))
    want = expected_gradients(case, upstream, weights=weights)
    compare_gradients(check, run.gradients, want, f"{case.variant}: gradient of ")
