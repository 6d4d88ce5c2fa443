"""docs/ci.md and action.yml: the recipes run, and name what there is."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatewise import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```\w+\n# ([\w./-]+)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"```console\n\$ (.+?)\n```", PAGE)
#: Keeps a command of the page short; the page's own options stay.
SHORT = ["--property", "equals_reference", "--precision", "float32", "--profile", "quick"]


def test_the_commands_run_one_after_the_other(folder: Path, run: Any) -> None:
    check, merge, compare, tests = (shlex.split(command) for command in COMMANDS)
    done = run("-m", *check, *SHORT)
    assert done.returncode == 0, done.stderr
    assert (folder / "gatewise-report" / "junit.xml").is_file()
    (folder / "main").mkdir()
    records = (folder / "gatewise-report" / "records.jsonl").read_text(encoding="utf-8")
    (folder / "main" / "records.jsonl").write_text(records, encoding="utf-8")
    assert run("-m", *compare).returncode == 0
    files = [str(p) for p in folder.glob(merge[2])]
    assert len(files) == 2
    assert run("-m", *merge[:2], *files, *merge[3:]).returncode == 0
    done = run("-m", *tests, "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b4 passed", done.stdout)


def test_tox_and_pre_commit_run_a_command_that_there_is(run: Any) -> None:
    tox = configparser.ConfigParser()
    tox.read_string(FILES["tox.ini"])
    commands = [tox["testenv:gatewise"]["commands"].replace("{posargs}", "")]
    hooks = yaml.safe_load(FILES[".pre-commit-config.yaml"])["repos"][0]["hooks"]
    commands += [hook["entry"] for hook in hooks]
    for command in commands:
        done = run("-m", *shlex.split(command), *SHORT)
        assert done.returncode == 0, done.stderr


def test_the_action_takes_what_the_page_gives_it() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    workflow = yaml.safe_load(FILES[".github/workflows/gatewise.yml"])
    (step,) = [s for s in workflow["jobs"]["gatewise"]["steps"] if "gatewise" in s["uses"]]
    assert set(step["with"]) <= set(action["inputs"])
    required = {name for name, own in action["inputs"].items() if own.get("required")}
    assert required <= set(step["with"])
    steps = action["runs"]["steps"]
    given = {name for s in steps for name in re.findall(r"inputs\.(\w+)", str(s))}
    assert given == set(action["inputs"])
    # What a user writes comes to the shell by the environment, never as a part of the script.
    assert not any("${{" in s.get("run", "") for s in steps)


def test_the_action_runs_the_command(folder: Path, run: Any) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (script,) = [s["run"] for s in action["runs"]["steps"] if "check" in s.get("run", "")]
    words = shlex.split(script)
    words[words.index("$SUBJECT")] = "mine.py:MyGRU"
    words[words.index("$REPORT")] = "report"
    words[words.index("$OPTIONS") :] = SHORT
    assert words[:3] == ["python", "-m", "gatewise"]
    done = run("-m", *words[2:])
    assert done.returncode == 0, done.stderr
    assert (folder / "report" / "records.jsonl").is_file()


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["chekc"])
    assert caught.value.code == 2
    assert "invalid choice: 'chekc'" in capsys.readouterr().err
