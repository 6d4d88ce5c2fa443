"""What the project promises of its own tree: no hand-set tolerance, small files, true commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CODE = [
    p
    for room in (
        "reference",
        "impl",
        "properties",
        "peers",
        "gatewise",
        "tests",
        "bench",
        "examples",
    )
    for p in sorted((ROOT / room).rglob("*.py"))
] + [ROOT / "conftest.py"]
TEXT = [*CODE, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tox.ini"]

#: Words of hand-set tolerances; these files put checks of others, with their defaults, beside it.
TOLERANCE = re.compile(r"\b(r" + r"tol|a" + r"tol|allclose|isclose|approx)\b|assert_" + r"close")
COMPARED_WITH_DEFAULTS = {
    "bench/plain_suite.py",
    "bench/sharpness.py",
    "tests/mutation/peers.py",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_tolerance_is_set_by_hand(path: Path) -> None:
    found = TOLERANCE.findall(path.read_text(encoding="utf-8"))
    if name(path) not in COMPARED_WITH_DEFAULTS | {"tests/repo/test_hygiene.py"}:
        assert found == []


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_file_is_a_comfortable_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", TEXT, ids=name)
def test_no_path_of_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|root|work|Users)" + r"/\w+", text) == []


def tox_factors() -> dict[str, set[str]]:
    """Python and torch factors of tox.ini's matrix label."""
    label = re.search(r"verify-py\{([\d,]+)\}-torch\{([\d,]+)\}", (ROOT / "tox.ini").read_text())
    assert label is not None
    return {
        "env": {f"py{v}" for v in label[1].split(",")},
        "torch": {f"torch{v}" for v in label[2].split(",")},
    }


def workflow() -> dict[str, dict[str, object]]:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert isinstance(jobs, dict)
    return jobs


def test_the_ci_matrix_names_factors_of_tox() -> None:
    factors = tox_factors()
    strategy = workflow()["verify"]["strategy"]
    assert isinstance(strategy, dict)
    assert strategy["fail-fast"] is False
    matrix = strategy["matrix"]
    rows = [*matrix["include"], *({"env": e} for e in matrix["env"])]
    rows += [{"torch": t} for t in matrix["torch"]]
    for row in rows:
        for factor, allowed in factors.items():
            assert row.get(factor) is None or row[factor] in allowed
    assert {"ubuntu-latest", "macos-latest", "windows-latest"} <= set(matrix["os"])


def test_each_factor_of_torch_is_a_requirement() -> None:
    text = (ROOT / "tox.ini").read_text(encoding="utf-8")
    for factor in tox_factors()["torch"]:
        version = f"{factor[5]}.{factor[6:]}"
        assert f"{factor}: torch=={version}.*" in text
        assert f"!{factor}-" in text or f"-!{factor}:" in text


def test_environments_named_in_ci_and_readme_exist() -> None:
    text = (ROOT / "tox.ini").read_text(encoding="utf-8")
    defined = set(re.findall(r"^\[testenv:(\S+)\]", text, re.MULTILINE))
    checks = workflow()["checks"]["strategy"]
    assert isinstance(checks, dict)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"tox run -e (\w+)", readme)) | set(checks["matrix"]["env"])
    assert {"verify", "tests"} <= named
    assert named <= defined


def test_constraints_pin_every_test_requirement_exactly() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
    wanted = {"numpy", "hypothesis", "pytest", "pytest-xdist", "mpmath", "onnx", "ruff", "mypy"}
    assert wanted <= pinned


def test_ci_run_covers_tests_lint_and_types() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"for env in lint types wheel tests", text)


NO_PROGRAMS = {"common", "plain_suite"}
PROGRAMS = [
    p
    for p in sorted((ROOT / "bench").glob("*.py"))
    if p.stem not in NO_PROGRAMS and not p.stem.startswith("test_")
]
PROGRAMS += [ROOT / "docs" / "make.py"]


@pytest.mark.parametrize("path", PROGRAMS, ids=name)
def test_a_program_that_no_other_test_runs_starts(path: Path) -> None:
    command = [sys.executable, str(path), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_no_condition_is_tested_twice_in_a_row() -> None:
    """The second of two equal `if`s that end a function never runs."""
    twice = []
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            body = getattr(node, "body", None)
            for first, second in pairwise(body if isinstance(body, list) else []):
                both = isinstance(first, ast.If) and isinstance(second, ast.If)
                if both and ast.dump(first.test) == ast.dump(second.test):
                    twice.append(f"{name(path)}:{second.lineno}")
    assert twice == []
