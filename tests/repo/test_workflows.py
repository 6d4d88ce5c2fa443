"""The workflows: what they run exists, with options that it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatewise.properties.options import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yml")}
TOX = (ROOT / "tox.ini").read_text(encoding="utf-8")


def lines(name: str) -> list[str]:
    """The commands of a workflow, one a step."""
    jobs: dict[str, dict[str, Any]] = WORKFLOWS[name]["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_each_environment_and_script_of_a_workflow_exists(name: str) -> None:
    defined = set(re.findall(r"^\[testenv:(\S+)\]", TOX, re.MULTILINE))
    for line in lines(name):
        named = set(re.findall(r"tox run -e ([a-z]+)", line))
        assert named <= defined
        for script in re.findall(r"tools/\S+", line):
            assert (ROOT / script).is_file()


def test_nightly_puts_every_part_once_and_with_one_seed() -> None:
    job = WORKFLOWS["nightly.yml"]["jobs"]["thorough"]
    parts = job["strategy"]["matrix"]["part"]
    (line,) = (step["run"] for step in job["steps"] if "verify" in step.get("run", ""))
    assert f"--shard ${{{{ matrix.part }}}}/{len(parts)}" in line
    assert sorted(parts) == list(range(1, len(parts) + 1))
    # Every part has the same number, so together they draw what one run draws.
    assert "--hypothesis-seed=${{ github.run_id }}" in line
    given = set(re.findall(r"(--[a-z-]+)", line.partition(" -- ")[2]))
    assert given <= {*OPTIONS, "--hypothesis-profile", "--hypothesis-seed"}


def test_nightly_keeps_failing_cases_where_the_next_night_looks_for_them() -> None:
    steps = [s for job in WORKFLOWS["nightly.yml"]["jobs"].values() for s in job["steps"]]
    names = [s["with"]["name"] for s in steps if "upload-artifact" in s.get("uses", "")]
    # `--database github:OWNER/REPOSITORY` reads the newest artifact of this name.
    assert "hypothesis-example-db" in names
    assert WORKFLOWS["nightly.yml"]["permissions"]["actions"] == "read"


def test_the_gpu_is_given_the_wheel_and_eight_minutes_at_most() -> None:
    (line,) = (line for line in lines("gpu.yml") if "cuda_check.sh" in line)
    options = dict(re.findall(r"--(\w+) (\S+)", line))
    assert options["device"] == "cuda"
    assert int(options["seconds"]) < 480
    script = (ROOT / "tools" / "cuda_check.sh").read_text(encoding="utf-8")
    assert all(f"--{name}" in script for name in options)
