"""The Python side of the device `second`; torch imports it by its entry point, in each process."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch


class Module:
    """What torch asks of `torch.second`; random numbers are those of the CPU's generator."""

    is_available = is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)
    #: Autocast has no precision here.
    get_amp_supported_dtype = staticmethod(list)

    @staticmethod
    def device(index: Any) -> Any:
        return nullcontext()


def load() -> None:
    torch.utils.rename_privateuse1_backend("second")
    torch._register_device_module("second", Module)
    torch.utils.generate_methods_for_privateuse1_backend()
    torch.ops.load_library(str(Path(__file__).with_name("libsecond.so")))
