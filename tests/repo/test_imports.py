"""Arrows run one way: tests → properties → {reference, impl}; and no module imports in a circle."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("reference", "impl", "properties", "peers")

#: Room → what it may import beside itself and the standard library.
MAY_IMPORT = {
    "reference": {"numpy"},
    "impl": {"torch"},
    "properties": {"reference", "hypothesis", "torch", "numpy", "impl", "tomli"},
    # Each module of peers has one package of others, an optional extra.
    "peers": {
        "reference",
        "properties",
        "torch",
        "numpy",
        "onnx",
        "onnxruntime",
        "keras",
        "flax",
        "jax",
        "opacus",
    },
}
ONLY_IMPORTER_OF_IMPL = "properties.subjects.builtin"


def files() -> dict[str, Path]:
    """Module name → file, of every module of the three rooms."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


FILES = files()


def imported(name: str) -> set[str]:
    """Full names of what a module imports: modules, and names that may be modules."""
    package = name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("name", FILES)
def test_a_room_imports_what_it_may(name: str) -> None:
    room = name.partition(".")[0]
    roots = {n.partition(".")[0] for n in imported(name)} - set(sys.stdlib_module_names) - {room}
    assert roots <= MAY_IMPORT[room]


def test_one_module_knows_impl() -> None:
    importers = {n for n in FILES if n.startswith("properties") and "impl" in imported(n)}
    assert importers == {ONLY_IMPORTER_OF_IMPL}


def test_nothing_needs_the_peers() -> None:
    for name in FILES:
        if not name.startswith("peers"):
            assert not {n for n in imported(name) if n.partition(".")[0] == "peers"}


def test_no_circles() -> None:
    edges = {name: imported(name) & set(FILES) - {name} for name in FILES}
    # A package imports its own modules, and they nothing of it: its name alone is no edge.
    done: set[str] = set()
    while ready := [n for n in edges if n not in done and edges[n] <= done | _packages(n)]:
        done |= set(ready)
    assert set(edges) - done == set()


def _packages(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def test_the_check_sees_a_circle_and_a_wrong_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "activations.py"
    path.write_text("import torch\nfrom . import cells\nfrom .cells import step\n")
    monkeypatch.setitem(FILES, "reference.activations", path)
    seen = {"torch", "reference.cells", "reference.cells.step"}
    assert seen <= imported("reference.activations")
    with pytest.raises(AssertionError):
        test_a_room_imports_what_it_may("reference.activations")
    with pytest.raises(AssertionError):
        test_no_circles()


def test_properties_run_without_pytest() -> None:
    for name in FILES:
        assert not {n for n in imported(name) if n.partition(".")[0] in ("pytest", "_pytest")}


def test_one_module_beside_the_tests_knows_pytest() -> None:
    tree = ast.parse((ROOT / "gatewise_pytest.py").read_text(encoding="utf-8"))
    found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert found <= {"__future__", "collections.abc", "typing", "properties.checks"}
