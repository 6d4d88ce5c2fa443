"""Subjects that end, hang or change the process that they run in; each on two layers alone.

One layer is right, so that what is found is the fault and nothing else.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import torch
from torch import nn


class _Once(nn.LSTM):
    """torch.nn.LSTM that calls `fault` before it works where it has two layers or more."""

    def fault(self) -> None:
        raise NotImplementedError

    def forward(self, input: Any, hx: Any = None) -> Any:
        if self.num_layers > 1:
            self.fault()
        return super().forward(input, hx)


class Segfaults(_Once):
    """Reads address 0."""

    def fault(self) -> None:
        import ctypes

        ctypes.string_at(0)


class Aborts(_Once):
    """Aborts with last words, as the C++ library does of an exception that nobody catches."""

    def fault(self) -> None:
        os.write(2, b"terminate called after throwing an instance of 'std::out_of_range'\n")
        os.abort()


class ExitsWith0(_Once):
    """Ends as if all were well."""

    def fault(self) -> None:
        os._exit(0)


class ExitsWith3(_Once):
    """Ends with a status."""

    def fault(self) -> None:
        os._exit(3)


class AsksToExit(_Once):
    """Raises SystemExit."""

    def fault(self) -> None:
        sys.exit(3)


class IsKilled(_Once):
    """Is ended from without, as by a machine that has no memory left."""

    def fault(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class KillsTheTest(_Once):
    """Ends the process that started its own, which no sandbox can prevent."""

    def fault(self) -> None:
        os.kill(os.getppid(), signal.SIGKILL)


class LoopsForEver(_Once):
    """Never comes to an end, in Python."""

    def fault(self) -> None:
        while True:
            pass


class Sleeps(_Once):
    """Never comes to an end, below Python."""

    def fault(self) -> None:
        time.sleep(1e6)


class WaitsForALock(_Once):
    """Takes a lock twice."""

    def fault(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


class Prints(_Once):
    """Says what it does."""

    def fault(self) -> None:
        print("two layers")


class PrintsBelowPython(_Once):
    """Says what it does, past sys.stdout."""

    def fault(self) -> None:
        os.write(1, b"two layers\n")


class ReadsStandardInput(_Once):
    """Goes on where there is no more to read."""

    def fault(self) -> None:
        assert sys.stdin.read() == ""


class SeedsTorch(_Once):
    """Seeds torch."""

    def fault(self) -> None:
        torch.manual_seed(0)


class SeedsNumPy(_Once):
    """Seeds NumPy."""

    def fault(self) -> None:
        np.random.seed(0)


class SeedsPython(_Once):
    """Seeds Python."""

    def fault(self) -> None:
        random.seed(0)


class ChangesDefaultDtype(_Once):
    """Sets the default dtype."""

    def fault(self) -> None:
        torch.set_default_dtype(torch.float64)


class ChangesDefaultDevice(_Once):
    """Sets the default device."""

    def fault(self) -> None:
        torch.set_default_device("meta")


class ChangesThreads(_Once):
    """Sets the number of threads."""

    def fault(self) -> None:
        torch.set_num_threads(2)


class ChangesGradMode(_Once):
    """Turns gradients off."""

    def fault(self) -> None:
        torch.set_grad_enabled(False)


class ChangesDirectory(_Once):
    """Goes elsewhere."""

    def fault(self) -> None:
        os.chdir("/")
