"""The part of the mutation run that every change must pass: mutants of each class are killed.

All mutants are put to all properties by `python -m tests.mutation.run`.
"""

from __future__ import annotations

import pickle
from collections import Counter

import pytest

from gatewise.properties.families.catalogue import CATALOGUE, properties_for
from gatewise.properties.running.engine import run
from gatewise.properties.running.glance import GLANCE
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import VACUOUS
from gatewise.reference.classes import TORCH

from .all import MUTANTS
from .alone import ALONE, ALONE_CLAIM
from .correct import CORRECT
from .kill import PRECISIONS, first_kill
from .registry import CLASSES, FAULT_CLASSES

#: Family of faults → the families of properties that are expected to see them.
EXPECTED = {
    "gate math": ("agreement",),
    "weights": ("agreement",),
    "states": ("agreement", "interface", "determinism", "composition", "modes"),
    "directions": ("agreement",),
    "packing": ("agreement", "interface", "packing"),
    "tile edges": ("agreement",),
    "sizes": ("sizes",),
    "precision": ("agreement",),
    "gradients": ("gradients", "autograd", "transforms", "modes"),
    "dropout": ("dropout",),
    "special values": ("agreement", "special_values"),
    "parameters": ("parameters", "weights"),
    "modes": (
        "modes",
        "life_cycle",
        "weights",
        "determinism",
        "conduct",
        "interface",
        "packing",
        "autograd",
        "replicas",
    ),
    "memory": ("memory", "interface", "modes", "invariance"),
    "errors": ("rejection", "interface"),
    "paths": ("paths", "autograd"),
    "compilation": ("compilation",),
}
#: The precisions that a class of faults is looked for in, where it is not float32 alone.
PRECISIONS_OF = {
    "precision": PRECISIONS,
    "gradients": ("float64", "float32", "bfloat16"),
    "modes": ("float32", "float64", "bfloat16"),
    "dropout": ("float32", "bfloat16"),
    "paths": ("float32", "float64"),
}
#: Mutants of each class of faults in this part, each like another class of torch.nn if possible.
EACH = 5


def part() -> list[str]:
    """The same few mutants of each class of faults in every run, spread over torch.nn's classes."""
    chosen: list[str] = []
    for number, fault_class in enumerate(FAULT_CLASSES):
        if fault_class not in EXPECTED:
            continue
        for turn in range(EACH):
            like = CLASSES[(number + turn) % len(CLASSES)]
            own = [n for n, m in MUTANTS.items() if m.fault_class == fault_class and m.like == like]
            chosen += [own[(7 * number + 3 * turn) % len(own)]] if own else []
    return chosen


def test_the_registry_is_wide() -> None:
    assert tuple(TORCH) == CLASSES
    assert len(MUTANTS) >= 120
    assert Counter(m.like for m in MUTANTS.values()).keys() == set(CLASSES)
    assert Counter(m.fault_class for m in MUTANTS.values()).keys() == set(FAULT_CLASSES)
    assert [n for n, m in MUTANTS.items() if not m.models.strip()] == []
    assert len(CORRECT) >= 20


def test_every_subject_can_be_sent_to_another_process() -> None:
    for subject in [m.subject for m in (*MUTANTS.values(), *CORRECT.values())]:
        assert pickle.loads(pickle.dumps(subject.on("cuda"))) == subject.on("cuda")


def test_the_part_has_every_family_and_kind() -> None:
    chosen = [MUTANTS[n] for n in part()]
    assert len(chosen) == len({m.name for m in chosen})
    assert {m.like for m in chosen} == set(CLASSES)
    assert {m.fault_class for m in chosen} == set(EXPECTED)
    families = {p.family for p in CATALOGUE.values()}
    assert {f for expected in EXPECTED.values() for f in expected} <= families


@pytest.mark.parametrize("name", part())
def test_a_mutant_is_killed_by_what_is_expected_to_see_it(name: str) -> None:
    mutant = MUTANTS[name]
    expected = EXPECTED[mutant.fault_class]
    verdicts = (
        first_kill(
            mutant.subject,
            profile=profile,
            precisions=PRECISIONS_OF.get(mutant.fault_class, ("float32",)),
            families=expected,
        )
        for profile in ("quick", "standard")
    )
    assert any(v.killed for v in verdicts), f"{name} ({mutant.models}) survives {expected}"


@pytest.mark.parametrize("family", ALONE)
def test_a_family_sees_what_the_others_let_pass(family: str) -> None:
    subject = MUTANTS[ALONE[family]].subject
    assert first_kill(subject, families=[family]).killed
    for prop in properties_for(subject.like, "float32"):
        if prop.family != family:  # in full: python -m tests.mutation.alone
            plan = Plan(prop, subject, "float32")
            record = run(plan, profile="quick", most=GLANCE, shrink=False)
            assert record.passed or record.status == VACUOUS, record


@pytest.mark.parametrize("claim", ALONE_CLAIM)
def test_a_claim_sees_what_no_other_sees(claim: str) -> None:
    mutant = MUTANTS[ALONE_CLAIM[claim]]
    records = (  # that no other sees it: python -m tests.mutation.alone CLAIM
        run(plan, shrink=False)
        for plan in plans([mutant.subject], ["cpu"], PRECISIONS)
        if plan.prop.name == claim
    )
    assert any(not r.passed for r in records), f"{mutant.name} ({mutant.models}) survives {claim}"


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_subject_survives(name: str) -> None:
    correct = CORRECT[name]
    verdict = first_kill(
        correct.subject,
        profile="quick",
        precisions=("float32",),
        families=("agreement", "interface"),
        level=correct.level,
    )
    assert not verdict.killed, f"{verdict.killed_by}: {verdict.message}\n{verdict.case}"
