"""Worker processes: each does one job after the other, and one that ends takes its job alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

#: A worker's function: from what the workers were given to what does a job.
Start = Callable[[Any], Callable[[Any], Any]]


@dataclass
class Ended:
    """The process of a job ended before the job was done; `code` is its exit code."""

    code: int | None


@dataclass
class _Worker:
    process: Any
    channel: Connection
    job: Any = None


class Workers:
    """Up to `count` processes, started as jobs come.

    `start(given)` is called in each process and returns the function that does a job.  `method` is
    a start method of multiprocessing; unless it is fork, `start` and `given` are pickled.  The
    processes ignore Ctrl-C: their parent ends them.
    """

    def __init__(self, start: Start, given: Any, count: int, method: str) -> None:
        self._start, self._given, self._count = start, given, count
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload([start.__module__])
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.channel.close()
        self._workers.clear()

    @property
    def free(self) -> bool:
        """Whether a job would begin at once."""
        return len(self._workers) < self._count or any(w.job is None for w in self._workers)

    @property
    def busy(self) -> bool:
        """Whether a job is being done."""
        return any(w.job is not None for w in self._workers)

    def put(self, job: Any) -> None:
        """Give a job, which is not None, to a free worker."""
        worker = next((w for w in self._workers if w.job is None), None) or self._new()
        worker.job = job
        with contextlib.suppress(OSError):  # it has ended: `done` says so
            worker.channel.send(job)

    def done(self, seconds: float) -> list[tuple[Any, Any]]:
        """Jobs that are done within some seconds, each with its result or `Ended`."""
        found: list[tuple[Any, Any]] = []
        by_channel = {w.channel: w for w in self._workers if w.job is not None}
        for channel in wait(list(by_channel), seconds):
            worker = by_channel[channel]  # type: ignore[index]
            try:
                result = worker.channel.recv()
            except (EOFError, OSError):
                worker.process.join(5.0)
                result = Ended(worker.process.exitcode)
                worker.process.kill()
                worker.channel.close()
                self._workers.remove(worker)
            found.append((worker.job, result))
            worker.job = None
        return found

    def _new(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        others = [w.channel for w in self._workers] + [ours]
        # A fork inherits the parent's ends; another process has none of them.
        inherited = others if self._context.get_start_method() == "fork" else []
        process = self._context.Process(
            target=_serve, args=(self._start, self._given, theirs, inherited)
        )
        with warnings.catch_warnings():  # of threads at a fork: the caller has chosen the method
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker


def _serve(start: Start, given: Any, channel: Connection, inherited: list[Connection]) -> None:
    for other in inherited:
        other.close()  # else a worker would not see the end of its parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    do = start(given)
    while True:
        try:
            job = channel.recv()
        except (EOFError, OSError):
            os._exit(0)
        channel.send(do(job))
