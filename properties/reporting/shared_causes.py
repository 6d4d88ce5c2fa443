"""What many falsified properties of one subject have in common: one fault is often behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..cases.case import case_from
from ..families.catalogue import CATALOGUE
from ..running.records import FALSIFIED, FLAKY, Record
from ..subjects.capabilities import FORMS, OPTIONS

#: Lines of a kind for one subject.
_MOST = 3


def common_causes(records: Iterable[Record]) -> list[str]:
    """Lines that name a fault or a trait of the case that several falsified properties share.

    A property counts once for each precision, as in the table.  A trait that a property asks of
    all its cases is not counted there.
    """
    by_subject: dict[str, list[Record]] = {}
    for record in records:
        if record.status in (FALSIFIED, FLAKY):
            by_subject.setdefault(f"{record.subject} on {record.device}", []).append(record)
    return [line for name, rows in by_subject.items() for line in _of_one(name, rows)]


def _of_one(name: str, rows: list[Record]) -> Iterator[str]:
    faults = Counter(fault for record in rows for fault in record.diagnosis.faults)
    for fault, count in _shared(faults, len(rows)):
        yield f"{name}: {count} of {len(rows)} falsified properties are consistent with {fault}"
    traits = Counter(trait for record in rows for trait in _traits(record))
    told = [f"{count} of {len(rows)} have {trait}" for trait, count in _shared(traits, len(rows))]
    if told:
        yield f"{name}: of the smallest cases that falsify, {'; '.join(told)}"


def _shared(counted: Counter[str], of: int) -> list[tuple[str, int]]:
    """The most common, each of more than one and of at least a tenth of all."""
    return [(what, n) for what, n in counted.most_common(_MOST) if n > 1 and 10 * n >= of]


def _traits(record: Record) -> Iterator[str]:
    """What is special in a record's case: shrinking takes away what the failure does not need."""
    if not record.case:
        return
    case, asked = case_from(record.case), CATALOGUE[record.name].constraints
    for word, forms in FORMS.items():
        if case.form in forms and not {*asked.get("forms", ("dense",))} <= {*forms}:
            yield _TRAITS[word]
    for option, default in OPTIONS.items():
        if option in _TRAITS and getattr(case, option) != default and option not in asked:
            yield _TRAITS[option]


#: A form of call, or an option that is not at its default → how it is said.
_TRAITS = {
    "unbatched": "an unbatched input",
    "packed": "a packed input",
    "batch_first": "batch_first=True",
    "bidirectional": "bidirectional=True",
    "num_layers": "more than one layer",
    "bias": "bias=False",
    "proj_size": "a projection",
    "nonlinearity": "nonlinearity='relu'",
}
