"""The causes behind falsified properties: what many of them share, and which one tells most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..cases.case import case_from
from ..families.catalogue import CATALOGUE
from ..levels import LEVELS
from ..running.records import FALSIFIED, FLAKY, Record
from ..subjects.capabilities import FORMS, OPTIONS

#: Properties of which the first says most about what is wrong; the others come after them.
_TELLING = (
    "equals_reference",
    "equals_reference_step_by_step",
    "names_and_shapes",
    "result_shapes",
    "packed_equals_each_sequence_alone",
    "equals_reference_given_its_mask",
    "evaluation_drops_nothing",
)

#: Properties that differ in one thing alone: where some hold and others do not, that thing is it.
_ISOLATING = (
    (
        "gradients_through_the_output_alone",
        "gradients_through_the_hidden_state_alone",
        "gradients_through_the_cell_state_alone",
    ),
    tuple(name for name in CATALOGUE if name.startswith("gradient_of_")),
)

#: Causes that are shown for one subject; the others are counted together.
_MOST = 10
#: Traits that are shown for one subject.
_TRAITS_SHOWN = 3


def by_subject(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Subject and device → its records."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(f"{record.subject} on {record.device}", []).append(record)
    return found


def most_telling_first(records: Iterable[Record]) -> list[Record]:
    """The records of each subject that do not pass, the one that tells most about a cause first.

    A lower level comes first: a wrong value before a departure, and that before a remark.
    """
    ordered: list[Record] = []
    for rows in by_subject(records).values():
        isolated = _isolated(rows)
        wrong = [r for r in rows if not r.passed]
        ordered += sorted(wrong, key=lambda r: _rank(r, isolated))
    return ordered


def _isolated(rows: list[Record]) -> dict[str, int]:
    """The falsified properties of a group of `_ISOLATING` of which others hold.

    The number is how many of the group are falsified: the fewer, the more each says.
    """
    falsified = {r.name for r in rows if not r.passed}
    holds = {r.name for r in rows if r.passed and r.comparisons} - falsified
    found: dict[str, int] = {}
    for group in _ISOLATING:
        wrong = [name for name in group if name in falsified]
        if wrong and holds & {*group}:
            found |= dict.fromkeys(wrong, len(wrong))
    return found


def _rank(record: Record, isolated: dict[str, int]) -> tuple[int, int, int, int]:
    level = list(LEVELS).index(record.level)
    telling = _TELLING.index(record.name) if record.name in _TELLING else len(_TELLING)
    order = list(CATALOGUE)
    place = order.index(record.name) if record.name in order else len(order)
    return level, telling, isolated.get(record.name, len(order)), place


def cause_of(record: Record) -> str:
    """What a falsified property points to: a named fault, an exception, or the property itself."""
    if record.diagnosis.constructor:
        return record.diagnosis.constructor[0]
    if record.diagnosis.faults:
        return f"consistent with {record.diagnosis.faults[0]}"
    first = record.message.partition("\n")[0]
    if first.startswith(("the subject raised", "the subject ended", "the subject did not")):
        return first[:120]
    return f"the family {record.family}"


def common_causes(records: Iterable[Record]) -> list[str]:
    """Lines for each subject of which several properties do not hold: how many, by cause.

    A property counts once for each precision, as in the table.  Below stand traits of the
    smallest cases that several share; a trait that a property fixes in all its cases is not
    counted there.
    """
    wrong = [r for r in records if r.status in (FALSIFIED, FLAKY)]
    return [line for name, rows in by_subject(wrong).items() for line in _of_one(name, rows)]


def _of_one(name: str, rows: list[Record]) -> Iterator[str]:
    if len(rows) < 2:
        return
    faults = Counter(fault for r in rows for fault in (*r.diagnosis.constructor, *_faults(r)))
    left, lines = list(rows), list[str]()
    while left and len(lines) < _MOST:
        cause, count = _next(left, faults)
        mine = [r for r in left if cause in _causes(r)]
        left = [r for r in left if r not in mine]
        first = most_telling_first(mine)[0].name
        more = len({r.name for r in mine}) - 1
        also = f" and {more} other properties" if more > 1 else " and one other" if more else ""
        lines.append(f"  {count:4}  {cause}: {first}{also}")
    yield f"{name}: {len(rows)} properties × precisions are falsified, by cause"
    yield from lines
    if left:
        yield f"  {len(left):4}  of further causes"
    traits = Counter(trait for record in rows for trait in _traits(record))
    shared = [(t, n) for t, n in traits.most_common(_TRAITS_SHOWN) if n > 1 and 10 * n >= len(rows)]
    if shared:
        words = "; ".join(f"{n} of {len(rows)} have {trait}" for trait, n in shared)
        yield f"{name}: of the smallest cases that falsify, {words}"


def _faults(record: Record) -> list[str]:
    return [f"consistent with {fault}" for fault in record.diagnosis.faults]


def _causes(record: Record) -> list[str]:
    """What may explain a record; of the constructor the first difference, a default before a place.

    A subject is made with its options by keyword, so a place explains less than a default.
    """
    return [*record.diagnosis.constructor[:1], *_faults(record)] or [cause_of(record)]


def _next(left: list[Record], faults: Counter[str]) -> tuple[str, int]:
    """The cause that explains most of what is left, a named fault before any other."""
    counted = Counter(cause for record in left for cause in _causes(record))
    named = {c: n for c, n in counted.items() if c in faults}
    return max((named or counted).items(), key=lambda item: item[1])


def _traits(record: Record) -> Iterator[str]:
    """What is special in a record's case: shrinking takes away what the failure does not need."""
    if not record.case or record.name not in CATALOGUE:
        return
    case, asked = case_from(record.case), CATALOGUE[record.name].constraints
    for word, forms in FORMS.items():
        if case.form in forms and not {*asked.get("forms", ("dense",))} <= {*forms}:
            yield _TRAITS[word]
    for option, default in OPTIONS.items():
        if option in _TRAITS and getattr(case, option) != default and option not in asked:
            yield _TRAITS[option]


#: A form of call, or an option that is not at its default → its words.
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
