"""HypoFuzz over the properties for a bounded time, and then what it found.

Usage: python tools/fuzz.py [--seconds 600] [--processes 1] [options of pytest]

    python tools/fuzz.py --seconds 60 --subject mine.py:MyGRU --family gradients

HypoFuzz prefers the cases that reach code of the subject that no case reached before.  It stores a
failing case in `.hypothesis/examples`, and has no time limit of its own.  When the time is over,
pytest puts the stored cases again and shows each failure.  The status is that of pytest, so 0
where nothing failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from pathlib import Path

PROPERTIES = Path(__file__).resolve().parent / "fuzz_properties.py"
_COMMAND = "from hypothesis.extra.cli import main; main()"


def fuzz(seconds: float, processes: int, options: list[str]) -> None:
    """Run HypoFuzz for some seconds; it and its processes end at the time, or at an interrupt.

    Raises `SystemExit` with its status if it ends by itself before that, and not well.
    """
    command = [sys.executable, "-c", _COMMAND, "fuzz", "--no-dashboard", "-n", str(processes), "--"]
    running = subprocess.Popen([*command, str(PROPERTIES), *options], start_new_session=True)
    try:
        status = running.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        return
    finally:
        _end(running)
    # It ends with 1 where it found a failing case of every test, and with 2 for a bad option.
    if status not in (0, 1):
        raise SystemExit(status)


def _end(running: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, which are of its session."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, 9)
    running.kill()
    running.wait()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--processes", type=int, default=1, help="how many (default: 1)")
    own, options = parser.parse_known_args()
    if own.seconds <= 0:
        parser.error(f"--seconds {own.seconds:g}: expected a number above 0")
    if own.processes < 1:
        parser.error(f"--processes {own.processes}: expected a number from 1")
    fuzz(own.seconds, own.processes, options)
    again = [sys.executable, "-m", "pytest", str(PROPERTIES), "-q", "-p", "no:cacheprovider"]
    return subprocess.call([*again, "--tb=short", *options])


if __name__ == "__main__":
    sys.exit(main())
