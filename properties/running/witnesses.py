"""The witnesses of known issues: which still fail, and which fail where no entry names them."""

from __future__ import annotations

from ..cases.case import Case
from ..checking.comparison import Check
from ..subjects.capabilities import narrowed
from ..subjects.protocol import Unsupported
from . import sandbox
from .known_issues import Issue, issues_of
from .plans import Plan
from .put import put
from .sandbox import CASE_TIMEOUT


def reproduced(plan: Plan, timeout: float = CASE_TIMEOUT) -> tuple[list[Issue], list[str]]:
    """The known issues of a plan whose witness still fails, and a line for each stale one.

    Only entries of this torch and this type of device are strict.  A subclass of an entry's class
    may have mended the fault: then the entry is not its own.
    """
    found, stale = [], []
    for issue in issues_of(plan.subject, plan.prop.name, plan.precision):
        if issue.unnamed(plan.subject.device):
            continue
        fails, passing = _outcome(plan, issue, timeout)
        if fails:
            found.append(issue)
        elif passing and plan.subject.name in issue.subjects:
            stale.append(f"known issue {issue.name} is stale: its witness {passing[0]} passes")
    return found, stale


def seen_elsewhere(plan: Plan, timeout: float = CASE_TIMEOUT) -> list[Issue]:
    """The known issues of another torch, or of another device, whose witness fails here too."""
    return [
        issue
        for issue in issues_of(plan.subject, plan.prop.name, plan.precision)
        if issue.unnamed(plan.subject.device) and _outcome(plan, issue, timeout)[0]
    ]


def _outcome(plan: Plan, issue: Issue, timeout: float) -> tuple[bool, list[str]]:
    """Whether the witness fails, in each of its variants; and the variants that pass."""
    variants = issue.cases(plan.subject, plan.precision)
    if issue.attempts > 1:
        return _outcome_of_a_read(plan, issue, variants, timeout)
    outcomes = {repr(case): _fails_within(plan, issue, case, timeout) for case in variants}
    decided = [fails for fails in outcomes.values() if fails is not None]
    return bool(decided) and all(decided), [
        case for case, fails in outcomes.items() if fails is False
    ]


def _outcome_of_a_read(
    plan: Plan, issue: Issue, variants: list[Case], timeout: float
) -> tuple[bool, list[str]]:
    """The same for a read past an end, which one failing variant decides.

    What memory holds in this process may hide the other variants.  So each variant is put once
    before any is put again, each time in a new process, up to the first that fails.
    """
    passing: list[str] = []
    for attempt in range(issue.attempts):
        passing = []
        for case in variants:
            if attempt:
                sandbox.end()
            fails = _fails_within(plan, issue, case, timeout)
            if fails:
                return True, []
            if fails is False:
                passing.append(repr(case))
        if not passing:
            break
    return False, passing


def _fails_within(plan: Plan, issue: Issue, case: Case, timeout: float) -> bool | None:
    """Whether a witness fails; one that the subject does not offer is put within its gaps."""
    fails = _fails(plan, case, timeout)
    if fails is None:
        fixed = narrowed({}, plan.subject.unsupported, plan.subject.form)
        fixed.pop("forms", None)
        within = case.but(**fixed)
        if within != case and issue.covers(within):
            return _fails(plan, within, timeout)
    return fails


def _fails(plan: Plan, case: Case, timeout: float) -> bool | None:
    """Whether a witness fails; None where it is not offered."""
    try:
        put(plan, case, Check(), timeout)
    except Unsupported:
        return None
    except sandbox.SandboxError:
        raise
    except Exception:
        return True
    return False
