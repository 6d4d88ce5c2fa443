"""The environment of a run: what a reader needs to see why two runs differ."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from typing import Any

import hypothesis
import numpy as np
import torch


def environment() -> dict[str, Any]:
    """Versions, processor, threads and, where torch sees one, the GPU, as plain values for JSON."""
    config = torch.__config__.show()
    blas = re.search(r"BLAS_INFO=(\w+)", config)
    found: dict[str, Any] = {
        "gatewise": importlib.metadata.version("gatewise"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "torch": str(torch.__version__),
        "torch_commit": str(torch.version.git_version),
        "blas": blas[1] if blas else "",
        "cpu_capability": _cpu_capability(),
        "onednn": bool(getattr(torch.backends.mkldnn, "enabled", True)),
        "threads": torch.get_num_threads(),
        "numpy": np.__version__,
        "hypothesis": hypothesis.__version__,
        "cuda": torch.version.cuda or "",
        "gpus": [],
    }
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found["gpus"] = [torch.cuda.get_device_name(k) for k in range(count)]
        found["cudnn_enabled"] = torch.backends.cudnn.enabled
        found["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found["tf32_convolutions"] = torch.backends.cudnn.allow_tf32
        found["cublas_workspace"] = os.environ.get("CUBLAS_WORKSPACE_CONFIG", "")
    return found


def _processor() -> str:
    """The name of the processor."""
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as file:
                for line in file:
                    if line.startswith("model name"):
                        return line.partition(":")[2].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def _cpu_capability() -> str:
    """The instructions that torch's own kernels use: AVX2, AVX512, DEFAULT."""
    cpu = getattr(torch.backends, "cpu", None)  # torch 2.0 has no such module
    ask = getattr(cpu, "get_cpu_capability", None)
    return str(ask()) if ask is not None else ""
