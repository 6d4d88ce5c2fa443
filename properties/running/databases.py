"""Where failing cases are remembered: a folder, and a database that several machines share.

Hypothesis puts a case that failed before any other one.  With a shared database the case that one
job found is the first of every other job.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    ExampleDatabase,
    GitHubArtifactDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)

T = TypeVar("T")

FOLDER = ".hypothesis/gatewise"
ACCEPTED = "a folder, redis://HOST:PORT, or github:OWNER/REPOSITORY"
_REDIS = ("redis://", "rediss://", "unix://")
_GITHUB = "github:"
#: A server that does not answer holds up no run for longer, in seconds.
_PATIENCE = 5.0


class DatabaseError(ValueError):
    """A database that cannot be used; the text is one line."""


class Surviving(ExampleDatabase):
    """A shared database without which a run goes on when it fails; says so once."""

    def __init__(self, shared: ExampleDatabase, name: str) -> None:
        super().__init__()
        self.shared, self.name, self.lost = shared, name, False

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """The stored cases of a key."""
        return self._tried(lambda: list(self.shared.fetch(key)), [])

    def save(self, key: bytes, value: bytes) -> None:
        """Store a case."""
        self._tried(lambda: self.shared.save(key, value), None)

    def delete(self, key: bytes, value: bytes) -> None:
        """Remove a case."""
        self._tried(lambda: self.shared.delete(key, value), None)

    def _tried(self, ask: Callable[[], T], otherwise: T) -> T:
        if self.lost:
            return otherwise
        try:
            return ask()
        except Exception as error:  # whatever its client raises: no verdict hangs on it
            self.lost = True
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            print(
                f"gatewise: the database {self.name} does not answer ({what}); the run goes on "
                "without it",
                file=sys.stderr,
                flush=True,
            )
            return otherwise


@cache
def database(stated: str = FOLDER) -> ExampleDatabase:
    """The database that a text names, with the usual folder beside a shared one.

    Raises `DatabaseError`, one line, where the text names none, or its package is not installed.
    """
    folder = DirectoryBasedExampleDatabase(FOLDER)
    if stated.startswith(_REDIS):
        return MultiplexedDatabase(folder, Surviving(_redis(stated), stated))
    if stated.startswith(_GITHUB):
        owner, _, repository = stated.removeprefix(_GITHUB).partition("/")
        if not owner or not repository or "/" in repository:
            raise DatabaseError(f"--database {stated!r}: expected {ACCEPTED}")
        artifacts = ReadOnlyDatabase(GitHubArtifactDatabase(owner, repository))
        return MultiplexedDatabase(folder, Surviving(artifacts, stated))
    if "://" in stated:
        raise DatabaseError(f"--database {stated!r}: expected {ACCEPTED}")
    return DirectoryBasedExampleDatabase(stated)


def reached(stated: str) -> None:
    """Ask the server of a database; raises `DatabaseError`, one line, if it does not answer."""
    if stated.startswith(_REDIS):
        try:
            _client(stated).ping()
        except Exception as error:
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            raise DatabaseError(
                f"--database {stated!r}: the server does not answer ({what}); expected {ACCEPTED}"
            ) from None


def _client(url: str) -> Any:
    try:
        import redis
    except ImportError:
        raise DatabaseError(
            f"--database {url!r}: needs the package redis (extra `redis` of gatewise)"
        ) from None
    try:
        return redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
    except ValueError as error:
        raise DatabaseError(f"--database {url!r}: {error}; expected {ACCEPTED}") from None


def _redis(url: str) -> ExampleDatabase:
    client, month = _client(url), timedelta(days=30)  # first: it says what is not installed
    from hypothesis.extra.redis import RedisExampleDatabase

    return RedisExampleDatabase(client, expire_after=month, key_prefix=b"gatewise:")
