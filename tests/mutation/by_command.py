"""How soon the command tells a mutant: python -m tests.mutation.by_command [--pytest] [--count 40].

Draws mutants by a fixed seed, as many of each class of faults as its share, and runs `gatewise
check --fail-fast` on each, or `pytest -x` with --pytest, one after the other, each from nothing.
Prints the seconds from the start of the interpreter to the first line that names a falsified
property, and to the end of the command; then the median and the 95th percentile of each.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gatewise.commands.variables import VARIABLES
from gatewise.properties.levels import HARDENING

from .all import MUTANTS
from .kill import ROOT
from .run import percentile

_FILE = """
import sys

sys.path.insert(0, {root!r})
from tests.mutation.all import MUTANTS

Wrong = MUTANTS[{name!r}].factory
"""


def module_of(name: str) -> str:
    """The text of a file whose class `Wrong` is a mutant, for the commands that load a subject."""
    return _FILE.format(root=str(ROOT), name=name)


def drawn(count: int, seed: int = 0) -> list[str]:
    """Mutants over all classes of faults, spread evenly over the registry's order by class."""
    ordered = sorted(MUTANTS, key=lambda n: (MUTANTS[n].fault_class, n))
    start = random.Random(seed).random()
    return [ordered[int((k + start) * len(ordered) / count)] for k in range(count)]


def seconds(name: str, by_pytest: bool, jobs: int) -> tuple[float | None, float]:
    """Seconds to the first falsified property, or None, and to the end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mine.py"
        file.write_text(module_of(name), encoding="utf-8")
        spec, like = f"{file}:Wrong", MUTANTS[name].like
        report = ["--report", f"{folder}/report", "--like", like, "--level", HARDENING]
        if by_pytest:
            command = ["-m", "pytest", "tests/conformance", "-x", "-p", "no:cacheprovider"]
            command += ["--subject", spec, *report, *(["-n", str(jobs)] if jobs > 1 else [])]
        else:
            command = ["-m", "gatewise", "check", spec, "--fail-fast", "--jobs", str(jobs), *report]
        start, first = time.perf_counter(), None
        process = subprocess.Popen(
            [sys.executable, "-u", "-W", "ignore", *command],
            cwd=ROOT,
            env={**os.environ, **VARIABLES},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if first is None and line.startswith(("falsified: ", "flaky: ", "crashed: ")):
                first = time.perf_counter() - start
        process.wait()
        return first, time.perf_counter() - start


def main() -> int:
    """Run, print, and return 1 where a mutant was not told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pytest", action="store_true", help="pytest -x instead of the command")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    firsts, ends, missed = [], [], 0
    for name in drawn(args.count):
        first, end = seconds(name, args.pytest, args.jobs)
        shown = "not told" if first is None else f"{first:.1f} s"
        print(f"{name:52} {shown:>9} {end:8.1f} s", flush=True)
        missed += first is None
        firsts += [] if first is None else [first]
        ends.append(end)
    for label, values in (("first line", firsts), ("end", ends)):
        print(
            f"{label}: median {statistics.median(values):.1f} s, "
            f"95th percentile {percentile(values, 0.95):.1f} s"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
