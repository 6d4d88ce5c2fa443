"""Keeps Python's garbage collector from the modules that stay imported."""

from __future__ import annotations

import gc
import sys

#: With so many new modules, a full collection is worth its time.
_MANY = 100

_imported = 0


def freeze() -> None:
    """Leave what is alive out of all later collections, if many modules were imported.

    torch with its compilers has half a million objects.  torch's compiler, and claims about memory,
    ask for full collections, and each of them would visit all these objects.

    Call this only in a process that runs Gatewise alone: what is alive now is never collected.
    """
    global _imported
    if len(sys.modules) > _imported + _MANY:
        gc.collect()
        gc.freeze()
        _imported = len(sys.modules)
