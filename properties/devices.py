"""The types of device, in one table: availability, precisions, random generators, memory.

A device is named as torch names it, by its type or with an index: `cpu`, `cuda`, `cuda:1`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from gatewise.reference.groups import Group

from .precisions import OFFERED, PLAIN, dtype_of


@dataclass(frozen=True, kw_only=True)
class DeviceType:
    """One type of device.

    `available` says whether torch finds such a device here, and `count` how many.  `precisions`
    returns the names of `precisions.TABLE` in which it computes.  `initialized` says whether this
    process has used one; only then are its generators seeded (`seed`) and read (`generators`).
    `memory` is torch's module for its allocator; if it is None, the tensors are watched instead.
    `forks` says that a process that has used it may fork, `repeats_bits` that the same call gives
    the same bits.  `torch_name` is torch's name for it, if that is another one.
    """

    name: str
    available: Callable[[], bool]
    precisions: Callable[[], tuple[str, ...]]
    count: Callable[[], int] = lambda: 1
    initialized: Callable[[], bool] = lambda: False
    seed: Callable[[int], Any] = lambda number: None
    generators: Callable[[], list[torch.Tensor]] = list
    memory: Any = None
    forks: bool = False
    repeats_bits: bool = False
    torch_name: str = ""


@lru_cache
def _computes(device: str, precision: str) -> bool:
    """Whether a device multiplies tensors of a precision."""
    try:
        one = torch.ones(1, 1, dtype=dtype_of(precision), device=device)
        return bool((one @ one == 1).all())
    except Exception:  # a backend may lack any operation
        return False


#: Name → type of device.
TABLE: dict[str, DeviceType] = {
    d.name: d
    for d in (
        DeviceType(
            name="cpu",
            available=lambda: True,
            # torch before 2.1 has no product of float16 on the CPU.
            precisions=lambda: tuple(p for p in PLAIN if _computes("cpu", p)),
            forks=True,
            repeats_bits=True,
        ),
        DeviceType(
            name="cuda",
            available=lambda: torch.cuda.is_available(),
            precisions=lambda: tuple(OFFERED),
            count=torch.cuda.device_count,
            initialized=torch.cuda.is_initialized,
            seed=torch.cuda.manual_seed_all,
            generators=torch.cuda.get_rng_state_all,
            memory=torch.cuda,
        ),
    )
}

#: Groups: every type, the CPU, CUDA.
ALL = Group("all", TABLE, lambda d: True)
CPU = Group("cpu", TABLE, lambda d: d.name == "cpu")
CUDA = Group("cuda", TABLE, lambda d: d.name == "cuda")


class DeviceError(ValueError):
    """A device that cannot be used; the text is one line that says which devices are here."""


def type_of(device: str) -> str:
    """The type of a device: `cuda` of `cuda:1`."""
    return device.partition(":")[0]


def row_of(device: str) -> DeviceType:
    """The row of a device's type.  Raises `DeviceError` if torch does not know the type."""
    name = type_of(device)
    return TABLE[name] if name in TABLE else _known_to_torch(name)


def is_type(name: str) -> bool:
    """Whether torch knows a type of device of this name; `meta` is one."""
    try:
        return name in TABLE or torch.device(name).type == name
    except RuntimeError:
        return False


def for_torch(device: str) -> str:
    """Torch's name for a device."""
    name = row_of(device).torch_name
    return device.replace(type_of(device), name, 1) if name else device


@lru_cache
def _known_to_torch(name: str) -> DeviceType:
    """A row for a type that is not in the table: mps, xpu, a PrivateUse1 backend."""
    module = getattr(torch, name, None)
    try:
        torch.device(name)
    except RuntimeError:
        module = None
    if module is None or not callable(getattr(module, "is_available", None)):
        raise DeviceError(f"torch {torch.__version__} does not know the device {name!r}")
    return DeviceType(
        name=name,
        available=module.is_available,
        precisions=lambda: tuple(p for p in PLAIN if _computes(name, p)),
        count=getattr(module, "device_count", lambda: 1),
        initialized=getattr(module, "is_initialized", lambda: False),
        seed=getattr(module, "manual_seed_all", getattr(module, "manual_seed", lambda n: None)),
        memory=module if hasattr(module, "reset_peak_memory_stats") else None,
    )


def available() -> list[str]:
    """The types in the table for which a device is here."""
    return [name for name, row in TABLE.items() if row.available()]


def resolve(stated: str | None) -> tuple[str, ...]:
    """The devices that `--device` names: a device, or `all` (the default, None) that are here.

    Raises `DeviceError`, one line, if torch does not know the device or the device is not here.
    """
    if stated is None or stated == "all":
        return tuple(available())
    here = ", ".join(available())
    try:
        row = row_of(stated)
        index = torch.device(for_torch(stated)).index
    except (DeviceError, RuntimeError):
        raise DeviceError(
            f"--device {stated!r}: torch {torch.__version__} does not know this device; "
            f"expected all or one of {here}, with or without an index such as cuda:1"
        ) from None
    if not row.available():
        raise DeviceError(
            f"--device {stated!r}: torch {torch.__version__} finds no {row.name} device here; "
            f"expected all or one of {here}"
        )
    if index is not None and index >= row.count():
        raise DeviceError(
            f"--device {stated!r}: the number of {row.name} devices here is {row.count()}; "
            f"expected an index from 0 to {row.count() - 1}"
        )
    return (stated,)


def another_than(device: str) -> str | None:
    """A type of device that is here and differs from the type of `device`, or None."""
    return next((d for d in available() if d != type_of(device)), None)


def used() -> list[DeviceType]:
    """The types in the table that this process has used, without the CPU."""
    return [row for row in TABLE.values() if row.initialized()]


@contextmanager
def kept_generators(device: str) -> Iterator[None]:
    """Restore torch's generators of the CPU and of a device at the end of the block.

    A device may have no generator of its own: then its random numbers are the CPU's.
    """
    here = torch.device(for_torch(device))
    own = here.type != "cpu" and hasattr(getattr(torch, here.type, None), "get_rng_state")
    others = [here] if own else []
    # torch 2.0 knows no other types than these two here.
    named = {} if here.type in ("cpu", "cuda") else {"device_type": here.type}
    with torch.random.fork_rng(devices=others, **named):
        yield


def may_fork(device: str) -> bool:
    """Whether a process with a subject on a device may fork.

    It may if this is safe for the device's type and for every type that is here.
    """
    return row_of(device).forks and all(TABLE[name].forks for name in available())


def peak_of(device: str, call: Callable[[], Any]) -> int | None:
    """The largest number of bytes that `call` adds to what the allocator of a device holds.

    None if torch has no module for this allocator.
    """
    memory = row_of(device).memory
    if memory is None:
        return None
    memory.synchronize()
    before = memory.memory_allocated()
    memory.reset_peak_memory_stats()
    call()
    memory.synchronize()
    return int(memory.max_memory_allocated() - before)
