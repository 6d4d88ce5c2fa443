"""The order of a glance: agreement, then what sees most, and every plan once."""

from __future__ import annotations

from collections import Counter

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.precisions import PLAIN
from gatewise.properties.running.glance import FIRST, SEES_MOST, as_faults_show
from gatewise.properties.running.plans import plans
from gatewise.properties.subjects.builtin import BUILTIN
from tests.mutation.strength import RECORD, SUITE, lines_of


def test_every_plan_is_glanced_at_once_and_agreement_first() -> None:
    every = list(plans([BUILTIN["torch.nn.LSTM"]], ["cpu"], PLAIN))
    ordered = as_faults_show(every)
    assert sorted(p.id for p in ordered) == sorted(p.id for p in every)
    agreement = sum(p.prop.family == FIRST for p in every)
    assert all(p.prop.family == FIRST for p in ordered[:agreement])
    names = [p.prop.name for p in ordered[agreement:]]
    claimed = [n for n in SEES_MOST if n in names]
    assert names[: len(claimed)] == claimed


def test_what_sees_most_is_what_the_record_says() -> None:
    assert set(SEES_MOST) <= set(CATALOGUE)
    counts = Counter(r["checks"][SUITE]["by"] for r in lines_of(RECORD)[1:])
    agreement = {p.name for p in CATALOGUE.values() if p.family == FIRST}
    seen = sum(counts[name] for name in {*SEES_MOST, *agreement})
    assert seen >= 0.6 * counts.total()
