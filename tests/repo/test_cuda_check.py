"""tools/cuda_check.sh, on the CPU: it needs an installed wheel's file and no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewise.properties.running.record_file import read

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "cuda_check.sh"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script needs bash")


def check(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    python = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that no build folder stays in it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
    command = [sys.executable, "-m", "pip", "wheel", str(folder / "clone"), "--no-deps"]
    subprocess.run([*command, "--quiet", "-w", str(folder)], check=True)
    return next(folder.glob("*.whl"))


def test_three_runs_leave_their_records_and_one_page(wheel: Path, tmp_path: Path) -> None:
    options = ["--device", "cpu", "--seconds", "600", "--workers", "1"]
    done = check(str(wheel), *options, "--subject", "torch.nn.RNNCell", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "cuda-check"
    assert (out / "report" / "records.jsonl").is_file()
    for name, fast in (("first", True), ("no-cudnn", False), ("rest", True)):
        (run,), problems = read([out / name / "records.jsonl"])
        assert problems == []
        assert run.head["environment"]["onednn"] is fast
        assert any(r.status == "holds" for r in run.records)
        assert {r.status for r in run.records} <= {"holds", "known issue", "unsupported", "not run"}
        assert {r.device for r in run.records} == {"cpu"}
        assert f"{name}: " in done.stdout
    first, _ = read([out / "first" / "records.jsonl"])
    rest, _ = read([out / "rest" / "records.jsonl"])
    families = {r.family for r in first[0].records}
    assert {"agreement", "gradients", "paths"} <= families
    assert families.isdisjoint(r.family for r in rest[0].records)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "WHEEL '': expected a file that pip wheel made"),
        (["nowhere.whl"], "WHEEL 'nowhere.whl': expected a file that pip wheel made"),
        ([__file__, "--seconds", "5"], "--seconds '5': expected a whole number from 20"),
        ([__file__, "--workers", "0"], "--workers '0': expected a whole number from 1"),
        ([__file__, "--seconds"], "--seconds: expected a value"),
        ([__file__, "--gpu"], "--gpu: expected --device, --seconds, --workers, --out or --subject"),
        ([__file__, "other.whl"], "other.whl: expected one wheel"),
    ],
)
def test_a_bad_argument_is_one_line(arguments: list[str], line: str, tmp_path: Path) -> None:
    done = check(*arguments, folder=tmp_path)
    assert done.returncode == 4
    assert done.stderr == f"cuda_check.sh: {line}\n"
    assert list(tmp_path.iterdir()) == []
