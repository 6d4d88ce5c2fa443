"""The peak memory of a call.  It is counted, not timed: the same number on every machine."""

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
from ...subjects.capabilities import torch_lacks


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations made and that are alive, and their peak.

    It sees every operation that reaches torch's dispatcher, also inside a composite operation.  It
    does not see what a kernel allocates and frees within itself.

    Raises `Unsupported` before torch 2.1, where the Python object of a storage does not live as
    long as the storage.
    """

    def __init__(self) -> None:
        if TorchVersion(torch.__version__.partition("+")[0]) < "2.1":
            raise torch_lacks("storages whose life can be watched, 2.1 or later")
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
    """The most bytes that `call` holds at one time, with its results.

    A device's allocator counts them, with a kernel's own workspace.  A CPU's allocator counts
    nothing, so there the storages that the operations made are counted.  Raises `Unsupported`
    where these cannot be counted.
    """
    # The garbage collector frees cycles at no fixed time, which would make the peak random.
    enabled = gc.isenabled()
    gc.disable()
    try:
        counted = peak_of(device, call)
        if counted is not None:
            return counted
        with LiveBytes() as live:
            kept = call()
        del kept
        return live.peak
    finally:
        if enabled:
            gc.enable()
