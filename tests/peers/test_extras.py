"""A library that is not installed: one line that names the extra."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.properties.subjects.capabilities import SubjectError
from gatewise.properties.subjects.loading import EXTRAS, load_subject

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
#: What needs torch alone, or is no adapter.
PLAIN = {"__init__", "foreign", "held", "quantizable", "quantized", "quantized_kinds"}
ADAPTERS = sorted(path.stem for path in (ROOT / "peers").glob("*.py") if path.stem not in PLAIN)


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_has_an_extra_and_names_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = EXTRAS.get(name, name)
    assert extra in stated["project"]["optional-dependencies"]

    def missing(where: str) -> Any:
        raise ModuleNotFoundError("No module named 'its_library'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SubjectError, match=f"needs the extra `{extra}` of gatewise$") as caught:
        load_subject(f"gatewise.peers.{name}:LSTM")
    assert "\n" not in str(caught.value)


def test_an_adapter_that_does_not_exist_names_no_extra() -> None:
    with pytest.raises(SubjectError, match=r"No module named 'gatewise.peers.nothing'$"):
        load_subject("gatewise.peers.nothing:LSTM")
