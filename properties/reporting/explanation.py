"""The explanation of a falsified property, as a person reads it in a terminal."""

from __future__ import annotations

from ..running.plans import Plan
from ..running.records import Record


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
    if record.diagnosis:
        lines.append("  looks   " + _indented(record.diagnosis))
    if record.script:
        lines.append(f"  script  {record.script} (needs torch and NumPy alone)")
    again = again or f"--hypothesis-seed={run_seed} -k '{plan.id}'"
    lines.append(
        f"  {record.cases} cases drawn at profile {profile}; reproduce with {again}"
        + (f", or {record.blob}" if record.blob else "")
    )
    return "\n".join(lines)


def _indented(text: str) -> str:
    """The lines of a text below one another, beside the word that begins the first."""
    return "\n          ".join(text.splitlines())
