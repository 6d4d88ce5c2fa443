"""Imports run one way, between the rooms and between the folders of `properties`, in no circle.

`(reference, impl) ← cases ← subjects ← checking ← families ← running ← reporting ← session ←
gatewise`.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("reference", "impl", "properties", "peers", "gatewise")

#: Package → the packages of others that it may import beside NumPy.
MAY_IMPORT = {
    "reference": {"numpy"},
    "impl": {"torch"},
    "properties": {
        "numpy",
        "torch",
        "hypothesis",
        "packaging",
        "tomli",
        "rich",
        "jinja2",
        "matplotlib",
        "redis",
    },
    # Each module of peers has one package of others, an optional extra.
    "peers": {
        *("numpy", "torch", "onnx", "onnxruntime", "keras", "flax", "jax", "opacus"),
        *("torchrecurrent", "torchrl", "speechbrain", "pytorch_forecasting"),
        *("torch_geometric_temporal", "ncps", "paddle", "openvino", "tinygrad", "ml_dtypes"),
        *("equinox", "haiku"),
    },
    "gatewise": {"pytest"},
}

#: The layers of the house, lowest first: a module imports from its own layer and from lower ones.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("reference", "impl"),
    (
        "properties.clock",
        "properties.devices",
        "properties.environment",
        "properties.levels",
        "properties.precisions",
        "properties.process_state",
    ),
    ("properties.cases",),
    ("properties.subjects",),
    ("properties.checking",),
    ("properties.families",),
    ("properties.running",),
    ("properties.reporting",),
    ("properties.session",),
    ("properties.options",),
    ("properties.resuming",),
    ("properties.conducting",),
    ("gatewise", "peers"),
)
#: Neither of these imports the other, though they stand in one layer.
APART = {("reference", "impl"), ("impl", "reference"), ("gatewise", "peers")}

ONLY_IMPORTER_OF_IMPL = "properties.subjects.builtin"


def files() -> dict[str, Path]:
    """Module name, without `gatewise.`, → file, of every module of the rooms."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


FILES = files()


def imported(name: str) -> set[str]:
    """Full names of what a module imports: modules, and names that may be modules."""
    return _imported(name, FILES[name])


@cache
def _imported(name: str, path: Path) -> set[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            found = {f"{base}.{alias.name}" for alias in node.names}
            names |= found if base == "gatewise" and node.level == 0 else {base, *found}
    return {_plain(n) for n in names}


def _plain(name: str) -> str:
    """A name as `FILES` has it: that of a room without `gatewise.` before it."""
    rest = name.removeprefix("gatewise.")
    return rest if rest.partition(".")[0] in ROOMS else name


def edges() -> dict[str, set[str]]:
    """Module → the modules of this project that it imports."""
    return {name: imported(name) & set(FILES) - {name} for name in FILES}


def layer_of(name: str) -> int | None:
    """The place in `LAYERS` of a module; None for a package that only has a docstring."""
    for place, parts in enumerate(LAYERS):
        if any(name == part or name.startswith(f"{part}.") for part in parts):
            return place
    return None


def folder_of(name: str) -> str:
    """The folder of a module that is a package, else of the package that it lies in."""
    return name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]


def arrows() -> set[tuple[str, str]]:
    """The arrows between folders: an import from a module of one to a module of another."""
    pairs = {(folder_of(a), folder_of(b)) for a, found in edges().items() for b in found}
    return {(a, b) for a, b in pairs if a != b and not f"{a}.".startswith(f"{b}.")}


@pytest.mark.parametrize("name", FILES)
def test_a_room_imports_what_it_may(name: str) -> None:
    room = name.partition(".")[0]
    roots = {n.partition(".")[0] for n in imported(name)} - set(sys.stdlib_module_names)
    assert roots - set(ROOMS) <= MAY_IMPORT[room]


