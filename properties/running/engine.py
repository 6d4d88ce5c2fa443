"""Runs a property on a subject with Hypothesis and returns a record; needs no pytest."""

from __future__ import annotations

import re
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import hypothesis
from hypothesis import given, settings
from hypothesis.database import ExampleDatabase

from gatewise.reference.declared import DeclarationError

from .. import process_state
from ..cases.case import Case
from ..cases.combinations import code_of
from ..cases.traits import traits
from ..checking.comparison import Check, Mismatch
from ..checking.oracle import NO_VERDICT
from ..families.property import Property
from ..precisions import WIDE, switch
from ..running.records import ERROR
from ..subjects.protocol import SubjectFault, Unsupported
from .exceptions import told
from .hypothesis_constants import own_draws
from .known_issues import Issue
from .plans import Plan, chosen
from .profiles import EXAMPLES, profile_settings, seed_of
from .put import outcomes_again, put
from .records import (
    FALSIFIED,
    FLAKY,
    HOLDS,
    KNOWN_ISSUE,
    NOT_RUN,
    UNSUPPORTED,
    VACUOUS,
    Diagnosis,
    Record,
    nothing_compared,
)
from .sandbox import parent as sandbox
from .sandbox.parent import CASE_TIMEOUT
from .shrinking import smaller
from .witnesses import reproduced, seen_elsewhere


class _Enough(BaseException):
    """Ends a run of Hypothesis at once: its engine stops at what is no `Exception`."""


def run(
    plan: Plan,
    *,
    profile: str = "standard",
    seed: int = 0,
    database: ExampleDatabase | None = None,
    case_timeout: float = CASE_TIMEOUT,
    most: int | None = None,
    shrink: bool = True,
    drawn: bool = True,
    edges: bool = True,
) -> Record:
    """Draw cases until the profile's number is reached or one falsifies the property.

    The record's `case` is then the smallest failing case that shrinking reached, and `message`
    says what differed.  An exception of the subject falsifies as well, with its traceback.
    The witness of each known issue runs first: one that passes makes its entry stale, which
    falsifies; the cases that an issue covers are drawn and counted, and not put to the claim.

    A case that may end or hang its process is put in one of its own, for `case_timeout` seconds
    at most.  One that hangs is not shrunk: each smaller one may hang as long.

    Who asks only whether a property holds may have `most` cases drawn at most, and may have the
    first failing one as it was drawn, without `shrink`.  The cases that are drawn and those that
    follow them, at the edges and of the sweep, may be put in two runs: without `edges`, and without
    `drawn` (`records.joined`).
    """
    parts = drawn, edges
    with process_state.restored(), own_draws():
        switch(plan.precision)
        before = process_state.settings()
        config = profile_settings(profile, plan.prop.share, database, most=most, shrink=shrink)
        try:
            record = _run(plan, profile, seed, config, case_timeout, parts, shrink=shrink)
            elsewhere = [] if record.status not in (FALSIFIED, FLAKY) else seen_elsewhere(plan)
            if elsewhere:
                record = _run(plan, profile, seed, config, case_timeout, parts, elsewhere, shrink)
        except sandbox.SandboxError:
            raise
        except DeclarationError as error:  # a fault of the kind's step, and none of the subject
            record = replace(plan.record(ERROR, seed_of(seed, plan.id)), message=str(error))
        except Exception as error:
            record = plan.record(ERROR, seed_of(seed, plan.id))
            record = replace(record, message=own_error(error))
        # A setting that stays changed would be there already when the next property looks for it.
        notes = [f"the subject changed {name}" for name in process_state.restore(before)]
    notes += sandbox.notes() if plan.isolated else []
    if plan.subject.shapes and record.cases:
        notes.append(f"all cases have the shape {plan.prop.shape_for(plan.subject)}")
    if notes:
        return replace(record, message="; ".join(filter(None, [record.message, *notes])))
    return record


