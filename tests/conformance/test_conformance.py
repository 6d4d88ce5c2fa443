"""Every property on every subject, device and precision, one test each."""

from __future__ import annotations

import pytest

from gatewise.properties.running.records import NOT_RUN, UNSUPPORTED, Record


def test_property(outcome: tuple[Record, str]) -> None:
    record, explanation = outcome
    if record.status in (UNSUPPORTED, NOT_RUN):
        pytest.skip(f"{record.status}: {record.message}")
    if not record.passed:
        pytest.fail(explanation, pytrace=False)
