"""The parent's side of a sandbox: sends cases to a child process, which a case may kill or hang.

The child is kept from case to case.  If it has died, a new one is made.  If it is safe, the child
is a fork of this process: then any subject can run in it, and making it takes milliseconds.  A
fork is not safe if native threads run, because GNU OpenMP's pool of threads does not survive it,
or if CUDA is there.  Then a clean server process forks the child.  Where no fork is safe (Windows,
macOS), each child is started from nothing.  In these two cases the subject is pickled.  A subject
on the CPU that cannot be pickled is forked from this process after all, on Linux.
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

from ... import process_state
from ...cases.case import Case
from ...checking.comparison import Check
from ...devices import may_fork, row_of
from ...subjects.protocol import Subject, SubjectFault, Unsupported
from .child import CARRIED, OPEN, QUOTED, Claim, files, serve
from .cpu_wait import Patience

#: The default of the seconds that a case may take; waits for a core are not counted.
CASE_TIMEOUT = 30.0

#: Seconds until a new process must be ready: it may have to import torch on a busy machine.
_START_TIMEOUT = 300.0
#: What to do if a new process would run the user's script again.
_GUARD_HINT = (
    "; put the code that checks it under `if __name__ == '__main__':` in the file that defines it"
)
#: The exit code of Windows for what is SIGSEGV elsewhere.
_ACCESS_VIOLATION = 0xC0000005


class SandboxError(RuntimeError):
    """The process could not be made; this is no verdict on the subject."""


class CannotIsolate(Unsupported):
    """The subject cannot run in another process; the text says why."""


class Death(SubjectFault):
    """The subject ended its process; `costly` says that another such case would take seconds."""

    costly = False


class Hang(Death):
    """The subject did not answer in time."""

    costly = True


class Raised(Exception):
    """An exception of the subject in the child; `told` is the report of it that a person reads."""

    told: str


_RAISED: dict[str, type[Raised]] = {}


def method(device: str) -> str:
    """The start method of a process for a subject on a device: fork, forkserver or spawn."""
    if sys.platform != "linux":
        return "spawn"
    native = process_state.native_threads()
    return "fork" if may_fork(device) and not native else "forkserver"


class Sandbox:
    """Checks claims on cases of a subject in a process of its own.

    `start` is one of multiprocessing's start methods, by default the result of `method`.  A claim
    or subject that cannot be pickled needs a fork; if none is possible, `put` raises
    `CannotIsolate`.  `printed` is what the subject wrote to its output.  `changed` has the settings
    of the process that the subject changed; they are restored.
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
        self._fork_instead = False  # of another start method, for what cannot be pickled
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
    ) -> Any:
        """Return what `claim(subject, case, check)` returns, and add its counts to the check.

        `precision` is that of the run, by default the case's: see `precisions.switch`.

        Raises what the claim raised: `Mismatch`, `SubjectFault` and `Unsupported` as they are, any
        other exception as a `Raised` of the same name.  Raises `Death` if the process ended, and
        `Hang` if it did not answer in time.
        """
        channel, sent = self._connect(claim)
        try:
            channel.send(
                (sent, case.but(), precision or case.precision)
            )  # a copy of the case has none of its cached arrays
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
        name, text, report = answer.failure
        if name in CARRIED:
            raise CARRIED[name](text)
        # Hypothesis distinguishes failures by their type.
        raised = _RAISED.setdefault(name, type(name, (Raised,), {}))(text)
        raised.told = report
        raise raised

    def _answer(self, channel: Connection, seconds: float) -> Any:
        """What the process sends, or None if it sends nothing in time.

        Raises `EOFError` if the process has ended.
        """
        clock = Patience(self._process.pid, seconds)
        left = seconds
        while not channel.poll(min(left, 1.0)):
            # A process that the subject started may keep the channel open after the death.
            if not self._process.is_alive() and not channel.poll():
                raise EOFError
            left = clock.left()
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
        death = Death(f"the subject {how}" + (f"; it wrote: {words}" if words else ""))
        death.costly = self._method == "spawn" or not row_of(self.subject.device).forks
        self.close()
        return death

    def _connect(self, claim: Claim) -> tuple[Connection, Claim | None]:
        """The channel to a process, and what to send for the claim.

        None stands for the claim that a fork inherited; any other claim is pickled by its name.
        """
        if self._channel is None:
            self._open(claim)
        if claim is not self._claim and (self._fork_instead or not _picklable(claim)):
            self.close()
            self._open(claim)
        assert self._channel is not None
        return self._channel, None if claim is self._claim else claim

    def _open(self, claim: Claim) -> None:
        start = wanted = self._start or method(self.subject.device)
        payload: bytes | None = None  # not for a fork, which inherits everything
        if start != "fork":
            try:
                payload = pickle.dumps(self.subject)
                pickle.dumps(claim)
            except Exception as error:
                if sys.platform != "linux" or not row_of(self.subject.device).forks:
                    name = self.subject.name
                    raise CannotIsolate(f"{name} cannot be sent to a process: {error}") from error
                start, payload = "fork", None
        self._fork_instead = start != wanted
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
        with warnings.catch_warnings():  # about threads at a fork, which `method` counts
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                with _without_main_file(payload):
                    process.start()
            except RuntimeError as error:  # a child, which imports the main file, runs this code
                raise SandboxError(f"no process for {self.subject.name}{_GUARD_HINT}") from error
        theirs.close()
        self._process, self._channel = process, ours
        try:
            ready = self._answer(ours, _START_TIMEOUT)
        except (EOFError, OSError):
            hint = _GUARD_HINT if payload is not None and b"__main__" in payload else ""
            raise SandboxError(
                f"no process for {self.subject.name}: {self._death()}{hint}"
            ) from None
        if ready is None:
            self.close()
            raise SandboxError(f"no process for {self.subject.name} within {_START_TIMEOUT:g} s")
        if ready:
            self.close()
            raise CannotIsolate(f"{self.subject.name} cannot be loaded in a new process: {ready}")


def ended(code: int) -> str:
    """An exit code of a process in words."""
    if code == _ACCESS_VIOLATION:
        return "ended the process with an access violation"
    if code >= 0:
        return f"ended the process: it exited with status {code}"
    try:
        return f"ended the process with {signal.Signals(-code).name}"
    except ValueError:
        return f"ended the process with signal {-code}"


@contextlib.contextmanager
def _without_main_file(payload: bytes | None) -> Iterator[None]:
    """Keep a new process from importing the program's main file, unless it needs the file.

    Otherwise a script without `if __name__ == "__main__":` would run its checks again there.
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


def _picklable(claim: Claim) -> bool:
    """Whether the claim can be pickled, so that another process finds it by its name."""
    try:
        pickle.dumps(claim)
    except Exception:
        return False
    return True


# ----------------------------------------------------------------- the current sandbox

_current: Sandbox | None = None


def current(subject: Subject, timeout: float) -> Sandbox:
    """The sandbox of a subject; it is kept until the sandbox of another subject is needed."""
    global _current
    if _current is None or _current.subject != subject or _current.timeout != timeout:
        close()
        _current = Sandbox(subject, timeout)
    return _current


def notes() -> list[str]:
    """Lines about settings that the subject changed and output that it wrote.

    If there are any, the sandbox is closed.  So the next case runs in a new process.
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
    """End the process of the open sandbox, but keep what it has noted."""
    if _current is not None:
        _current.close()


@atexit.register
def close() -> None:
    """Close the open sandbox, if there is one."""
    global _current
    if _current is not None:
        _current.close()
        _current = None
