"""The seconds that a case spends in calls of the subject and of the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SUBJECT, REFERENCE = "subject", "reference"

_spent = {SUBJECT: 0.0, REFERENCE: 0.0}
_running: list[str] = []


@contextmanager
def running(what: str) -> Iterator[None]:
    """Count the seconds of a block for `what`; a block inside another counts for the outer one."""
    if _running:
        yield
        return
    _running.append(what)
    start = time.perf_counter()
    try:
        yield
    finally:
        _spent[what] += time.perf_counter() - start
        _running.pop()


def timed(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function whose calls count for `what`."""

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with running(what):
                return function(*args, **kwargs)

        return call

    return wrap


def take() -> dict[str, float]:
    """The seconds since the last call, as fields of a `Check`."""
    taken = {f"{what}_seconds": seconds for what, seconds in _spent.items()}
    _spent.update(dict.fromkeys(_spent, 0.0))
    return taken
