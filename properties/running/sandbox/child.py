"""The process of a sandbox: it answers each case that it is given, until it dies of one."""

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
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch

from ... import process_state
from ...cases.case import Case
from ...checking.comparison import Check, Mismatch
from ...precisions import switch
from ...subjects.loading import FILE_MODULE
from ...subjects.protocol import Subject, SubjectFault, Unsupported
from ..exceptions import told
from .cpu_wait import MOST

Claim = Callable[[Subject, Case, Check], Any]

#: Exceptions that keep their class on the way back.
CARRIED: dict[str, type[Exception]] = {c.__name__: c for c in (Mismatch, SubjectFault, Unsupported)}

#: Characters of a subject's output that are quoted.
QUOTED = 400

#: This side's ends of the channels of all sandboxes that are open; a fork inherits them.
OPEN: set[Connection] = set()


class Answer(NamedTuple):
    """What the claim returned; counts of the check; class name, text and story of a failure.

    `printed` is new output, `written` the bytes of all, `changed` names settings put back.
    """

    value: Any
    counts: dict[str, float]
    failure: tuple[str, str, str] | None
    printed: str
    written: int
    changed: list[str]


def files() -> dict[str, str]:
    """Modules that were loaded from a file, which no import finds."""
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
    """Answer each (claim, case, precision) with an `Answer`, until the end.

    The subject comes with a fork, together with a claim that is meant where None is given; or it
    comes pickled, from `modules`.
    """
    for other in OPEN:
        other.close()  # so that their processes see the end of this one's parent
    _keep_apart(log)
    torch.set_num_threads(1)
    try:
        subject, inherited = _received(given, modules) if isinstance(given, bytes) else given
    except BaseException as error:
        channel.send(f"{type(error).__name__}: {error}")
        os._exit(1)
    gc.freeze()  # what was inherited is never collected, so its pages stay shared
    channel.send("")
    before, written = process_state.settings(), 0
    while True:
        try:
            named, case, precision = channel.recv()
            claim: Any = inherited if named is None else named
        except (EOFError, OSError):
            os._exit(0)
        _watch(timeout)
        switch(precision)
        process_state.seed(case.seed)
        check, failure, value = Check(), None, None
        try:
            with np.errstate(all="ignore"):
                value = claim(subject, case, check)
        except BaseException as error:
            kind = type(error)
            carried = next((c for c in kind.__mro__ if CARRIED.get(c.__name__) is c), kind)
            failure = carried.__name__, str(error), told(error)
        changed = process_state.restore(before)
        text, written = _new_text(log, written)
        _watch(None)
        channel.send(Answer(value, asdict(check), failure, text, written, changed))


def _keep_apart(log: str) -> None:
    """Nothing to read, all that is written goes to the log, and the parent decides the end."""
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
    warnings.simplefilter("ignore")  # a warning is no output of the subject
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(timeout: float | None) -> None:
    """End this process some time after its own parent should have done so: it may be gone."""
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0 if timeout is None else MOST * timeout + 10)


def _new_text(log: str, seen: int) -> tuple[str, int]:
    """What was written to the log since it had `seen` bytes, and how many it has now."""
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
