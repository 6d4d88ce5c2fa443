"""The order in which a run puts its properties, and the glance that comes before it.

Most faults show in the first few cases of some property, which may be the last of a long run.  So a
run that wants a verdict soon puts a few cases of every property first, and then all cases.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

from ..levels import LEVELS
from .plans import Plan
from .profiles import examples_of

#: The number of cases of a property that a glance draws.
GLANCE = 5
#: What the id of a pytest test of a glance ends with.
GLANCED = "-glance"

#: The family that sees most faults: it is put in every precision before any other.
FIRST = "agreement"
#: Which mutants a property saw first and what a glance at it costs, of those that saw any:
#: `python -m tests.mutation.glance_order` writes it.
ORDER = Path(__file__).with_name("glance_order.json")
#: Properties that see at least so many mutants a second come right after agreement.
_LEAST = 20
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


@lru_cache
def sees_most() -> tuple[str, ...]:
    """The properties that a run puts right after agreement, in one precision, in order.

    Their level does not matter.
    """
    return tuple(
        one["property"]
        for one in json.loads(ORDER.read_text(encoding="utf-8"))
        if 1000 * one["mutants"] >= _LEAST * one["milliseconds"]
    )


#: The place of a plan in the order of a run.
Place = tuple[int, int, bool]
#: The place right after what sees most.
AFTER_MOST: Place = (2, 0, False)


def places(plans: Iterable[Plan]) -> dict[str, Place]:
    """Id of a plan → its place: agreement in every precision, what sees most, then by level."""
    ordered, levels = in_rounds(plans), list(LEVELS)
    most = {name: place for place, name in enumerate(sees_most())}
    first: dict[str, str] = {}
    for plan in ordered:
        first.setdefault(plan.prop.name, plan.id)

    def place(plan: Plan) -> Place:
        prop = plan.prop
        if prop.family == FIRST:
            return 0, 0, False
        if prop.name in most and first[prop.name] == plan.id:
            return 1, most[prop.name], False
        return 3, levels.index(prop.level), prop.family in SLOW

    return {plan.id: place(plan) for plan in ordered}


def as_faults_show(plans: Iterable[Plan]) -> list[Plan]:
    """Agreement in every precision, then what sees most, and then each level in rounds."""
    ordered = in_rounds(plans)
    place = places(ordered)
    return sorted(ordered, key=lambda plan: place[plan.id])


def is_whole(plan: Plan, profile: str) -> bool:
    """Whether a glance at a property draws as many cases as a run of a profile."""
    return examples_of(profile, plan.prop.share) <= GLANCE
