"""README and CONTRIBUTING: what they show is what a run gives today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.properties import options
from gatewise.properties.devices import TABLE as DEVICES
from gatewise.properties.levels import LEVELS
from gatewise.properties.precisions import OFFERED
from gatewise.properties.running.known_issues import parse
from gatewise.properties.running.profiles import EXAMPLES
from gatewise.properties.running.records import STATUSES
from gatewise.reference.classes import ALL, DECLARED

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL))
CONSOLE = re.findall(r"```console\n\$ (.+?)\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=["check", "pytest"])
def test_a_command_prints_what_the_readme_shows(run: Any, command: str, shown: str) -> None:
    words = command.split()
    if words[0] == "gatewise":
        done = run("-m", *words)
    else:
        assert words[0] == "python"
        done = run(*words[1:], "-p", "no:cacheprovider")
    assert done.returncode == 1
    printed = iter(done.stdout.splitlines())
    missing = [line for line in shown.splitlines() if line not in printed]  # in this order
    assert missing == [], done.stdout


def test_the_options_of_the_command_are_in_the_readme() -> None:
    text = README.partition("| option of `gatewise check` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(--[\w-]+)", text))
    shared = {*options.OPTIONS}
    done = subprocess.run(
        [sys.executable, "-m", "gatewise", "check", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    offered = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", done.stdout, re.MULTILINE))
    assert offered - shared - {"--help"} == named - {"--hypothesis-profile", "--hypothesis-seed"}
    assert shared - offered == {"--subject", "--show"}


def test_the_script_runs_and_finds_the_fault(run: Any) -> None:
    done = run("script.py")
    assert done.returncode == 0, done.stderr
    for precision, line in zip(("float64", "float32"), done.stdout.splitlines(), strict=True):
        assert line.startswith(f"mine.py:MyLSTMCell-cpu-{precision}-equals_reference falsified ")


def test_every_file_of_the_readme_is_run() -> None:
    assert set(FILES) == {"mine.py", "test_mine.py", "script.py"}


def test_the_options_are_those_of_a_run() -> None:
    table = README.partition("## Options")[2].partition("## ")[0]
    found = re.findall(r"^\| (`--.+?`) \| (.+?) \|", table, re.MULTILINE)
    rows = {name: text for names, text in found for name in re.findall(r"--[\w-]+", names)}
    assert set(rows) == {*options.OPTIONS, "--hypothesis-profile", "--hypothesis-seed"}
    for name in (*(n for n in ALL if n not in DECLARED), "auto"):
        assert re.search(rf"\b{name}\b", rows["--like"])
    for name in OFFERED:
        assert re.search(rf"\b{name}\b", rows["--precision"])
    for name in DEVICES:
        assert re.search(rf"\b{name}\b", rows["--device"])
    for name in LEVELS:
        assert name in rows["--level"]
    for name, number in EXAMPLES.items():
        assert name in rows["--hypothesis-profile"]
        assert str(number) in rows["--hypothesis-profile"]


def test_every_status_is_explained() -> None:
    table = README.partition("| status | meaning |")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| ([a-z ]+?) \|", table, re.MULTILINE)) == STATUSES


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_link_and_path_exists(text: str) -> None:
    named = set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", text))
    named |= {p for p in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", text) if "NAME" not in p}
    made = ("build/", "path/to/", ".hypothesis/", "gatewise-report", "error/bound")
    missing = [p for p in named if not p.startswith(made) and not (ROOT / p).exists()]
    assert missing == []


def test_no_paragraph_is_above_five_lines() -> None:
    """Five lines of 110 characters; tables and blocks of code are no paragraphs."""
    for text in (README, CONTRIBUTING):
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for paragraph in prose.split("\n\n"):
            if not paragraph.lstrip().startswith(("|", "#", "-", "    ")):
                assert len(paragraph) <= 550, paragraph[:80]


def test_the_entry_of_a_known_issue_can_be_used() -> None:
    (entry,) = re.findall(r"```toml\n(.*?)```", CONTRIBUTING, re.DOTALL)
    (issue,) = parse(entry)
    assert issue.subjects == ("torch.nn.RNN", "torch.nn.GRU")
