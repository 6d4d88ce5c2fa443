"""What many falsified properties share is said once, at the end of a run."""

from __future__ import annotations

from dataclasses import replace

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.reporting.causes import common_causes
from gatewise.properties.running.records import FALSIFIED, HOLDS, Diagnosis, Record

ONE = Case("LSTM")


def record(
    name: str, case: Case | None = None, faults: tuple[str, ...] = (), status: str = FALSIFIED
) -> Record:
    text = "" if case is None else repr(case)
    found = Diagnosis(faults=faults)
    family = CATALOGUE[name].family
    return Record("mine", "cpu", "float32", name, family, status, 0, case=text, diagnosis=found)


def test_a_fault_that_explains_several_is_named_with_their_number() -> None:
    records = [
        record("equals_reference", ONE, ("bias_ih dropped", "bias_hh dropped")),
        record("time_split", ONE, ("bias_hh dropped",)),
        record("result_shapes", ONE),
        record("count_is_exact", None, status=HOLDS),
    ]
    assert common_causes(records) == [
        "mine on cpu: 3 properties × precisions are falsified, by cause",
        "     2  consistent with bias_hh dropped: equals_reference and one other",
        "     1  the family interface: result_shapes",
    ]


def test_another_default_is_the_cause_before_another_place() -> None:
    """A class with both: where batch_first is given, its default does not count."""
    default = "the constructor's default is batch_first=True, torch.nn's is batch_first=False"
    place = "the constructor takes batch_first at the place where torch.nn takes bias"
    both, placed = Diagnosis(constructor=(default, place)), Diagnosis(constructor=(place,))
    records = [
        replace(record("equals_reference", ONE), diagnosis=both),
        replace(record("time_split", ONE), diagnosis=both),
        replace(record("batch_first_transposes", ONE), diagnosis=placed),
    ]
    assert common_causes(records) == [
        "mine on cpu: 3 properties × precisions are falsified, by cause",
        f"     2  {default}: equals_reference and one other",
        f"     1  {place}: batch_first_transposes",
    ]


def test_traits_of_the_smallest_cases_are_counted_where_no_property_asks_for_them() -> None:
    unbatched = ONE.but(batch=None)
    records = [
        record("equals_reference", unbatched),
        record("result_dtype_and_device", unbatched),
        record("result_shapes", ONE.but(lengths=(1,))),
        # These cases have it because the property is about it.
        record("directions_are_independent", ONE.but(bidirectional=True)),
        record("unbatched_is_a_batch_of_one", unbatched),
    ]
    assert common_causes(records)[-1] == (
        "mine on cpu: of the smallest cases that falsify, 2 of 5 have an unbatched input"
    )


def test_one_alone_has_nothing_in_common() -> None:
    assert common_causes([record("equals_reference", ONE, ("bias_hh dropped",))]) == []
