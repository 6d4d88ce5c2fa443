"""Files of records: written while a run goes on, and read back even when they are cut short.

The first line says what wrote the file: the version of the format, the environment and the options
of the run.  Every other line is the record of one property.  `records.schema.json` describes both.
A file that `gatewise merge` made has several first lines, each before its own records.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from .records import Record

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
    """Writes records to FOLDER/records.jsonl, each as soon as it is there.

    Raises `OSError` where the file cannot be made.  Later a write may fail, on a full disk for
    instance: `problem` then says so in one line, and nothing more is written.
    """

    def __init__(self, folder: Path, first: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self.problem = ""
        self._first = dict(first)
        self._records: list[Record] = []
        self._file: TextIO = self.path.open("w", encoding="utf-8", newline="\n")
        self._file.write(_line(self._first))
        self._file.flush()

    def add(self, record: Record) -> None:
        """Write a record."""
        self._records.append(record)
        if self.problem:
            return
        try:
            self._file.write(_line(record.as_dict()))
            self._file.flush()
        except OSError as error:
            self._failed(error)

    def close(self, order: Callable[[Record], int] | None = None) -> None:
        """End the file; with `order`, its records are then sorted by it.

        The old file is replaced in one step, so that it is whole at any time.
        """
        try:
            self._file.close()
        except OSError as error:
            self._failed(error)
        if order is None or self.problem:
            return
        new = self.path.with_suffix(".new")
        try:
            _write(new, [RunRecords(self._first, sorted(self._records, key=order))])
            os.replace(new, self.path)
        except OSError as error:
            new.unlink(missing_ok=True)
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if not self.problem:
            self.problem = f"{self.path}: {error.strerror or error}; records after that are lost"


def write(folder: Path, runs: Iterable[RunRecords]) -> Path:
    """Write the records of several runs to FOLDER/records.jsonl; raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    _write(path, runs)
    return path


def _write(path: Path, runs: Iterable[RunRecords]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for run in runs:
            file.write(_line(run.head))
            file.writelines(_line(r.as_dict()) for r in run.records)


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":")) + "\n"


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
