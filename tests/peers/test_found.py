"""The faults of docs/found.toml: their scripts show them where the library is installed."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from tests.peers.found import FOLDER, Fault, faults

FAULTS = faults()


def label(fault: Fault) -> str:
    """The id of a fault's tests."""
    return fault.path.stem


def done(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder of its own."""
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_every_script_has_an_entry_and_every_entry_a_script() -> None:
    assert sorted(f.script for f in FAULTS) == sorted(p.name for p in FOLDER.glob("*.py"))


@pytest.mark.parametrize("fault", FAULTS, ids=label)
def test_the_script_is_short_and_needs_one_library(fault: Fault) -> None:
    assert len(fault.code.splitlines()) <= 20
    found: set[str] = set()
    for node in ast.walk(ast.parse(fault.code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    # A library on torch gets tensors.
    others = found - set(sys.stdlib_module_names) - {"numpy", "torch"}
    assert len(others) == (0 if fault.library == "torch" else 1)


@pytest.mark.parametrize("fault", FAULTS, ids=label)
def test_the_script_shows_the_fault(fault: Fault, tmp_path: Path) -> None:
    """Status 1 in the version of the entry, and 0 in one that has mended it."""
    try:
        version = Version(importlib.metadata.version(fault.library)).public  # without "+cpu"
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{fault.library} is not installed")
    gone = bool(fault.mended) and Version(version) >= Version(fault.mended)
    if not gone and version != fault.version:
        pytest.skip(f"{fault.library} {version} is installed; the entry is of {fault.version}")
    ended = done(fault.path, tmp_path)
    assert ended.returncode == (0 if gone else 1), ended.stdout + ended.stderr
    (line,) = ended.stdout.splitlines()
    assert "right" in line
    assert "got" in line


ENTRY = """
[[fault]]
library = "nothing"
version = "1"
title = "wrong"
what = "It is wrong."
case = "one step"
effect = "a wrong result"
report = ""
claim = "equals_reference"
script = "nothing.py"
mended = ""
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('case = "one step"\n', "", "lacks case"),
        ('case = "one step"', 'case = " "', "case must not be empty"),
        ('case = "one step"', 'case = "one step"\nfix = "none"', "has the unknown fix"),
        ('"equals_reference"', '"equals"', "the claim equals is no property of the catalogue"),
        ('report = ""', 'report = "issue 3"', "report 'issue 3' is no link"),
    ],
)
def test_a_malformed_entry_is_an_error(old: str, new: str, message: str) -> None:
    assert faults(ENTRY)[0].title == "wrong"
    with pytest.raises(ValueError, match=message):
        faults(ENTRY.replace(old, new))
