"""Order of calls: a call gives what it gives alone, whatever kind of call came before it.

A kind of call is a mode (training or evaluation), a grad mode, autocast on or off, and the form of
the input.  What one kind of call leaves behind (a weight that it cast or packed, a buffer, the
order of a batch) is met by the next.  Each case draws several ordered pairs of kinds by its seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from gatewise.reference.ball import Ball
from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..cases.values import ORDINARY, seeded
from ..checking.comparison import Check
from ..checking.derivatives import (
    Recorded,
    arguments,
    compare_gradients,
    offered,
    record,
    tensors,
)
from ..checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ..levels import VALUES
from ..precisions import SHORT
from ..subjects.protocol import Subject, load
from .autocast import autocast, like_results
from .modes import FAMILY

#: Ordered pairs of kinds of call that a case draws.
PAIRS = 8


class Kind(NamedTuple):
    """A kind of call; `low` is under autocast."""

    training: bool
    grad: str
    low: bool
    packed: bool

    def __str__(self) -> str:
        words = ("training" if self.training else "evaluation", self.grad)
        return ", ".join((*words, *["autocast"] * self.low, *["packed"] * self.packed))


def pairs(subject: Subject, case: Case, low: bool) -> list[tuple[Kind, Kind]]:
    """The pairs of a case: with `low` at least one of two calls is under autocast, else none."""
    grads = ("no_grad", "inference", *["grad"] * ("gradients" not in subject.unsupported))
    forms = (False,) if case.lengths is None else (False, True)
    kinds = [Kind(*k) for k in product((True, False), grads, (False, low), forms)]
    kinds = list(dict.fromkeys(kinds))
    found = [(a, b) for a, b in product(kinds, kinds) if a.low or b.low or not low]
    # More faults show where the second call trains.
    odds = np.array([3.0 if b.grad == "grad" else 1.0 for _, b in found])
    drawn = seeded(case.seed, 11).choice(len(found), PAIRS, replace=False, p=odds / odds.sum())
    return [found[i] for i in drawn]


@contextmanager
def _entered(subject: Subject, case: Case, module: nn.Module, kind: Kind) -> Iterator[None]:
    """The mode of the module, and the contexts of a kind of call."""
    module.train(kind.training)
    low = autocast(subject, case.precision) if kind.low else nullcontext()
    inference, grad = kind.grad == "inference", kind.grad == "grad"
    with torch.inference_mode(inference), torch.set_grad_enabled(grad), low:
        yield


def _called(subject: Subject, case: Case, module: nn.Module, kind: Kind, wide: Case) -> Recorded:
    """A call of a kind; the module and its arguments have the precision of `wide`."""
    form = wide if kind.packed else wide.but(lengths=None)
    with _entered(subject, case, module, kind):
        given = arguments(subject, form, case.input_array, case.state_arrays)
        if kind.grad == "grad":
            return record(subject, form, module=module, given=given)
        x, *states = given.values()
        return Recorded({}, subject.call(form, module, x, tuple(states) or None))


def in_pairs(subject: Subject, case: Case, check: Check, wide: Case) -> None:
    """Make each pair of calls of the case on a module of its own, and check the second call.

    The first call has other values and, in half of the pairs, other weights.  If the second records
    gradients, they are checked as well.
    """
    upstream = upstream_arrays(case)
    x, states, weights = case.input_array, case.state_arrays, case.weight_arrays
    first_case = case.but(seed=case.seed ^ 1)
    if case.lengths is not None:
        first_case = first_case.but(lengths=case.lengths[::-1], enforce_sorted=False)
    first_wide = first_case.but(precision=wide.precision)

    def of(low: bool, packed: bool) -> Case:
        same = case if low else wide
        return same if packed else same.but(lengths=None)

    @cache
    def results(low: bool, packed: bool) -> dict[str, Ball]:
        return expected(of(low, packed), x=x, state=states, weights=weights)

    @cache
    def gradients(low: bool, packed: bool) -> dict[str, Ball]:
        return expected_gradients(of(low, packed), upstream, x=x, state=states, weights=weights)

    for k, (first, second) in enumerate(pairs(subject, case, wide.precision != case.precision)):
        module = subject.build(wide, first_case.weight_arrays if k % 2 else weights)
        with offered():
            _called(subject, first_case, module, first, first_wide)
        if k % 2:  # where the weights are those of the first call, they must not change at all
            load(module, weights)
        label = f"({second}) after a call ({first})"
        with offered():
            run = _called(subject, case, module, second, wide)
        compare_all(check, run.results, results(second.low, second.packed), f"{label}: ")
        if second.grad == "grad":
            with offered():
                run.backward(like_results(tensors(subject, wide, upstream), run.results))
            want = gradients(second.low, second.packed)
            compare_gradients(check, run.gradients, want, f"{label}: gradient of ")


@FAMILY.claims(
    "A call gives the results and gradients that it gives alone, whatever kind of call came "
    "before it: in training or evaluation, with gradients, without or in inference mode, dense or "
    "packed, with these weights or with others.",
    "f(x) after f(x′; W′) of another kind: |f − v| ≤ r and |∂ − v| ≤ r",
    of=ALL,
    level=VALUES,
    share=0.15,
    forms=("ragged", "dense"),
    most={"time": 4},
    regimes=ORDINARY,
)
def calls_of_any_kind_may_come_before(subject: Subject, case: Case, check: Check) -> None:
    in_pairs(subject, case, check, case)


@FAMILY.claims(
    "A call gives the results and gradients that it gives alone, where it or the call before it "
    "is under autocast, and the two are of any kind.",
    "f(x) after f(x′; W′) of another kind: |f − v| ≤ r and |∂ − v| ≤ r of the second's precision",
    of=ALL,
    precisions=SHORT,
    level=VALUES,
    share=0.15,
    forms=("ragged", "dense"),
    most={"time": 3},
    regimes=ORDINARY,
)
def calls_under_autocast_may_come_before(subject: Subject, case: Case, check: Check) -> None:
    in_pairs(subject, case, check, case.but(precision="float32"))
