"""The state of the process that a call must not change: settings and random generators."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from .devices import used
from .precisions import set_sums


def native_threads() -> int:
    """The number of threads of this process that Python did not start; 0 if it is not known."""
    try:
        return len(os.listdir("/proc/self/task")) - _python_threads()
    except OSError:
        return 0


def _python_threads() -> int:
    """The number of threads of this process that Python knows.

    CPython holds the lock of all threads while it makes the frames, and before 3.12 a collection
    that begins meanwhile waits for that lock without end (python/cpython#106883).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return len(sys._current_frames())
    finally:
        if collects:
            gc.enable()


class _Lost:
    """Whether native threads were lost in the fork that made this process, or in an earlier one.

    A forked child has none of its parent's threads.  GNU OpenMP in the child waits for them without
    end.  Python's own threads are lost as well, but nothing waits for them.
    """

    before = False
    here = False

    @classmethod
    def parent(cls) -> None:
        """Count the native threads, just before a fork."""
        cls.before = native_threads() > 0

    @classmethod
    def child(cls) -> None:
        """Use the count of the parent, just after a fork."""
        cls.here = cls.here or cls.before


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_Lost.parent, after_in_child=_Lost.child)


def threads_were_lost() -> bool:
    """Whether this process is a fork of one with native threads, so it can start none itself."""
    return _Lost.here


Read = Callable[[], Any]
Write = Callable[[Any], Any]


def _device() -> str:
    return str(torch.empty(0).device)


def _set_device(device: str) -> None:
    torch.set_default_device(None if device == "cpu" else device)


def _autocast() -> bool:
    try:
        return bool(torch.is_autocast_enabled("cpu"))
    except TypeError:  # before torch 2.4 it takes no type of device
        return bool(torch.is_autocast_cpu_enabled())


def _set_autocast(enabled: bool) -> None:
    try:
        torch.set_autocast_enabled("cpu", enabled)
    except TypeError:
        torch.set_autocast_cpu_enabled(enabled)


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "a deleted folder"


def _flushes() -> bool:
    """Whether the CPU treats subnormal numbers as zero."""
    return float(torch.tensor(1e-310, dtype=torch.float64, device="cpu") * 1.0) == 0.0


def _deterministic() -> tuple[bool, bool]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


#: Where torch keeps the precision of float32 products, since torch 2.9.
_PLACES = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")


def _products() -> dict[str, Any]:
    """The precision of float32 products, in every place where torch keeps it.

    torch raises an error if its two older settings are read while the places differ.  Such a
    setting is left out.
    """
    found: dict[str, Any] = {}
    for name, (read, _) in _OLDER.items():
        with contextlib.suppress(RuntimeError):
            found[name] = read()
    return found | {place: owner.fp32_precision for place, owner in _owners() if owner is not None}


def _set_products(state: dict[str, Any]) -> None:
    # An older setting also sets its places, so it comes first.
    for name, (_, write) in _OLDER.items():
        if name in state:
            write(state[name])
    for place, owner in _owners():
        if owner is not None and owner.fp32_precision != state.get(place):
            owner.fp32_precision = state[place]


def _allow_tf32() -> bool:
    return bool(torch.backends.cudnn.allow_tf32)


def _set_allow_tf32(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = allowed


def _owners() -> list[tuple[str, Any]]:
    """Each place, and the object that has its precision; None if this version of torch has none."""
    found = []
    for place in _PLACES:
        backend, _, part = place.partition(".")
        owner = getattr(getattr(torch.backends, backend), part, None)
        found.append((place, owner if _has_precision(owner) else None))
    return found


def _has_precision(owner: Any) -> bool:
    try:
        return hasattr(owner, "fp32_precision")
    except AssertionError:  # so torch 2.0 says that there is none
        return False


#: The settings of float32 products before torch 2.9.  torch still has a flag of its own for each.
_OLDER: dict[str, tuple[Read, Write]] = {
    "float32_matmul_precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "cudnn.allow_tf32": (_allow_tf32, _set_allow_tf32),
}


def _sums() -> tuple[Any, Any]:
    matmul = torch.backends.cuda.matmul
    return (
        matmul.allow_fp16_reduced_precision_reduction,
        matmul.allow_bf16_reduced_precision_reduction,
    )


#: Setting → the function that reads it, the function that sets it.
SETTINGS: dict[str, tuple[Read, Write]] = {
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (_device, _set_device),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "grad mode": (torch.is_grad_enabled, torch._C._set_grad_enabled),
    "autocast on the CPU": (_autocast, _set_autocast),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "deterministic algorithms": (_deterministic, _set_deterministic),
    "the precision of float32 products": (_products, _set_products),
    "the precision of sums in cuBLAS": (_sums, set_sums),
    "flushing of subnormal numbers": (_flushes, torch.set_flush_denormal),
    "NumPy's handling of floating-point errors": (np.geterr, lambda state: np.seterr(**state)),
    "the current directory": (_directory, os.chdir),
}


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _torch_generators() -> str:
    states = [torch.get_rng_state()]
    for row in used():
        states += row.generators()
    return _digest(*(s.numpy().tobytes() for s in states))


def _numpy_generator() -> str:
    name, keys, *rest = np.random.get_state(legacy=True)
    return _digest(np.asarray(keys).tobytes(), repr((name, rest)).encode())


#: Random generator → the function that returns a digest of its state.
GENERATORS: dict[str, Callable[[], str]] = {
    "the state of torch's random generator": _torch_generators,
    "the state of NumPy's random generator": _numpy_generator,
    "the state of Python's random generator": lambda: _digest(repr(random.getstate()).encode()),
}


def settings() -> dict[str, Any]:
    """The current value of every setting of the process."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def generators() -> dict[str, str]:
    """A digest of the state of each random generator."""
    return {name: read() for name, read in GENERATORS.items()}


def restore(before: Mapping[str, Any]) -> list[str]:
    """Restore every setting that differs from `before`, and return the names of these settings."""
    changed = [name for name, (read, _) in SETTINGS.items() if read() != before[name]]
    for name in changed:
        SETTINGS[name][1](before[name])
    return changed


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restore every setting at the end of the block."""
    before = settings()
    try:
        yield
    finally:
        restore(before)


def seed(number: int) -> None:
    """Seed every random generator with a number."""
    torch.default_generator.manual_seed(number)  # torch.manual_seed calls every type of device
    for row in used():
        row.seed(number)
    np.random.seed(number)
    random.seed(number)


class Printed:
    """What a block wrote to standard output; `text` is set when the block ends."""

    text: str = ""


@contextlib.contextmanager
def printing() -> Iterator[Printed]:
    """Capture what the block writes to standard output, from Python or from compiled code."""
    found = Printed()
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        kept, stream = os.dup(1), sys.stdout
        os.dup2(file.fileno(), 1)
        sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        try:
            yield found
        finally:
            with contextlib.suppress(ValueError):  # a subject may have closed the stream
                sys.stdout.flush()
                sys.stdout.close()
            sys.stdout = stream
            flush_c()
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            found.text = file.read().decode("utf-8", "replace")


_LIBC = None if sys.platform == "win32" else ctypes.CDLL(None)


def flush_c() -> None:
    """Flush the buffers of the C library, which Python does not flush."""
    if _LIBC is not None:
        _LIBC.fflush(None)
