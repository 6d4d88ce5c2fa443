"""Makes the structure of a failing case small: rows, steps, layers and options before values.

Hypothesis lowers its draws one after another.  One draw may give a size at a tile edge, and another
draw gives the same size without it.  So 63 rows stay where the other draw says one row, and the
fault needs two: no single draw can be lowered.  Here each size is lowered by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.oracle import NO_VERDICT
from ..subjects.capabilities import narrowed
from .plans import Plan
from .put import put
from .sandbox.parent import Death, SandboxError

#: The most cases that are tried; each is a call of the claim.
MOST = 60
#: The seconds after which no further case is tried: a case of a few claims takes seconds.
SECONDS = 20.0
#: Field of a case → its name among the bounds of sizes.
_SIZES = {"batch": "batch", "time": "time", "hidden_size": "hidden", "input_size": "input"}
#: The own values of a case, and others: in a smaller array the same seed gives other values.
_SEEDS: tuple[dict[str, int], ...] = ({}, {"seed": 1})


def smaller(
    plan: Plan,
    case: Case,
    error: BaseException,
    timeout: float,
    excused: Callable[[Case], bool],
) -> tuple[Case, BaseException]:
    """A case of a smaller structure that fails with an error of the same class, and its error.

    It is the given case if there is none.  `excused` says which cases are not put to the claim.
    """
    left, end = MOST, time.monotonic() + SECONDS
    if isinstance(error, Death):
        return case, error
    found, tried = True, {case}
    while found:
        found = False
        for other in _candidates(plan, case):
            if other in tried or excused(other):
                continue
            if not left or time.monotonic() > end:
                return case, error
            left -= 1
            tried.add(other)
            raised = _raised(plan, other, timeout)
            if type(raised) is type(error):
                case, error, found = other, raised, True
                break
    return case, error


def _raised(plan: Plan, case: Case, timeout: float) -> BaseException | None:
    try:
        put(plan, case, Check(), timeout)
    except SandboxError:
        raise
    except NO_VERDICT:
        return None
    except Exception as error:
        return error
    return None


def _candidates(plan: Plan, case: Case) -> Iterator[Case]:
    """Smaller cases that could have been drawn as well, the smallest first."""
    constraints = plan.prop.constraints
    fixed = {*constraints, *narrowed({}, plan.subject.unsupported, plan.subject.form)}
    least: Mapping[str, int] = constraints.get("least", {})
    for changes in _options(case):
        if not fixed & {*changes}:
            yield case.but(**changes)
    offered = "dense" in constraints.get("forms", ("dense",))
    if case.lengths is not None and "lengths" not in fixed and offered:
        yield case.but(lengths=None, enforce_sorted=False)
    for name, bound in _SIZES.items():
        size = getattr(case, name)
        lowest = max(least.get(bound, 1), 1, case.proj_size + 1 if bound == "hidden" else 1)
        if size is None or name in fixed or size <= lowest:
            continue
        if name == "batch" and case.lengths is not None and least.get("time", 1) > 1:
            continue  # rows that are left out may be the longest
        for lower in dict.fromkeys((lowest, lowest + 1, lowest + 2, size // 2, size - 1)):
            if lowest <= lower < size:
                for changes in _sized(case, name, lower):
                    yield from (case.but(**changes, **seed) for seed in _SEEDS)


def _options(case: Case) -> Iterator[dict[str, Any]]:
    if case.num_layers > 1:
        yield {"num_layers": 1}
    if case.num_layers > 2:
        yield {"num_layers": case.num_layers - 1}
    if case.bidirectional:
        yield {"bidirectional": False}
    if case.proj_size:
        yield {"proj_size": 0}
    if case.batch_first:
        yield {"batch_first": False}
    if not case.training:
        yield {"training": True}
    if case.layout != "contiguous":
        yield {"layout": "contiguous"}


def _sized(case: Case, name: str, size: int) -> Iterator[dict[str, Any]]:
    """Changes to another size.  Lengths keep their order, and the longest fills the time."""
    if case.lengths is None or name not in ("batch", "time"):
        yield {name: size}
    elif name == "time":
        cut = tuple(min(n, size) for n in case.lengths)
        shorter = tuple(max(1, n - case.time + size) for n in case.lengths)
        yield from ({"time": size, "lengths": n} for n in dict.fromkeys((cut, shorter)))
    else:
        for rows in dict.fromkeys((case.lengths[:size], case.lengths[-size:])):
            # Where the longest sequence is left out, the time is that of the next one.
            yield {"batch": size, "lengths": rows, "time": max(rows)}
