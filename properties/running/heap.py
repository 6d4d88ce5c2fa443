"""Keeps Python's garbage collector from the modules that stay imported."""

from __future__ import annotations

import gc
import sys

#: With so many new modules, a full collection is worth its time.
_MANY = 100

_imported = 0


def freeze() -> None:
    """Leave what is alive out of all later collections, if many modules are not left out yet.

    torch with its compilers has half a million objects.  torch's compiler, and claims about memory,
    ask for full collections, and each of them would visit all these objects.

    Call this only in a process that runs Gatewise alone: what is alive now is never collected.
    """
    global _imported
    # A claim that counts what calls leave behind takes all back in.
    if len(sys.modules) > _imported + _MANY or not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        _imported = len(sys.modules)
