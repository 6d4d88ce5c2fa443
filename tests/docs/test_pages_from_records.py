"""The pages of versions and of verdicts say what the records of a run say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs import verdicts, versions
from gatewise.properties.running.known_issues import known_issues
from gatewise.properties.running.record_file import RunRecords, head, write
from gatewise.properties.running.records import FALSIFIED, HOLDS, KNOWN_ISSUE, UNSUPPORTED, Record


def record(name: str, status: str, level: str = "values", **more: Any) -> Record:
    """A record of a property of torch.nn.LSTM."""
    return Record("torch.nn.LSTM", "cpu", "float32", name, "agreement", status, 1, level, **more)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A file of records: one of each status that the pages count."""
    first = head(
        {"torch": "9.8.7+cpu", "python": "3.11.7", "numpy": "2.4.6"},
        {"seed": 3, "profile": "quick"},
    )
    issues = known_issues()
    names = [issues[0], next(i for i in issues if i.name != issues[0].name)]
    rows = [
        record("equals_reference", HOLDS, comparisons=40, worst=0.25),
        record("time_split", FALSIFIED, comparisons=2, worst=0.5),
        record("small_gates", UNSUPPORTED, level="contract"),
        record("step_by_step", KNOWN_ISSUE, message="; ".join(issue.line for issue in names)),
    ]
    return write(tmp_path, [RunRecords(first, rows)])


def test_versions(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version, own = versions.distilled(records)
    assert version == "9.8.7"
    names = sorted({*own["issues"]})
    assert len(names) == 2
    data = tmp_path / "versions.json"
    monkeypatch.setattr(versions, "DATA", data)
    data.write_text(json.dumps({"10.0": {**own, "issues": {}}, version: own}), encoding="utf-8")
    page = versions.page()
    assert "| 9.8.7 | 4 | 1 | 1 | 1 | 1 | 42 | float32 0.500 |" in page
    assert f"| [{names[0]}](known-issues.md#{names[0]}) |" in page
    # In the order of versions, not of text; the later one has no such fault.
    assert "| known issue | report | 9.8.7 | 10.0 |" in page
    assert page.count(" | 1 |  |\n") == 2


def test_verdicts(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "verdicts.json"
    data.write_text(json.dumps(dict(verdicts.distilled("some==1.2", records))), encoding="utf-8")
    monkeypatch.setattr(verdicts, "DATA", data)
    page = verdicts.page()
    assert "## some\n\nsome 1.2, torch 9.8.7, float32, profile quick, seed 3.\n" in page
    assert "| `torch.nn.LSTM` | 1 fault, 2 of 3 hold (1 known issues) |" in page
    assert "| nothing was run | nothing was run | agreement 1 of 3 |" in page
