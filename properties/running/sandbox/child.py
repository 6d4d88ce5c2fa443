"""The child process of a sandbox: receives one case after the other and sends back an answer."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib.util
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch

from ... import process_state
from ...cases.case import Case
from ...checking.comparison import Check, Mismatch
from ...checking.oracle import NO_VERDICT
from ...clock import take
from ...precisions import switch
from ...subjects.loading import FILE_MODULE
from ...subjects.protocol import Subject, SubjectFault, Unsupported
from ..exceptions import told
from .cpu_wait import MOST

Claim = Callable[[Subject, Case, Check], Any]

#: Exceptions that the parent raises again with the same class.
CARRIED: dict[str, type[Exception]] = {
    c.__name__: c for c in (Mismatch, SubjectFault, Unsupported, *NO_VERDICT)
}

#: The largest number of characters of a subject's output that a message quotes.
QUOTED = 400

#: The parent's ends of the channels of all open sandboxes; a forked child inherits them.
OPEN: set[Connection] = set()


class Answer(NamedTuple):
    """The answer to one case.

    `value` is what the claim returned, and `counts` are those of the check.  `failure` has the
    class name and the text of an exception, and the report of it that a person reads.  `printed`
    is the new output of the subject, and `written` the size of all its output in bytes.  `changed`
    names the settings that the subject changed; they are restored.
    """

    value: Any
    counts: dict[str, float]
    failure: tuple[str, str, str] | None
    printed: str
    written: int
    changed: list[str]


def files() -> dict[str, str]:
    """Name → path of the modules that were loaded from a file, since no import finds them."""
    modules = list(sys.modules.items())
    return {n: str(m.__file__) for n, m in modules if n.startswith(FILE_MODULE)}


def _received(payload: bytes, modules: dict[str, str]) -> tuple[Subject, Claim | None]:
    for name, path in modules.items():
        found = importlib.util.spec_from_file_location(name, path)
        assert found is not None
        assert found.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(found)
        sys.path.insert(0, os.path.dirname(path))
        found.loader.exec_module(module)
        sys.path.pop(0)
    subject: Subject = pickle.loads(payload)
    return subject, None


def serve(
    channel: Connection,
    log: str,
    timeout: float,
    given: tuple[Subject, Claim | None] | bytes,
    modules: dict[str, str],
) -> None:
    """Answer each (claim, case, precision) with an `Answer`, until the channel is closed.

    `given` is the subject and a claim, which a fork inherits; the claim is used where the channel
    sends None.  Otherwise `given` is the pickled subject, and `modules` are the files that must be
    loaded before it can be read.
    """
    for other in OPEN:
        other.close()  # else other children do not see the end of the parent
    _isolate(log)
    torch.set_num_threads(1)
    if process_state.threads_were_lost():  # a second thread would wait for ever
        torch.set_num_threads = lambda nthreads: None
    try:
        subject, inherited = _received(given, modules) if isinstance(given, bytes) else given
    except BaseException as error:
        channel.send(f"{type(error).__name__}: {error}")
        os._exit(1)
    gc.freeze()  # inherited objects are never collected, so their pages stay shared
    channel.send("")
    before, at, written = process_state.settings(), "", 0
    while True:
        try:
            sent, case, precision = channel.recv()
            claim: Any = inherited if sent is None else sent
        except (EOFError, OSError):
            os._exit(0)
        _watch(timeout)
        if precision != at:  # the switch is no change of the subject's
            switch(precision)
            before, at = process_state.settings(), precision
        process_state.seed(case.seed)
        check, failure, value = Check(), None, None
        take()
        try:
            with np.errstate(all="ignore"):
                value = claim(subject, case, check)
        except BaseException as error:
            kind = type(error)
            carried = next((c for c in kind.__mro__ if CARRIED.get(c.__name__) is c), kind)
            failure = carried.__name__, str(error), told(error)
        check.end_case(take())
        changed = process_state.restore(before)
        text, written = _new_text(log, written)
        _watch(None)
        channel.send(Answer(value, vars(check), failure, text, written, changed))


def _isolate(log: str) -> None:
    """Make standard input empty, write all output to the log, and ignore Ctrl-C.

    Only the parent ends this process.
    """
    null, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    for fd, name in ((1, "stdout"), (2, "stderr")):
        stream = os.fdopen(fd, "w", 1, encoding="utf-8", errors="replace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable(2, all_threads=False)
    warnings.simplefilter("ignore")  # warnings are not output of the subject
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(timeout: float | None) -> None:
    """Set an alarm that ends this process, in case the parent is gone; None clears the alarm.

    The alarm rings 10 s after the latest time at which the parent ends this process.
    """
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0 if timeout is None else MOST * timeout + 10)


def _new_text(log: str, seen: int) -> tuple[str, int]:
    """The text in the log after the first `seen` bytes (its start), and the size of the log."""
    with contextlib.suppress(ValueError):  # a subject may have closed a stream
        sys.stdout.flush()
        sys.stderr.flush()
    process_state.flush_c()
    size = os.stat(log).st_size
    if size == seen:
        return "", size
    with open(log, "rb") as file:
        file.seek(seen)
        return file.read(QUOTED).decode("utf-8", "replace"), size
