"""Files of records: written while a run goes on, and read back even when they are cut short.

The first line says what wrote the file: the version of the format, the environment and the options
of the run.  Every other line is the record of one property.  `records.schema.json` describes both.
A file that `gatewise merge` made has several first lines, each before its own records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .records import Record
from .whole_files import WholeLines, write_whole

#: The version of the format: it changes when a reader of the old one would read the new one wrong.
VERSION = 1
NAME = "records.jsonl"
SCHEMA = Path(__file__).with_name("records.schema.json")


@dataclass
class RunRecords:
    """The records of one run, with the first line of their file."""

    head: dict[str, Any]
    records: list[Record] = field(default_factory=list)


def head(environment: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The first line of a file."""
    return {"gatewise_records": VERSION, "environment": dict(environment), "run": dict(options)}


class RecordFile:
    """Writes records to FOLDER/records.jsonl, each as soon as it is there; first those in `kept`.

    Raises `OSError` where the file cannot be made.  Later a write may fail, on a full disk for
    instance: `problem` then says so in one line, and nothing more is written.
    """

    def __init__(self, folder: Path, first: Mapping[str, Any], kept: Iterable[Record] = ()) -> None:
        self.path = folder / NAME
        self.problem = ""
        self._first = dict(first)
        self._records = list(kept)
        lines = [self._first, *(record.as_dict() for record in self._records)]
        self._file = WholeLines(self.path, map(_line, lines))

    def add(self, record: Record) -> None:
        """Write a record."""
        self._records.append(record)
        if self.problem:
            return
        try:
            self._file.add(_line(record.as_dict()))
        except OSError as error:
            self._failed(error, "records after that are lost")

    def close(self, order: Callable[[Record], int] | None = None) -> None:
        """End the file; with `order`, its records are then sorted by it."""
        try:
            self._file.close()
        except OSError as error:
            self._failed(error, "the last records may be lost")
        if order is None or self.problem:
            return
        try:
            _write(self.path, [RunRecords(self._first, sorted(self._records, key=order))])
        except OSError as error:
            self._failed(error, "all records are there, in the order in which they came")

    def _failed(self, error: OSError, what: str) -> None:
        self.problem = f"{self.path}: {error.strerror or error}; {what}"


def write(folder: Path, runs: Iterable[RunRecords]) -> Path:
    """Write the records of several runs to FOLDER/records.jsonl; raises `OSError`."""
    path = folder / NAME
    _write(path, runs)
    return path


def _write(path: Path, runs: Iterable[RunRecords]) -> None:
    lines = [_line(v) for run in runs for v in (run.head, *(r.as_dict() for r in run.records))]
    write_whole(path, "".join(f"{line}\n" for line in lines))


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))


def read(paths: Iterable[Path]) -> tuple[list[RunRecords], list[str]]:
    """The runs in files of records, and a line for each line of a file that cannot be used."""
    runs: list[RunRecords] = []
    problems: list[str] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
            continue
        _read(path, text, runs, problems)
    return runs, problems


def _read(path: Path, text: str, runs: list[RunRecords], problems: list[str]) -> None:
    own: RunRecords | None = None
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        try:
            values = json.loads(line)
        except ValueError:
            problems.append(f"{where}: this is not JSON; the line may be cut short")
            continue
        if isinstance(values, dict) and "gatewise_records" in values:
            own = None
            if values["gatewise_records"] != VERSION:
                version = values["gatewise_records"]
                problems.append(f"{where}: records of version {version!r}; expected {VERSION}")
                break
            own = RunRecords(values)
            runs.append(own)
            continue
        if own is None:
            problems.append(f"{where}: expected a first line with gatewise_records")
            break
        try:
            own.records.append(Record.of(values))
        except (TypeError, KeyError, AttributeError, ValueError):
            problems.append(f"{where}: this is no record of version {VERSION}")
