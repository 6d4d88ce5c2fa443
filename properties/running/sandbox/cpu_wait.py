"""How long a process has had: a busy machine is no fault of the subject that runs on it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

#: However long it waits for a core, a process has at most this many times its seconds.
MOST = 10


class Patience:
    """Counts the seconds that a process has had, without those it waited for a core.

    Where the system does not tell them (it does on Linux), all seconds count.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self.pid = pid
        self.seconds = seconds
        self._begin = time.monotonic()
        self._before: dict[str, float] | None = None

    def left(self) -> float:
        """Seconds that are left, at most; 0 when there are none.

        Threads wait at the same time, so what counts is the wait of the one that waited longest.
        """
        passed = time.monotonic() - self._begin
        now = waits(self.pid)
        if self._before is None:  # not read at once: most processes answer sooner than it is read
            self._before = now
        waited = max((w - self._before.get(task, 0.0) for task, w in now.items()), default=0.0)
        had = max(passed - waited, passed / MOST)
        return max(0.0, self.seconds - had)


def waits(pid: int) -> dict[str, float]:
    """Thread of a process → seconds for which it was ready to run and had no core.

    The source is the second field of /proc/PID/task/TID/schedstat, in nanoseconds (Linux,
    Documentation/scheduler/sched-stats).
    """
    found: dict[str, float] = {}
    if sys.platform != "linux":
        return found
    tasks = Path(f"/proc/{pid}/task")
    with contextlib.suppress(OSError, ValueError, IndexError):  # a thread may end meanwhile
        for task in os.listdir(tasks):
            text = (tasks / task / "schedstat").read_text(encoding="ascii")
            found[task] = int(text.split()[1]) * 1e-9
    return found