def _run(
    plan: Plan,
    profile: str,
    seed: int,
    config: settings,
    case_timeout: float,
    parts: tuple[bool, bool],
    elsewhere: Sequence[Issue] = (),
    shrink: bool = True,
) -> Record:
    """The record of one run; `elsewhere` are known issues of another torch, or device.

    `parts` says whether cases are drawn, and whether those at the edges are put.

    Hypothesis shrinks the failing case, and then `shrinking` makes its structure small.
    """
    prop, subject = plan.prop, plan.subject
    own_seed = seed_of(seed, plan.id)
    check = Check()
    drawn = excused = 0
    counted: Counter[str] = Counter()
    combined: Counter[str] = Counter()
    failing: tuple[Case, BaseException] | None = None
    reasons: list[str] = []

    def body(case: Case) -> None:
        nonlocal drawn, excused, failing
        drawn += 1
        counted.update(f"{name}={value}" for name, value in traits(case))
        combined[code_of(case)] += 1
        if any(issue.covers(case) for issue in issues):
            excused += 1
            return
        try:
            put(plan, case, check, case_timeout)
        except Unsupported as reason:
            reasons.append(str(reason))
        except (sandbox.SandboxError, *NO_VERDICT):
            raise
        except Exception as error:
            failing = case, error
            if isinstance(error, sandbox.Death) and error.costly:
                raise _Enough from error
            raise

    # Hypothesis keys its database on the name of the function, and on its source unless it has
    # none: to read the source takes longer than a case.
    body.__name__ = body.__qualname__ = re.sub(r"\W", "_", plan.id)
    body.__code__ = body.__code__.replace(co_filename=f"<{plan.prop.name}>")
    record = plan.record(HOLDS, own_seed)
    profiles = list(EXAMPLES)
    if profiles.index(profile) < profiles.index(prop.profile):
        left = f"left to profile {prop.profile}, and this is {profile}"
        return replace(record, status=NOT_RUN, message=left)
    try:
        strategy = prop.cases_for(subject, plan.precision)
    except Unsupported as reason:
        return replace(record, status=UNSUPPORTED, message=str(reason))
    # In this order, because `seed` takes the database away from the settings that are there.
    test = config(hypothesis.seed(own_seed)(given(strategy)(body)))
    start = time.perf_counter()
    _prepare(prop)
    issues, stale = reproduced(plan, case_timeout)
    if stale:
        return replace(record, status=FALSIFIED, message="; ".join(stale), cases=len(stale))
    issues += elsewhere
    draws, edges = parts
    try:
        if draws:
            test()
        if edges:
            for edge in prop.edge_cases(subject, plan.precision, own_seed % 2**32, profile):
                body(edge)
    except (Exception, _Enough) as error:
        if failing is None:  # Hypothesis itself failed, which is no verdict on the subject
            raise
        case, cause = failing
        if shrink:
            case, cause = smaller(
                plan, case, cause, case_timeout, lambda c: any(i.covers(c) for i in issues)
            )
        message, outcomes = message_of(cause), outcomes_again(plan, case, cause, case_timeout)
        status = FALSIFIED if all(outcomes) else FLAKY
        if status == FLAKY:
            passed = outcomes.count(False)
            message += f"; called again {len(outcomes)} times on the same case, {passed} passed"
        dead = "the process ended, so there are no results to look at"
        record = replace(
            record,
            status=status,
            case=repr(case),
            message=message,
            blob=_blob(error),
            diagnosis=Diagnosis(note=dead if isinstance(cause, sandbox.Death) else ""),
        )
    record = replace(
        record,
        cases=drawn,
        excused=excused,
        unoffered=len(reasons),
        comparisons=check.comparisons,
        elements=check.elements,
        unbounded=check.unbounded,
        vacuous=check.vacuous,
        discriminating=check.discriminating,
        worst=check.worst,
        worst_at=check.worst_at,
        histogram=tuple(check.histogram),
        by_step=tuple(check.by_step) if any(check.by_step) else (),
        drawn=dict(counted),
        combined=dict(combined),
        seconds=time.perf_counter() - start,
        subject_seconds=check.subject_seconds,
        reference_seconds=check.reference_seconds,
    )
    if record.status == HOLDS and issues:
        lines = [i.line + _also_seen(plan, i, elsewhere) for i in issues]
        return replace(record, status=KNOWN_ISSUE, message="; ".join(lines))
    if record.status == HOLDS and check.comparisons == 0:
        if reasons:
            return replace(record, status=UNSUPPORTED, message=reasons[0])
        return replace(record, status=VACUOUS, message=nothing_compared(drawn))
    if record.status == HOLDS and reasons:
        return replace(record, message=reasons[0])
    return record


def _also_seen(plan: Plan, issue: Issue, elsewhere: Sequence[Issue]) -> str:
    if issue not in elsewhere:
        return ""
    return f"; also seen on {' and '.join(issue.unnamed(plan.subject.device))}"


def own_error(error: BaseException) -> str:
    """An error inside Gatewise, in one line and its traceback: no verdict on the subject."""
    shown = "".join(traceback.format_exception(error)).rstrip()
    return (
        f"an error inside Gatewise, which says nothing about the subject: {type(error).__name__}: "
        f"{error}; please report it as a bug of Gatewise, with this text\n{shown}"
    )


_prepared: set[object] = set()


def _prepare(prop: Property) -> None:
    """Run what a property needs first, once in this process; then start a new sandbox.

    The process of the old sandbox was made before, so it does not have what was prepared.
    """
    if prop.prepare is not None and prop.prepare not in _prepared:
        prop.prepare()
        _prepared.add(prop.prepare)
        sandbox.close()


def _blob(error: BaseException) -> str:
    """Hypothesis's decorator that replays the failing draw, from the notes of an error."""
    found = re.search(r"@reproduce_failure\(.+?\)", "\n".join(getattr(error, "__notes__", [])))
    return found[0] if found else ""


#: Characters of a subject's text that a record keeps.
_KEPT = 10_000


def message_of(error: BaseException) -> str:
    """What falsified a claim, as a record tells it."""
    if isinstance(error, Mismatch | SubjectFault):
        text = str(error)
    else:
        text = error.told if isinstance(error, sandbox.Raised) else told(error)
    return text if len(text) <= _KEPT else f"{text[:_KEPT]}… ({len(text)} characters)"


def check_conformance(
    subject: Any,
    *,
    like: str | None = None,
    properties: Iterable[str] | None = None,
    precisions: Iterable[str] = WIDE,
    profile: str = "standard",
    seed: int = 0,
    case_timeout: float = CASE_TIMEOUT,
) -> list[Record]:
    """Run the properties of a subject (all, or those named) and return their records.

    `subject` is a class or factory with torch.nn's constructor, an `Adapter`, a `Subject`, or a
    spec as `--subject` takes it; `like` is its kind where its name does not tell.  A case that may
    hang is stopped after `case_timeout` seconds.

    Raises `ValueError`, one line, when the subject cannot be used or a property or precision is not
    known.
    """
    return [
        run(plan, profile=profile, seed=seed, case_timeout=case_timeout)
        for plan in chosen([subject], like, properties, precisions)
    ]
