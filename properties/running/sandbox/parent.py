"""A sacrificial process: a case whose subject may kill or hang the process that it runs in.

The process is kept from case to case and made anew when it has died.  Where nothing forbids it,
it is a fork of this one, so that any subject may be put to it, and costs milliseconds.  A fork is
forbidden where native threads run (GNU OpenMP's pool does not outlive it) or CUDA is there; then
a clean server forks, and where there is no such thing (Windows, macOS) each is started from
nothing, by pickle.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from ...cases.case import Case
from ...checking.comparison import Check
from ...devices import may_fork, row_of
from ...subjects.protocol import Subject, SubjectFault, Unsupported
from .child import CARRIED, OPEN, QUOTED, Claim, files, serve
from .cpu_wait import Patience

#: Seconds that a case may take, waits for a core not counted, unless a run says otherwise.
CASE_TIMEOUT = 30.0

#: Seconds until a new process must be ready: it may have to import torch on a busy machine.
_START_TIMEOUT = 300.0
_GUARD = "; what checks it belongs under `if __name__ == '__main__':` in the file that defines it"
#: What Windows gives in place of SIGSEGV.
_ACCESS_VIOLATION = 0xC0000005


class SandboxError(RuntimeError):
    """The process could not be made, which says nothing of the subject."""


class CannotIsolate(Unsupported):
    """The subject cannot be had in another process; the text says why."""


class Death(SubjectFault):
    """The subject ended its process; `costly` where making another takes seconds."""

    costly = False


class Hang(Death):
    """The subject did not answer in time."""

    costly = True


class Raised(Exception):
    """An exception of the subject in the other process; `told` is what a person reads of it."""

    told: str


_RAISED: dict[str, type[Raised]] = {}


def method(device: str) -> str:
    """How a process for a subject on a device is made: fork, forkserver or spawn."""
    if sys.platform != "linux":
        return "spawn"
    native = len(os.listdir("/proc/self/task")) - len(sys._current_frames())
    # Python's own threads are left behind by a fork and wait for nothing; native ones are missed.
    return "fork" if may_fork(device) and not native else "forkserver"


class Sandbox:
    """Puts cases of a subject to claims in a process of its own.

    `start` is one of multiprocessing's start methods, by default what `method` says.  A claim or
    subject that cannot be pickled needs a fork; `put` raises `CannotIsolate` where there is none.
    `printed` is what the subject wrote to its output, `changed` the settings of the process that
    it changed and that were put back.
    """

    def __init__(
        self, subject: Subject, timeout: float = CASE_TIMEOUT, start: str | None = None
    ) -> None:
        self.subject = subject
        self.timeout = timeout
        self.printed = ""
        self.changed: dict[str, None] = {}
        self._claim: Claim | None = None
        self._start = start
        self._method = ""
        self._stopgap = False  # a fork for the sake of a claim without a name, whatever runs here
        self._process: Any = None
        self._channel: Connection | None = None
        self._log = ""
        self._written = 0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            assert self._channel is not None
            self._channel.close()
            OPEN.discard(self._channel)
            os.unlink(self._log)
            self._process = self._channel = None
            self._written = 0

    def put(
        self,
        claim: Claim,
        case: Case,
        check: Check,
        precision: str | None = None,
        threads: bool = False,
    ) -> Any:
        """What `claim(subject, case, check)` returns; its counts are added to the check.

        `precision` is that of the run, by default the case's: see `precisions.switch`.
        `threads` says that the claim starts torch's own threads, which a fork beside native
        threads cannot.

        Raises what the claim raised: `Mismatch`, `SubjectFault` and `Unsupported` as they are,
        any other as a `Raised` of the same name; `Death` or `Hang` where there is no answer.
        """
        channel, named = self._door(claim)
        if threads and self._stopgap:
            raise CannotIsolate(
                f"{self.subject.name} cannot be sent to a process in which several threads can run"
            )
        try:
            channel.send(
                (named, case.but(), precision or case.precision)
            )  # without the arrays that a case may cache
            answer = self._answer(channel, self.timeout)
        except (EOFError, OSError):
            raise self._death() from None
        if answer is None:
            self.close()
            raise Hang(f"the subject did not answer within {self.timeout:g} s")
        self._written = answer.written
        self.printed = (self.printed + answer.printed)[:QUOTED]
        self.changed |= dict.fromkeys(answer.changed)
        check.add(answer.counts)
        if answer.failure is None:
            return answer.value
        name, text, story = answer.failure
        if name in CARRIED:
            raise CARRIED[name](text)
        # Hypothesis tells failures apart by their type.
        raised = _RAISED.setdefault(name, type(name, (Raised,), {}))(text)
        raised.told = story
        raise raised

    def _answer(self, channel: Connection, seconds: float) -> Any:
        """What comes back, None when nothing does in time; raises `EOFError` at its death."""
        patience = Patience(self._process.pid, seconds)
        left = seconds
        while not channel.poll(min(left, 1.0)):
            # A process of the subject's own may hold the channel open after the death.
            if not self._process.is_alive() and not channel.poll():
                raise EOFError
            left = patience.left()
            if not left:
                return None
        return channel.recv()

    def _death(self) -> Death:
        self._process.join(1.0)
        code = self._process.exitcode
        how = "closed its channel to the test" if code is None else ended(code)
        with open(self._log, encoding="utf-8", errors="replace") as log:
            log.seek(self._written)
            lines = [line.strip() for line in log if line.strip()]
        # The first lines of a fatal error name it and the innermost frames.
        words = "\n".join(lines[:6])[:QUOTED]
        death = Death(f"the subject {how}" + (f"; it wrote\n{words}" if words else ""))
        death.costly = self._method == "spawn" or not row_of(self.subject.device).forks
        self.close()
        return death

    def _door(self, claim: Claim) -> tuple[Connection, Claim | None]:
        """The channel, and the claim by a name that the process knows: None is its own."""
        if self._channel is None:
            self._open(claim)
        if claim is not self._claim and (self._stopgap or not _named(claim)):
            self.close()
            self._open(claim)
        assert self._channel is not None
        return self._channel, None if claim is self._claim else claim

    def _open(self, claim: Claim) -> None:
        start = wanted = self._start or method(self.subject.device)
        payload: bytes | None = None  # none for a fork, which has all there is
        if start != "fork":
            try:
                payload = pickle.dumps(self.subject)
                pickle.dumps(claim)
            except Exception as error:
                if sys.platform != "linux" or not row_of(self.subject.device).forks:
                    name = self.subject.name
                    raise CannotIsolate(f"{name} cannot be sent to a process: {error}") from error
                start, payload = "fork", None
        self._stopgap = start != wanted
        self._claim = claim if payload is None else None
        context: Any = multiprocessing.get_context(start)
        if start == "forkserver":
            context.set_forkserver_preload([serve.__module__])
        self._method = start
        handle, self._log = tempfile.mkstemp(prefix="gatewise-", suffix=".log")
        os.close(handle)
        ours, theirs = context.Pipe()
        given, modules = ((self.subject, claim), {}) if payload is None else (payload, files())
        arguments = (theirs, self._log, self.timeout, given, modules)
        process = context.Process(target=serve, args=arguments, daemon=True)
        OPEN.add(ours)
        with warnings.catch_warnings():  # of threads at a fork, which `method` has looked at
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                with _without_program(payload):
                    process.start()
            except RuntimeError as error:  # the program's file is being imported by such a process
                raise SandboxError(f"no process for {self.subject.name}{_GUARD}") from error
        theirs.close()
        self._process, self._channel = process, ours
        try:
            ready = self._answer(ours, _START_TIMEOUT)
        except (EOFError, OSError):
            hint = _GUARD if payload is not None and b"__main__" in payload else ""
            raise SandboxError(
                f"a process for {self.subject.name}: {self._death()}{hint}"
            ) from None
        if ready is None:
            self.close()
            raise SandboxError(f"no process for {self.subject.name} in {_START_TIMEOUT:g} s")
        if ready:
            self.close()
            raise CannotIsolate(f"{self.subject.name} cannot be had in another process: {ready}")


def ended(code: int) -> str:
    """An exit code in words."""
    if code == _ACCESS_VIOLATION:
        return "ended the process with an access violation"
    if code >= 0:
        return f"ended the process: it exited with status {code}"
    try:
        return f"ended the process with {signal.Signals(-code).name}"
    except ValueError:
        return f"ended the process with signal {-code}"


@contextlib.contextmanager
def _without_program(payload: bytes | None) -> Iterator[None]:
    """Keep a process from importing the program's own file where it needs nothing of it.

    Else a script that checks a subject with no `if __name__ == "__main__":` would do so again.
    """
    program = sys.modules["__main__"]
    kept: dict[str, Any] = {}
    if payload is not None and b"__main__" not in payload:
        kept = {n: v for n, v in program.__dict__.items() if n in ("__spec__", "__file__")}
    program.__dict__.update(dict.fromkeys(kept))
    try:
        yield
    finally:
        program.__dict__.update(kept)


def _named(claim: Claim) -> bool:
    """Whether another process finds the claim by its name."""
    try:
        pickle.dumps(claim)
    except Exception:
        return False
    return True


# ----------------------------------------------------------------- the one of this process

_current: Sandbox | None = None


def current(subject: Subject, timeout: float) -> Sandbox:
    """The sandbox of a subject, kept until that of another is asked for."""
    global _current
    if _current is None or _current.subject != subject or _current.timeout != timeout:
        close()
        _current = Sandbox(subject, timeout)
    return _current


def notes() -> list[str]:
    """What the subject of the sandbox did beside its work since it was asked last.

    One that did anything has another process made for it, with nothing left behind.
    """
    if _current is None:
        return []
    lines = [f"the subject changed {name}" for name in _current.changed]
    if _current.printed:
        lines.append(f"the subject wrote to its output: {_current.printed!r}")
    if lines:
        close()
    return lines


def end() -> None:
    """End the process of the sandbox that is open, and keep what it has noted."""
    if _current is not None:
        _current.close()


@atexit.register
def close() -> None:
    """End the sandbox that is open."""
    global _current
    if _current is not None:
        _current.close()
        _current = None
