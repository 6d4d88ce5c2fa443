"""What a run of a property leaves: one record with its diagnosis, and the summary of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from operator import add
from typing import Any

from ..levels import VALUES
from ..subjects.capabilities import NEEDS

HOLDS = "holds"
FALSIFIED = "falsified"
UNSUPPORTED = "unsupported"
KNOWN_ISSUE = "known issue"
VACUOUS = "vacuous"
CRASHED = "crashed"
FLAKY = "flaky"
NOT_RUN = "not run"
ERROR = "error"
STATUSES = (
    HOLDS,
    FALSIFIED,
    UNSUPPORTED,
    KNOWN_ISSUE,
    VACUOUS,
    CRASHED,
    FLAKY,
    NOT_RUN,
    ERROR,
)

#: How the names of gradients and of second derivatives begin, among the results that differ.
GRADIENT = "gradient of "
SECOND = "second derivative by "


@dataclass(frozen=True)
class Place:
    """The first element of a result that is outside of its bound.

    `index` is its index.  Of a layer's output it is also `step` of `steps`, in one direction.  Of
    the gradient of a weight, `gate` is a letter, and the index is within the block of the gate.
    """

    result: str
    index: tuple[int, ...]
    step: int | None = None
    steps: int | None = None
    reverse: bool = False
    gate: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What a failing case looks like.

    `constructor` are defaults and options of the constructor that differ from torch.nn's.
    `faults` are the named faults that explain every result seen.  `places` are the first elements
    that differ, one for each direction; `results` names all results that differ.  `needs` are the
    blocks of the weights without any one of which the results are right, as `bias_hh_l0[f]`.
    `only` says under which condition something is wrong, if all is right without it.
    `note` says why there is no more: the subject raised, or left no result.
    """

    constructor: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    results: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    only: str = ""
    note: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Diagnosis:
        """The diagnosis that `asdict` made these plain values of; JSON has lists for tuples."""
        places = tuple(Place(**{**p, "index": tuple(p["index"])}) for p in stored["places"])
        tuples = {
            name: tuple(stored[name]) for name in ("constructor", "faults", "results", "needs")
        }
        return cls(**tuples, places=places, only=stored.get("only", ""), note=stored["note"])


@dataclass(frozen=True)
class Record:
    """One property on one subject, device and precision; serialises to JSON.

    `diagnosis` says what the failing case looks like, `script` is the path of a script for it, and
    `blob` is Hypothesis's own `@reproduce_failure`.  `excused` counts the cases that a known issue
    covers: they were drawn, and not put to the claim.  `unoffered` counts those that asked for what
    the subject does not offer; `message` has a reason.  The other counts are those of a `Check`.
    `drawn` counts the cases by each trait of `cases.traits`, as `form=ragged`, and `combined` by
    their options, in the codes of `cases.combinations`.
    `seconds` are all of the run, those in the subject and in the reference among them.
    """

    subject: str
    device: str
    precision: str
    name: str
    family: str
    status: str
    seed: int
    level: str = VALUES
    cases: int = 0
    comparisons: int = 0
    elements: int = 0
    unbounded: int = 0
    vacuous: int = 0
    discriminating: int = 0
    excused: int = 0
    unoffered: int = 0
    worst: float = 0.0
    worst_at: str = ""
    histogram: tuple[int, ...] = ()
    by_step: tuple[float, ...] = ()
    drawn: Mapping[str, int] = field(default_factory=dict)
    combined: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    subject_seconds: float = 0.0
    reference_seconds: float = 0.0
    case: str = ""
    message: str = ""
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    script: str = ""
    blob: str = ""

    @property
    def id(self) -> str:
        """Reads well and filters well: `torch.nn.LSTM-cpu-float32-time_split`."""
        return f"{self.subject}-{self.device}-{self.precision}-{self.name}"

    @property
    def passed(self) -> bool:
        """Whether nothing is amiss: it holds, is not offered, is a known issue, or is left out."""
        return self.status in (HOLDS, UNSUPPORTED, KNOWN_ISSUE, NOT_RUN)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Record:
        """The record that `as_dict` made these plain values of."""
        own = {
            "diagnosis": Diagnosis.of(stored["diagnosis"]),
            "histogram": tuple(stored["histogram"]),
            "by_step": tuple(stored.get("by_step", ())),  # files of before it was there have none
        }
        return cls(**{**stored, **own})


