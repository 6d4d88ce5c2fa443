"""A run as JUnit's XML, which continuous-integration services show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from pathlib import Path

from ..running.records import ERROR, NOT_RUN, UNSUPPORTED, Record
from ..running.whole_files import write_whole
from .causes import by_subject, cause_of
from .printable import escaped


def write_junit(path: Path, records: Iterable[Record], counts: Callable[[Record], bool]) -> None:
    """Write a file with a suite for each subject and a test for each record; raises `OSError`.

    A record that does not hold is a failure where `counts` is true of it, and skipped as a remark
    elsewhere.
    """
    root = ET.Element("testsuites", name="gatewise")
    for name, rows in by_subject(records).items():
        suite = ET.SubElement(root, "testsuite", name=escaped(name), tests=str(len(rows)))
        tally = dict.fromkeys(("failures", "errors", "skipped"), 0)
        for record in rows:
            test = ET.SubElement(
                suite,
                "testcase",
                classname=f"{escaped(record.subject)}.{record.family}",
                name=f"{record.name}[{record.precision}]",
                time=f"{record.seconds:.3f}",
            )
            kind = _kind(record, counts)
            if kind:
                tally[kind] += 1
                tag = {"failures": "failure", "errors": "error", "skipped": "skipped"}[kind]
                lines = [escaped(line) for line in record.message.split("\n")]
                inner = ET.SubElement(test, tag, message=f"{record.status}: {lines[0]}")
                if kind != "skipped":
                    inner.text = "\n".join([escaped(cause_of(record)), *lines, record.case])
        suite.attrib.update({k: str(n) for k, n in tally.items()})
        suite.set("time", f"{sum(r.seconds for r in rows):.3f}")
    write_whole(path, ET.tostring(root, encoding="utf-8", xml_declaration=True).decode())


def _kind(record: Record, counts: Callable[[Record], bool]) -> str:
    """What JUnit calls a record: failures, errors, skipped, or nothing where it holds."""
    if record.status in (UNSUPPORTED, NOT_RUN):
        return "skipped"
    if record.passed:
        return ""
    if record.status == ERROR:
        return "errors"
    return "failures" if counts(record) else "skipped"
