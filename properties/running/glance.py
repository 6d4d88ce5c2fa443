"""The order in which a run puts its properties, and the glance that comes before it.

Most faults show in the first few cases of some property, which may be the last of a long run.  So a
run that wants a verdict soon puts a few cases of every property first, and then all cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from ..levels import LEVELS
from .plans import Plan
from .profiles import EXAMPLES

#: The number of cases of a property that a glance draws.
GLANCE = 5
#: What the id of a pytest test of a glance ends with.
GLANCED = "-glance"

#: The family that sees most faults: it is put in every precision before any other.
FIRST = "agreement"
#: Families whose cases take long; they come last within their level.
SLOW = ("sizes", "compilation")


def in_rounds(plans: Iterable[Plan]) -> list[Plan]:
    """Every property's first precision, then every one's second, and so on."""
    rounds: Counter[str] = Counter()
    placed = []
    for plan in plans:
        placed.append((rounds[plan.prop.name], plan))
        rounds[plan.prop.name] += 1
    return [plan for _, plan in sorted(placed, key=itemgetter(0))]


def as_faults_show(plans: Iterable[Plan]) -> list[Plan]:
    """The plans of each level in rounds; values first, and agreement before all else."""
    levels = list(LEVELS)

    def place(plan: Plan) -> tuple[int, bool, bool]:
        family = plan.prop.family
        return levels.index(plan.prop.level), family != FIRST, family in SLOW

    return sorted(in_rounds(plans), key=place)


def is_whole(plan: Plan, profile: str) -> bool:
    """Whether a glance at a property draws as many cases as a run of a profile."""
    return max(1, round(EXAMPLES[profile] * plan.prop.share)) <= GLANCE
