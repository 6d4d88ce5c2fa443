"""The code of docs/your-own-cell.md runs, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "your-own-cell.md").read_text(encoding="utf-8")

FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
CONSOLE = re.findall(r"```console\n\$ (.+?)\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_of_python_is_a_file_here() -> None:
    assert len(FILES) == PAGE.count("```python") == 9
    assert len(CONSOLE) == PAGE.count("```console") == 1


def test_the_script_prints_a_record_for_each_precision(run: Any) -> None:
    done = run("script.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{subject}-cpu-{precision}-equals_reference holds"
        for subject in ("mine:MyLSTM", "adapted:Fused")
        for precision in ("float64", "float32")
    ]


def test_the_pytest_file_has_a_test_for_each_property(run: Any) -> None:
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d\d+ passed", done.stdout, re.MULTILINE), done.stdout


def test_a_pytest_file_fails_and_skips_as_it_says(folder: Path, run: Any) -> None:
    text = (
        "import torch\n"
        "import gatewise as gw\n"
        "class Ignores(torch.nn.GRUCell):\n"
        "    gatewise_unsupported = {'unbatched': 'rows alone'}\n"
        "    def forward(self, x, h=None):\n"
        "        return super().forward(x)\n"
        "names = ['equals_reference', 'unbatched_is_a_batch_of_one', 'count_is_exact']\n"
        "@gw.parametrize([Ignores], precisions=['float32'], properties=names)\n"
        "def test_it(check):\n"
        "    check()\n"
    )
    (folder / "test_ignores.py").write_text(text, encoding="utf-8")
    done = run("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_ignores.py")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped" in done.stdout
    assert "unsupported: rows alone" in done.stdout
    assert "property equals_reference is falsified" in done.stdout
    assert "reproduce with seed=0" in done.stdout


@pytest.mark.parametrize(("command", "printed"), CONSOLE)
def test_the_command_prints_what_the_page_says(run: Any, command: str, printed: str) -> None:
    words = command.split()
    assert words[0] == "gatewise"
    done = run("-m", "gatewise", *words[1:])
    assert (done.returncode, done.stdout) == (0, printed)


def test_the_kind_of_the_page_is_checked_as_it_says(run: Any) -> None:
    options = ["--precision", "float32", "--profile", "quick", "--family", "gradients"]
    words = ["check", "peephole.py:Cell", "--like", "MyPeepholeCell", *options]
    done = run("-m", "gatewise", *words, "--family", "agreement", "--family", "own")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "values: right" in done.stdout


def test_the_fault_of_the_page_is_named_as_it_says(folder: Path, run: Any) -> None:
    text = (folder / "peephole.py").read_text(encoding="utf-8")
    first = "        c = f * c + i * torch.tanh(g)\n"
    second = "        o = torch.sigmoid(o + self.peephole[2] * c)\n"
    assert first + second in text
    wrong = text.replace(first + second, second + first)
    (folder / "peephole.py").write_text(wrong, encoding="utf-8")
    words = ["check", "peephole.py:Cell", "--like", "MyPeepholeCell", "--fail-fast", "--jobs", "1"]
    done = run("-m", "gatewise", *words, "--property", "equals_reference", "--seed", "1")
    (line,) = re.findall(r"^falsified: equals_reference in .*$", PAGE, re.MULTILINE)
    # The file of the test has one line less than the page: that with its name.
    assert line.replace("line 19", "line 18") in done.stdout


@pytest.mark.parametrize(
    "spec",
    [
        "mine.py:MyLSTM",
        "one_layer.py:OneLayerGRU",
        "adapted.py:FUSED",
        "step.py:STEP",
        "skipping.py:SKIPPING",
        "outside.py:NumpyRNNCell",
    ],
)
def test_every_subject_of_the_page_is_right(run: Any, spec: str) -> None:
    code = (
        "from gatewise import check_conformance\n"
        f"records = check_conformance({spec!r}, precisions=['float32'], profile='quick')\n"
        "print(sorted({r.status for r in records} - {'unsupported', 'known issue', 'not run'}),"
        " [(r.id, r.message) for r in records if not r.passed])\n"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['holds'] []\n"
