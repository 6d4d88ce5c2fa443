"""Memory that a call needs at once, counted and not timed: the same number on every machine."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.torch_version import TorchVersion
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from ...devices import peak_of
from ...subjects.protocol import Unsupported


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the storages that operations have made and that are still alive, and their peak.

    Every operation that reaches torch's dispatcher is seen, those inside a composite one too; what
    a kernel allocates and frees within itself is not.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        results = func(*args, **(kwargs or {}))
        for result in tree_flatten(results)[0]:
            if isinstance(result, Tensor):
                self._count(result.untyped_storage())
        self.peak = max(self.peak, self.now)
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._alive:
            return

        def freed(_: Any) -> None:
            self.now -= self._alive.pop(key)[1]

        self._alive[key] = (weakref.ref(storage, freed), storage.nbytes())
        self.now += storage.nbytes()


def peak_bytes(call: Callable[[], Any], device: str) -> int:
    """The most bytes that `call` holds at once, its results among them.

    What the device's allocator counts, a kernel's own workspace included; on a CPU, which counts
    nothing, the storages that the operations made.  Raises `Unsupported` where storages cannot be
    watched: before torch 2.1 their Python objects do not live as long as they do.
    """
    # A cycle that the collector frees now or later would make the peak a matter of chance.
    enabled = gc.isenabled()
    gc.disable()
    try:
        counted = peak_of(device, call)
        if counted is not None:
            return counted
        if TorchVersion(torch.__version__.partition("+")[0]) < "2.1":
            raise Unsupported(f"torch {torch.__version__} cannot watch the life of a storage")
        with _LiveBytes() as live:
            kept = call()
        del kept
        return live.peak
    finally:
        if enabled:
            gc.enable()
