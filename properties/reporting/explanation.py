"""The explanation of a falsified property, as a person reads it in a terminal."""

from __future__ import annotations

from ..running.plans import Plan
from ..running.records import Diagnosis, Place, Record
from ..subjects.loading import AUTO


def command(plan: Plan, run_seed: int) -> str:
    """The options of a run that put this property to this subject alone, once more."""
    s = plan.subject
    like = "" if s.trusted else f" --like {AUTO if s.probed else s.like}"
    return (
        f"--subject '{s.name}'{like} --device {s.device} --precision {plan.precision} "
        f"--property {plan.prop.name} --hypothesis-seed={run_seed}"
    )


def explain(plan: Plan, record: Record, run_seed: int, profile: str, again: str = "") -> str:
    """What a person reads when a property does not hold; `again` says how to see it once more."""
    lines = [
        f"{plan.subject.name}: property {record.name} is {record.status}",
        f"  claim   {plan.prop.sentence}",
        f"  formula {plan.prop.formula}",
        "  found   " + _indented(record.message),
    ]
    if record.case:
        lines.append(f"  case    {record.case}")
    looks = diagnosis_lines(record.diagnosis)
    if looks:
        lines.append("  looks   " + _indented("\n".join(looks)))
    if record.script:
        lines.append(f"  script  {record.script} (needs torch and NumPy alone)")
    again = again or command(plan, run_seed)
    lines.append(
        f"  {record.cases} cases drawn at profile {profile}; reproduce with {again}"
        + (f", or {record.blob}" if record.blob else "")
    )
    return "\n".join(lines)


def diagnosis_lines(found: Diagnosis) -> list[str]:
    """A diagnosis in words: the named faults, the first differences, the blocks that they need."""
    lines = [*found.constructor]
    if found.faults:
        lines.append(f"consistent with {'; or '.join(found.faults)}")
    if found.only:
        lines.append(f"wrong only {found.only}")
    if found.places:
        lines.append(_places(found))
    if found.needs:
        needs = ", ".join(found.needs)
        lines.append(f"the difference needs {needs}: it is gone where one of them is 0")
    return [*lines, *([found.note] if found.note else [])]


def _places(found: Diagnosis) -> str:
    first = found.places[0]
    if first.step is None:
        names = ", ".join(found.results)
        if first.gate:
            places = ("row", "column")[: len(first.index)]
            at = ", ".join(f"{p} {i}" for p, i in zip(places, first.index, strict=True))
            also = "" if len(found.results) == 1 else f"; all that differ: {names}"
            return f"{first.result} differs first in gate {first.gate}, {at}{also}"
        return f"{names} differ; the first is {first.result}{list(first.index)}"
    others = [name for name in found.results if name != first.result]
    also = f"; {', '.join(others)} differ too" if others else ""
    where = " and ".join(_step(place) for place in found.places)
    return f"{first.result} differs {where}{also}"


def _step(place: Place) -> str:
    way = " of the reverse direction" if place.reverse else ""
    row, unit = place.index[-2:]
    return f"first at step {place.step} of {place.steps}{way}, row {row}, unit {unit}"


def _indented(text: str) -> str:
    """The lines of a text below one another, beside the word that begins the first."""
    return "\n          ".join(text.splitlines())
