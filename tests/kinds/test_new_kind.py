"""`gatewise new-kind` writes a file whose module is right for its kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def gatewise(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_file_runs_as_it_says(tmp_path: Path) -> None:
    done = gatewise(tmp_path, "new-kind", "Mine")
    assert done.stdout == "wrote mine.py; now gatewise check mine.py:MyMine --like MineCell\n"
    families = ("agreement", "gradients", "modes", "weights", "memory")
    options = [w for name in families for w in ("--family", name)]
    options += ["--precision", "float32", "--profile", "quick"]
    done = gatewise(tmp_path, "check", "mine.py:MyMine", "--like", "MineCell", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "values: right" in done.stdout
    assert "contract: kept" in done.stdout


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("3x", "'3x' is no name of a function; expected such as PeepholeLSTM"),
        ("class", "'class' is no name of a function; expected such as PeepholeLSTM"),
        ("Old", "old.py exists; expected another name, or no such file"),
    ],
    ids=["digit", "keyword", "exists"],
)
def test_a_bad_name_is_one_line(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / "old.py").write_text("kept", encoding="utf-8")
    done = gatewise(tmp_path, "new-kind", name)
    assert done.returncode == 4
    assert done.stderr == f"gatewise new-kind: {line}\n"
    assert (tmp_path / "old.py").read_text(encoding="utf-8") == "kept"
