"""Checks a claim on one case: in this process, or in a sandbox."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cases.case import Case
from ..checking.comparison import Check
from ..clock import take
from ..subjects.protocol import Unsupported
from . import sandbox
from .plans import Plan
from .sandbox import CASE_TIMEOUT
from .sandbox.child import Claim


def put(plan: Plan, case: Case, check: Check, timeout: float = CASE_TIMEOUT) -> None:
    """Put one case to the claim; raises what falsifies it, or `Unsupported`.

    Where the plan is isolated it runs in another process.
    """
    apart(plan, plan.prop.claim, case, check, timeout)


def apart(plan: Plan, claim: Claim, case: Case, check: Check, timeout: float) -> Any:
    """What `claim(subject, case, check)` returns, from where the plan's cases are put."""
    if plan.isolated:
        try:
            patience = timeout * plan.prop.patience
            return sandbox.current(plan.subject, patience).put(claim, case, check, plan.precision)
        except sandbox.CannotIsolate:
            if plan.prop.isolated:
                raise
        except Unsupported:
            raise
        except Exception:
            # Who has read or written past an end may fall over it in a later case.
            if plan.prop.isolated:
                sandbox.end()
            raise
    # Non-finite values are compared or counted, so NumPy need not warn of them.
    own = Check()
    take()
    try:
        with np.errstate(all="ignore"):
            return claim(plan.subject, case, own)
    finally:
        own.end_case(take())
        check.add(vars(own))


def outcomes_again(
    plan: Plan, case: Case, cause: BaseException, timeout: float, times: int = 4
) -> list[bool]:
    """Whether each of some further calls on a failing case fails as well.

    There is none after a death that is costly to repeat.
    """
    outcomes: list[bool] = []
    if isinstance(cause, sandbox.Death) and cause.costly:
        return outcomes
    for _ in range(times):
        try:
            put(plan, case, Check(), timeout)
        except Exception:
            outcomes.append(True)
        else:
            outcomes.append(False)
    return outcomes
