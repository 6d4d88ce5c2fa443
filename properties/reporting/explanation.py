"""The explanation of a falsified property, as a person reads it in a terminal."""

from __future__ import annotations

from ..running.plans import Plan
from ..running.records import GRADIENT, SECOND, Diagnosis, Place, Record
from ..subjects.loading import AUTO


def command(plan: Plan, run_seed: int) -> str:
    """The options of a run that put this property to this subject alone, once more."""
    s = plan.subject
    like = "" if s.trusted else f" --like {AUTO if s.probed else s.like}"
    return (
        f"--subject '{s.name}'{like} --device {s.device} --precision {plan.precision} "
        f"--property {plan.prop.name} --hypothesis-seed={run_seed}"
    )


def check_command(plan: Plan, run_seed: int) -> str:
    """The same for the command `gatewise check`."""
    options = command(plan, run_seed).removeprefix("--subject ")
    return "gatewise check " + options.replace("--hypothesis-seed=", "--seed ")


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
    if found.places:
        lines.append(_places(found))
    if found.needs:
        needs = ", ".join(found.needs)
        lines.append(f"the difference needs {needs}: it is gone where one of them is 0")
    if found.only:
        lines.append(f"wrong only {found.only}")
    return [*lines, *([found.note] if found.note else [])]


def _places(found: Diagnosis) -> str:
    first = found.places[0]
    if first.step is None:
        return _without_steps(found, first)
    others = [name for name in found.results if name != first.result]
    also = f"; {', '.join(others)} differ too" if others else ""
    where = " and ".join(_step(place) for place in found.places)
    return f"{first.result} differs {where}{also}"


def _without_steps(found: Diagnosis, first: Place) -> str:
    what = next((w for w in (GRADIENT, SECOND) if first.result.startswith(w)), "")
    others = [name.removeprefix(what) for name in found.results if name != first.result]
    if not what:
        return f"{', '.join(found.results)} differ; the first is {first.result}{list(first.index)}"
    at = f"at {list(first.index)}"
    if first.gate:
        names = ("row", "column")
        parts = zip(names, first.index, strict=False)
        at = ", ".join([f"in gate {first.gate}", *(f"{n} {i}" for n, i in parts)])
    also = f"; {', '.join(others)} differ too" if others else ""
    return f"{first.result} differs first {at}{also}"


def _step(place: Place) -> str:
    way = " of the reverse direction" if place.reverse else ""
    row, unit = place.index[-2:]
    return f"first at step {place.step} of {place.steps}{way}, row {row}, unit {unit}"


def _indented(text: str) -> str:
    """The lines of a text below one another, beside the word that begins the first."""
    return "\n          ".join(text.splitlines())
