"""A `--subject` that cannot be used is one clear line; one that can is told its kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gatewise.properties.subjects.loading import SubjectError, load_subject
from gatewise.reference.classes import TORCH

BROKEN = str(Path(__file__).with_name("broken.py"))

WRONG = [
    ("torch.nn.LSTM2", None, "expected package.module:Name or path/to/file.py:Name"),
    ("no_such_package:LSTM", None, "cannot import no_such_package: ModuleNotFoundError"),
    ("torch.nn:LSTMM", None, "torch.nn has no 'LSTMM'"),
    ("no/such/file.py:LSTM", None, "there is no file no/such/file.py"),
    (f"{BROKEN}:Nothing", None, "has no 'Nothing'; it has "),
    (f"{BROKEN}:LSTMOfNoModule", None, "the class is not a torch.nn.Module"),
    (f"{BROKEN}:AN_LSTM", None, "a LSTM was given; expected a class or a factory"),
    ("torch:float32", None, "a dtype was given; expected a class or a factory"),
    (f"{BROKEN}:make_long_short", None, "what it is like cannot be told"),
    (f"{BROKEN}:make_long_short", "Transformer", "--like 'Transformer': expected one of RNNCell"),
    ("torch.nn:Linear", None, "give --like with one of RNNCell, LSTMCell"),
    (":", None, "expected package.module:Name"),
]


@pytest.mark.parametrize(("spec", "like", "part"), WRONG)
def test_one_clear_line(spec: str, like: str | None, part: str) -> None:
    with pytest.raises(SubjectError) as caught:
        load_subject(spec, like)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_fails_on_import(tmp_path: Path) -> None:
    path = tmp_path / "cells.py"
    path.write_text("import nothing_of_this_name\n")
    with pytest.raises(SubjectError, match="fails on import: ModuleNotFoundError: No module named"):
        load_subject(f"{path}:LSTM")


def test_a_file_may_import_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "gates_beside.py").write_text("import torch\nBase = torch.nn.GRU\n")
    (tmp_path / "cells.py").write_text("from gates_beside import Base\nclass Mine(Base): pass\n")
    assert load_subject(f"{tmp_path / 'cells.py'}:Mine").like == "GRU"


@pytest.mark.parametrize("kind", list(TORCH))
def test_the_kind_by_inheritance_by_name_and_by_like(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"cells_{kind.lower()}.py"
    name = {"RNNCell": "my_rnn_cell", "LSTMCell": "FastLSTMCell", "GRUCell": "GRUCellV2"}.get(
        kind, f"My{kind}"
    )
    path.write_text(
        f"import torch\nclass Heir(torch.nn.{kind}): pass\n"
        f"def {name}(*a, **k): return torch.nn.{kind}(*a, **k)\n"
        f"def neutral(*a, **k): return torch.nn.{kind}(*a, **k)\n"
    )
    assert load_subject(f"{path}:Heir").like == kind
    assert load_subject(f"{path}:{name}").like == kind
    assert load_subject(f"{path}:neutral", kind).like == kind
    assert load_subject("torch.nn:LSTM", "LSTM").factory is torch.nn.LSTM
