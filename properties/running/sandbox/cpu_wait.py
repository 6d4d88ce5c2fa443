"""The time that a process gets, without its waits for a CPU core.

The subject is not to blame for a busy machine.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

#: A process gets at most this many times its seconds, however long it waits for a core.
MOST = 10


class Patience:
    """Counts the seconds of a process, without the seconds for which it waits for a core.

    Only Linux reports these waits.  On other systems all seconds count.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self.pid = pid
        self.seconds = seconds
        self._begin = time.monotonic()
        self._before: dict[str, float] | None = None

    def left(self) -> float:
        """The seconds that are left; 0 if there are none.

        Threads may wait at the same time, so only the longest wait of a thread is subtracted.
        """
        passed = time.monotonic() - self._begin
        now = waits(self.pid)
        if self._before is None:  # most processes answer before the first call
            self._before = now
        waited = max((w - self._before.get(task, 0.0) for task, w in now.items()), default=0.0)
        used = max(passed - waited, passed / MOST)
        return max(0.0, self.seconds - used)


def waits(pid: int) -> dict[str, float]:
    """Thread of a process → seconds for which it was ready to run but had no core.

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
