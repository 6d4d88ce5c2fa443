"""The order of a glance, and the record of a property that is put in two parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.precisions import PLAIN
from gatewise.properties.running.engine import run
from gatewise.properties.running.glance import FIRST, as_faults_show, sees_most
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import (
    CRASHED,
    FALSIFIED,
    HOLDS,
    UNSUPPORTED,
    VACUOUS,
    joined,
)
from gatewise.properties.running.schedule import BOTH, EDGES, FEW, WHOLE, Done, Job, Schedule
from gatewise.properties.running.workers import Ended
from gatewise.properties.subjects.builtin import BUILTIN
from tests.mutation.strength import RECORD, SUITE, lines_of


def test_every_plan_is_glanced_at_once_and_agreement_first() -> None:
    every = list(plans([BUILTIN["torch.nn.LSTM"]], ["cpu"], PLAIN))
    ordered = as_faults_show(every)
    assert sorted(p.id for p in ordered) == sorted(p.id for p in every)
    agreement = sum(p.prop.family == FIRST for p in every)
    assert all(p.prop.family == FIRST for p in ordered[:agreement])
    names = [p.prop.name for p in ordered[agreement:]]
    claimed = [n for n in sees_most() if n in names]
    assert names[: len(claimed)] == claimed


def test_what_sees_most_is_what_the_record_says() -> None:
    most = set(sees_most())
    assert most <= set(CATALOGUE)
    counts = Counter(r["checks"][SUITE]["by"] for r in lines_of(RECORD)[1:])
    agreement = {p.name for p in CATALOGUE.values() if p.family == FIRST}
    seen = sum(counts[name] for name in {*most, *agreement})
    assert seen >= 0.8 * counts.total()


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("equals_reference", "float32"),
        ("paths_agree_on_raising", "float64"),
        ("infinite_weight_saturates_its_gate", "float16"),
        ("input_of_wrong_width_is_refused", "float32"),
        ("compiled_graph_follows_the_mode", "float32"),
    ],
)
def test_a_run_in_two_parts_leaves_the_record_of_a_whole_one(name: str, precision: str) -> None:
    plan = Plan(CATALOGUE[name], BUILTIN["torch.nn.LSTM"], precision)
    both = joined(run(plan, seed=4, edges=False), run(plan, seed=4, drawn=False))
    spent = {f"{what}seconds": 0.0 for what in ("", "subject_", "reference_")}
    assert replace(both, **spent) == replace(run(plan, seed=4), **spent)


def test_a_part_with_nothing_to_compare_takes_the_status_of_the_other() -> None:
    plan = Plan(CATALOGUE["equals_reference"], BUILTIN["torch.nn.LSTM"], "float32")
    empty = plan.record(VACUOUS, 1)
    full = replace(plan.record(HOLDS, 1), comparisons=3, histogram=(3,), worst=0.5, worst_at="h[0]")
    for found in (joined(empty, full), joined(full, empty)):
        assert (found.status, found.comparisons, found.worst_at) == (HOLDS, 3, "h[0]")
    lacking = replace(plan.record(UNSUPPORTED, 1), message="no such form", cases=2)
    for found in (joined(empty, lacking), joined(lacking, empty)):
        assert (found.status, found.message) == (UNSUPPORTED, "no such form")
    assert joined(replace(empty, cases=2), replace(empty, cases=3)).message.startswith("5 cases")


def _jobs(schedule: Schedule) -> Iterator[Job]:
    while (job := schedule.next()) is not None:
        yield job


def test_edges_of_agreement_come_after_what_sees_most() -> None:
    plans_ = list(plans([BUILTIN["torch.nn.LSTM"]], ["cpu"], PLAIN))
    jobs = list(_jobs(Schedule(plans_, "standard", 1)))
    name = {p.id: p.prop.name for p in plans_ if p.prop.family != FIRST}
    edges = jobs.index((f"{plans_[0].id}", EDGES))
    before = {name[id_] for id_, part in jobs[:edges] if part == BOTH and id_ in name}
    assert before == {n for n in sees_most() if n in name.values()}
    assert sum(part == EDGES for _, part in jobs) == sum(part == FEW for _, part in jobs) > 0


def test_what_crashed_twice_or_does_not_hold_has_no_further_look_at_its_edges() -> None:
    plan, other = list(plans([BUILTIN["torch.nn.LSTM"]], ["cpu"], ["float32"]))[:2]
    schedule = Schedule([plan, other], "standard", 1)
    seen = []
    for job in _jobs(schedule):
        seen.append(job)
        if job[0] == plan.id:
            schedule.put(job, Ended(-11))
        elif job[1] == FEW:
            schedule.put(job, Done(replace(other.record(FALSIFIED, 1), message="h")))
        else:
            schedule.put(job, Done(other.record(HOLDS, 1)))
    assert seen == [(plan.id, FEW), (plan.id, FEW), (other.id, FEW), (other.id, WHOLE)]
    assert [r.status for r in schedule.final.values()] == [CRASHED, HOLDS]
