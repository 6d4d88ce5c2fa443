"""Variables of the environment that torch's libraries read once, when they begin."""

from __future__ import annotations

import os

#: Each unless it is set already.  One thread for each process, since there is one for each core.
#: oneDNN keeps 1,024 compiled kernels by default, one for each shape, and a shape rarely comes
#: again: they are about a fifth of the memory of a run.
VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}


def set_variables() -> None:
    """Set them for this process and those that it starts; call it before torch is imported."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
