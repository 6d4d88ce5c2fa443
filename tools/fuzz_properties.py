"""Every property as a test of Hypothesis, for HypoFuzz: `tools/fuzz.py` runs them.

HypoFuzz takes tests that `given` decorates, while the engine makes those of a run itself.  The
options of Gatewise choose the properties, as for every other test.
"""

from __future__ import annotations

import pytest
from hypofuzz.detection import in_hypofuzz_run
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from gatewise.properties.checking.comparison import Check
from gatewise.properties.running.engine import message_of
from gatewise.properties.running.known_issues import Issue
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.put import put
from gatewise.properties.running.sandbox.parent import CASE_TIMEOUT
from gatewise.properties.running.witnesses import reproduced
from gatewise.properties.subjects.protocol import Unsupported

_KNOWN: dict[str, list[Issue]] = {}


def known_issues(plan: Plan) -> list[Issue]:
    """The known issues whose witness fails here: a case that one of them covers is not put."""
    if plan.id not in _KNOWN:
        _KNOWN[plan.id] = list(reproduced(plan, CASE_TIMEOUT)[0])
    return _KNOWN[plan.id]


# Hypothesis keeps the cases of each parameter apart only in a test that has this mark.
@pytest.mark.parametrize("by", ["HypoFuzz"])
# Under pytest alone the failing cases that HypoFuzz stored are put again, and no others.
@settings(
    phases=[Phase.reuse, *([Phase.generate, Phase.shrink] if in_hypofuzz_run() else [])],
    verbosity=Verbosity.quiet,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_property(plan: Plan, by: str, data: st.DataObject) -> None:
    """One property on one subject in one precision."""
    issues = known_issues(plan)
    try:
        case = data.draw(plan.prop.cases_for(plan.subject, plan.precision), label="case")
    except Unsupported as reason:
        pytest.skip(str(reason))
    if any(issue.covers(case) for issue in issues):
        return
    try:
        put(plan, case, Check())
    except Unsupported:
        return
    except Exception as error:
        pytest.fail(f"{plan.prop.name}: {message_of(error)}\non {case!r}", pytrace=False)
