"""What many falsified properties of one subject have in common: one fault is often behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from .catalogue import CATALOGUE
from .diagnosis import CONSISTENT, OR
from .records import FALSIFIED, FLAKY, Record
from .strategies.cases import Case, case_from

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
    faults = Counter(fault for record in rows for fault in _faults(record))
    for fault, count in _shared(faults, len(rows)):
        yield f"{name}: {count} of {len(rows)} falsified properties are consistent with {fault}"
    traits = Counter(trait for record in rows for trait in _traits(record))
    told = [f"{count} of {len(rows)} have {trait}" for trait, count in _shared(traits, len(rows))]
    if told:
        yield f"{name}: of the smallest cases that falsify, {'; '.join(told)}"


def _shared(counted: Counter[str], of: int) -> list[tuple[str, int]]:
    """The most common, each of more than one and of at least a tenth of all."""
    return [(what, n) for what, n in counted.most_common(_MOST) if n > 1 and 10 * n >= of]


def _faults(record: Record) -> list[str]:
    first = record.diagnosis.partition("\n")[0]
    return first.removeprefix(CONSISTENT).split(OR) if first.startswith(CONSISTENT) else []


def _traits(record: Record) -> Iterator[str]:
    """What is special in a record's case: shrinking takes away what the failure does not need."""
    if not record.case:
        return
    case, asked = case_from(record.case), CATALOGUE[record.name].constraints
    drawn = {_FORMS.get(form) for form in asked.get("forms", ("dense", *_FORMS))}
    if case.form in _FORMS and drawn != {_FORMS[case.form]}:
        yield _FORMS[case.form]
    for option, trait in _OPTIONS.items():
        if getattr(case, option) != getattr(_PLAIN, option) and option not in asked:
            yield trait


_FORMS = {
    "unbatched": "an unbatched input",
    "equal": "a packed input",
    "ragged": "a packed input",
}
_PLAIN = Case("RNN")
_OPTIONS = {
    "batch_first": "batch_first=True",
    "bidirectional": "bidirectional=True",
    "num_layers": "more than one layer",
    "bias": "bias=False",
    "proj_size": "a projection",
    "nonlinearity": "nonlinearity='relu'",
}
