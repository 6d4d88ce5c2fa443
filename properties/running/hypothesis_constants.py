"""A seed draws the same cases whatever else a process has imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.internal.conjecture import providers


@contextmanager
def own_draws() -> Iterator[None]:
    """Keep Hypothesis from drawing the constants of the local modules that happen to be loaded.

    It draws them now and then, so that what a seed gives would depend on the tests that ran before.
    There is no setting for it; a version of Hypothesis that does not do so is left as it is.
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
