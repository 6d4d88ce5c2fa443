"""Makes a seed draw the same cases, whatever modules a process has imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.internal.conjecture import providers


@contextmanager
def own_draws() -> Iterator[None]:
    """Keep Hypothesis from drawing constants that it reads from the local modules that are loaded.

    It sometimes draws such a constant.  Then the cases of a seed would depend on the tests that
    ran before.  Hypothesis has no setting for this, so this function replaces an internal one.  A
    version of Hypothesis without that internal function is not changed.
    """
    inner: Any = providers
    if not hasattr(inner, "_get_local_constants") or not hasattr(inner, "CONSTANTS_CACHE"):
        yield
        return
    before, none = inner._get_local_constants, inner.Constants()
    inner._get_local_constants = lambda: none
    inner.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        inner._get_local_constants = before
        inner.CONSTANTS_CACHE.cache.clear()
