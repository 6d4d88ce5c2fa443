"""What an installation adds: one importable name, its command and its types.

Run from a wheel by `tox run -e wheel`; an editable installation reads the rooms where they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("reference", "impl", "properties", "peers")
API = (
    "CATALOGUE",
    "Adapter",
    "Case",
    "Record",
    "Subject",
    "check_conformance",
    "claim",
    "expected",
    "blend",
    "hard_sigmoid",
    "hard_tanh",
    "identify",
    "kind",
    "layer_norm",
    "log_sigmoid",
    "parametrize",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softplus",
)


def packages() -> set[str]:
    """The packages of the checkout: every folder of a room that has an __init__.py."""
    found = set()
    for room in ("gatewise", *ROOMS):
        for path in (ROOT / room).rglob("__init__.py"):
            parts = path.parent.relative_to(ROOT).parts
            found.add(".".join(parts if room == "gatewise" else ("gatewise", *parts)))
    return found


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_pyproject_lists_every_package() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    setuptools = stated["tool"]["setuptools"]
    assert set(setuptools["packages"]) == packages()
    assert setuptools["package-dir"] == {
        "gatewise": "gatewise",
        **{f"gatewise.{room}": room for room in ROOMS},
    }
    assert (ROOT / "gatewise" / "py.typed").is_file()


def test_nothing_but_gatewise_can_be_imported(tmp_path: Path) -> None:
    code = "import importlib.util as u\n" + "".join(
        f"assert u.find_spec({room!r}) is None, {room!r}\n" for room in ROOMS
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_api_is_what_users_need(tmp_path: Path) -> None:
    code = (
        "import sys, gatewise as gw\n"
        "assert not {'torch', 'hypothesis', 'pytest'} & {*sys.modules}\n"
        f"assert sorted(gw.__all__) == {sorted(API)!r}, gw.__all__\n"
        f"assert {{*{sorted(API)!r}}} <= {{*dir(gw)}}\n"
        f"for name in {sorted(API)!r}: assert getattr(gw, name) is not None\n"
        "try: gw.LSTM\n"
        "except AttributeError as error: print(error)\n"
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gatewise has no 'LSTM'; it offers CATALOGUE, Adapter, Case,")


def test_the_reference_needs_numpy_alone_and_impl_torch_alone(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys({names!r})); import gatewise.{room}.{m}"
    for room, module, names in (
        ("reference", "unroll", ("torch", "hypothesis", "pytest")),
        ("impl", "layers", ("hypothesis", "pytest", "gatewise.reference", "gatewise.properties")),
    ):
        done = run(blocked.format(names=names, room=room, m=module), tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("gatewise",), ("python", "-m", "gatewise")], ids=" ".join)
def test_the_command_is_there(words: tuple[str, ...], tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name(words[0]))
    command = [program, *words[1:], "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "identify" in done.stdout


_INSTALLED = """
import importlib.metadata, json
own = importlib.metadata.distribution("gatewise")
print(json.dumps([str(f) for f in own.files]))
"""


def test_a_wheel_puts_one_folder_into_site_packages(tmp_path: Path) -> None:
    files = json.loads(run(_INSTALLED, tmp_path).stdout)
    if any("__editable__" in f for f in files):
        pytest.skip("gatewise is installed as editable; `tox run -e wheel` runs this")
    tops = {f.partition("/")[0] for f in files if not f.startswith("..")}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"gatewise"}
    inside = {f for f in files if f.startswith("gatewise/")}
    for package in packages():
        assert f"{package.replace('.', '/')}/__init__.py" in inside
    assert {"gatewise/py.typed", "gatewise/properties/running/known_issues.toml"} <= inside