#: The fields of a record that count, and are added where two are joined.
_ADDED = (
    *("cases", "comparisons", "elements", "unbounded", "vacuous", "discriminating", "excused"),
    *("unoffered", "seconds", "subject_seconds", "reference_seconds"),
)


def joined(a: Record, b: Record) -> Record:
    """The record of one run that was made in two parts, each of other cases, of which none fails.

    One part may have had nothing to compare, or nothing that the subject offers.
    """
    first, second = sorted((a, b), key=lambda r: (not r.comparisons, r.status == VACUOUS))
    message = first.message or ("" if second.status == VACUOUS else second.message)
    if first.status == VACUOUS:
        message = nothing_compared(a.cases + b.cases)
    worst = max(a, b, key=lambda r: r.worst)
    return replace(
        first,
        **{name: getattr(a, name) + getattr(b, name) for name in _ADDED},
        message=message,
        worst=worst.worst,
        worst_at=worst.worst_at,
        histogram=_element_wise(add, a.histogram, b.histogram),
        by_step=_element_wise(max, a.by_step, b.by_step),
        drawn=dict(Counter(a.drawn) + Counter(b.drawn)),
        combined=dict(Counter(a.combined) + Counter(b.combined)),
    )


def nothing_compared(cases: int) -> str:
    """The message of a vacuous record."""
    return f"{cases} cases, and nothing was compared"


def _element_wise(of: Any, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(of(x, y) for x, y in zip(a, b, strict=True)) if a and b else a or b


def summary(records: Iterable[Record]) -> list[str]:
    """Lines of a table: a row for each subject, then the worst error/bound by precision."""
    by_subject: dict[str, list[Record]] = {}
    by_precision: dict[str, list[Record]] = {}
    for record in records:
        by_subject.setdefault(f"{record.subject} on {record.device}", []).append(record)
        by_precision.setdefault(record.precision, []).append(record)
    if not by_subject:
        return ["no property was run"]
    width = max(len(name) for name in by_subject)
    columns = [f"{'subject':<{width}}", *(f"{s:>11}" for s in STATUSES)]
    columns += [f"{'cases':>7}", f"{'compared':>9}", f"{'error/bound':>11}", f"{'seconds':>7}"]
    lines = ["  ".join(columns)]
    for name, rows in by_subject.items():
        cells = [f"{name:<{width}}"]
        cells += [f"{sum(r.status == s for r in rows):>11}" for s in STATUSES]
        cells += [f"{sum(r.cases for r in rows):>7}", f"{sum(r.comparisons for r in rows):>9}"]
        cells += [f"{max(r.worst for r in rows):>11.3f}", f"{sum(r.seconds for r in rows):>7.1f}"]
        lines.append("  ".join(cells))
    lines.append("")
    for precision, rows in by_precision.items():
        arrays = sum(r.comparisons for r in rows)
        empty = sum(r.vacuous for r in rows)
        lines.append(
            f"{precision}: largest error/bound {max(r.worst for r in rows):.3f} over {arrays} "
            f"array comparisons ({sum(r.elements for r in rows)} numbers); "
            f"{empty} arrays had no finite bound and were not compared"
        )
    return lines


def not_offered(records: Iterable[Record]) -> list[str]:
    """A line for each thing that a subject does not offer, with the reason and what it left out.

    What the machine or its torch lacks is no word about a subject: it has one line for all.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    for record in records:
        if record.status == UNSUPPORTED or (record.status == HOLDS and record.unoffered):
            reason = record.message
            who = "skipped" if reason.startswith(NEEDS) else f"not offered by {record.subject}"
            count = counts.setdefault((who, reason), [0, 0])
            count[0] += record.status == UNSUPPORTED
            count[1] += record.unoffered
    return [
        f"{who}: {reason} (unsupported properties: {properties}, cases left out: {cases})"
        for (who, reason), (properties, cases) in counts.items()
    ]
