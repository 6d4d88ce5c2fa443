"""What a call must leave as it found it: the state of the process that a subject shares."""

from __future__ import annotations

import contextlib
import ctypes
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

Read = Callable[[], Any]
Write = Callable[[Any], Any]


def _device() -> str:
    return str(torch.empty(0).device)


def _set_device(device: str) -> None:
    torch.set_default_device(None if device == "cpu" else device)


def _autocast() -> bool:
    try:
        return bool(torch.is_autocast_enabled("cpu"))
    except TypeError:  # before torch 2.4 it takes no kind of device
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
        return "one that is no more"


def _flushes() -> bool:
    """Whether subnormal numbers count as zero."""
    return float(torch.tensor(1e-310, dtype=torch.float64, device="cpu") * 1.0) == 0.0


def _deterministic() -> tuple[bool, bool]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


#: Setting → how it is read, and how it is put back.
SETTINGS: dict[str, tuple[Read, Write]] = {
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (_device, _set_device),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "grad mode": (torch.is_grad_enabled, torch._C._set_grad_enabled),
    "autocast on the CPU": (_autocast, _set_autocast),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "deterministic algorithms": (_deterministic, _set_deterministic),
    "the precision of float32 products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
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


#: Generator of random numbers → a digest of its state.
GENERATORS: dict[str, Callable[[], str]] = {
    "the state of torch's random generator": _torch_generators,
    "the state of NumPy's random generator": _numpy_generator,
    "the state of Python's random generator": lambda: _digest(repr(random.getstate()).encode()),
}


def settings() -> dict[str, Any]:
    """Every setting of the process as it is now."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def generators() -> dict[str, str]:
    """A digest of the state of each random generator."""
    return {name: read() for name, read in GENERATORS.items()}


def restore(before: Mapping[str, Any]) -> list[str]:
    """Put back every setting that differs from `before`, and name it."""
    changed = [name for name, (read, _) in SETTINGS.items() if read() != before[name]]
    for name in changed:
        SETTINGS[name][1](before[name])
    return changed


def seed(number: int) -> None:
    """Put every random generator to a start that the number decides."""
    torch.default_generator.manual_seed(number)  # torch.manual_seed asks every kind of device
    for row in used():
        row.seed(number)
    np.random.seed(number)
    random.seed(number)


class Printed:
    """What went to standard output; `text` is complete when the block has ended."""

    text: str = ""


@contextlib.contextmanager
def printing() -> Iterator[Printed]:
    """Catch what the block writes to standard output, from Python or below it."""
    found = Printed()
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        kept, stream = os.dup(1), sys.stdout
        os.dup2(file.fileno(), 1)
        sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        try:
            yield found
        finally:
            with contextlib.suppress(ValueError):  # a subject may have closed it
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
    """Have C's own buffers written out; Python knows nothing of them."""
    if _LIBC is not None:
        _LIBC.fflush(None)
