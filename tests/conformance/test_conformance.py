"""Every property on every subject, device and precision, one test each."""

from __future__ import annotations

import pytest

from gatewise.properties.running.records import NOT_RUN, UNSUPPORTED, Record


def test_property(outcome: tuple[Record, str, bool]) -> None:
    record, explanation, counts = outcome
    if record.status in (UNSUPPORTED, NOT_RUN):
        pytest.skip(f"{record.status}: {record.message}")
    if not record.passed and not counts:
        first = record.message.partition("\n")[0]
        pytest.xfail(f"remark at {record.level}, above --level: {first}")
    if not record.passed:
        pytest.fail(explanation, pytrace=False)
