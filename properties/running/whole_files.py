"""Files that are whole or not there: a full disk or an interrupt leaves no half of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text to `path` and make its folder; an old file is replaced in one step.

    Raises `OSError`, and then the old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


class WholeLines:
    """Adds lines to a file; one that does not fit is taken back, so that each line is whole.

    The file begins with `lines`, which replace an old file in one step.  Raises `OSError` where the
    file cannot be made, and then an old file is as it was.
    """

    def __init__(self, path: Path, lines: Iterable[str] = ()) -> None:
        write_whole(path, "".join(f"{line}\n" for line in lines))
        self._file = path.open("r+b", buffering=0)
        self._end = self._file.seek(0, os.SEEK_END)

    def add(self, line: str) -> None:
        """Write a line; raises `OSError`, and then the file ends after the line before."""
        data = memoryview(f"{line}\n".encode())
        try:
            while data:
                data = data[self._file.write(data) :]
        except BaseException:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            raise
        self._end = self._file.tell()

    def close(self) -> None:
        """Close the file; raises `OSError`."""
        self._file.close()