def upward(name: str) -> set[str]:
    """What a module imports from a higher layer, or from the room beside it."""
    own = layer_of(name)
    if own is None:
        return set()
    found = {n: layer_of(n) for n in edges()[name]}
    above = {n for n, place in found.items() if place is not None and place > own}
    room = name.partition(".")[0]
    return above | {n for n in found if (room, n.partition(".")[0]) in APART}


@pytest.mark.parametrize("name", FILES)
def test_no_import_runs_upward(name: str) -> None:
    assert upward(name) == set()


def test_every_module_has_a_layer() -> None:
    assert {name for name in FILES if layer_of(name) is None} == {"properties"}


def test_one_module_knows_impl() -> None:
    importers = {n for n in FILES if n.startswith("properties") and "impl" in imported(n)}
    assert importers == {ONLY_IMPORTER_OF_IMPL}


def test_nothing_needs_the_peers() -> None:
    for name in FILES:
        if not name.startswith("peers"):
            assert not {n for n in imported(name) if n.partition(".")[0] == "peers"}


def circle(after: dict[str, set[str]]) -> set[str]:
    """The modules that are in a circle, or import from one."""
    # A package imports its own modules, and they nothing of it: its name alone is no edge.
    done: set[str] = set()
    while ready := [n for n in after if n not in done and after[n] <= done | _packages(n)]:
        done |= set(ready)
    return set(after) - done


def test_no_circles_of_modules() -> None:
    assert circle(edges()) == set()


def test_no_circles_of_folders() -> None:
    """Folders of one layer as well, such as those of two families, never import each other."""
    after: dict[str, set[str]] = {folder_of(n): set() for n in FILES}
    for a, b in arrows():
        if not f"{b}.".startswith(f"{a}."):  # a folder may import from a folder inside it
            after[a].add(b)
    assert circle(after) == set()


def _packages(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("reference.activations", "import torch"),
        ("reference.activations", "from gatewise.properties.cases import case"),
        ("reference.activations", "from gatewise.impl import LSTM"),
        ("impl.cells", "from gatewise.reference import cells"),
        ("properties.cases.sizes", "from ..subjects import protocol"),
        ("properties.subjects.loading", "from ..families.catalogue import CATALOGUE"),
        ("properties.checking.oracle", "from gatewise.properties.running.engine import run"),
        ("properties.families.agreement", "from ..running import records"),
        ("properties.running.engine", "from ..reporting import explanation"),
        ("properties.reporting.diagnosis", "from .. import session"),
        ("properties.session", "from gatewise import cli"),
        ("gatewise.cli", "from gatewise.peers import opacus"),
    ],
)
def test_a_planted_import_upward_fails(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "planted.py"
    path.write_text(f"{line}\n{FILES[name].read_text(encoding='utf-8')}", encoding="utf-8")
    monkeypatch.setitem(FILES, name, path)
    foreign = line == "import torch"
    held = test_a_room_imports_what_it_may if foreign else test_no_import_runs_upward
    with pytest.raises(AssertionError):
        held(name)


def test_a_planted_circle_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "activations.py"
    path.write_text("from . import cells\nfrom .cells import step\n")
    monkeypatch.setitem(FILES, "reference.activations", path)
    assert {"reference.cells", "reference.cells.step"} <= imported("reference.activations")
    with pytest.raises(AssertionError):
        test_no_circles_of_modules()


def test_a_planted_circle_of_folders_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one family's folder to another's and back: no module is in a circle."""
    for name, line in (
        ("properties.families.dropout.masks", "from ..memory import peak"),
        ("properties.families.memory.claims", "from ..dropout import masks"),
    ):
        path = tmp_path / f"{name}.py"
        path.write_text(f"{line}\n", encoding="utf-8")
        monkeypatch.setitem(FILES, name, path)
    with pytest.raises(AssertionError):
        test_no_circles_of_folders()


def test_properties_run_without_pytest() -> None:
    for name in FILES:
        if not name.startswith("gatewise"):
            assert not {n for n in imported(name) if n.partition(".")[0] in ("pytest", "_pytest")}
