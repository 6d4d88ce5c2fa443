"""The progress of a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

#: Seconds between two lines where there is no terminal.
_EVERY = 10.0


class Progress:
    """Shows how many of `total` properties are done, and prints other lines above.

    On a terminal it is a bar of the library rich; elsewhere a line on standard error every ten
    seconds.  Lines are printed to standard output.
    """

    def __init__(self, total: int, output: TextIO | None = None) -> None:
        self.total = total
        self._output = output or sys.stdout
        self._start = self._said = time.monotonic()
        self._bar: Any = None
        self._print: Callable[[str], None] = lambda line: print(line, file=self._output, flush=True)
        if self._output.isatty():
            self._open_bar()

    def _open_bar(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
        except ImportError:  # an installation without dependencies
            return
        console = Console(file=self._output)
        columns = (
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[done]} of {task.fields[count]} done, "),
            TextColumn("{task.fields[wrong]} do not hold"),
            TextColumn("{task.description}", style="dim"),
        )
        # No thread of its own: the workers are forks of this process.
        self._bar = Bar(*columns, console=console, transient=True, auto_refresh=False)
        self._task = self._bar.add_task("", total=1.0, done=0, count=self.total, wrong=0)
        self._bar.start()
        self._print = lambda line: console.print(
            line, markup=False, highlight=False, emoji=False, soft_wrap=True
        )

    def show(self, share: float, done: int, wrong: int, now: str) -> None:
        """Show what share of the work is done, how many are done and do not hold, and the last."""
        if self._bar is not None:
            self._bar.update(self._task, completed=share, done=done, wrong=wrong, description=now)
            self._bar.refresh()
            return
        if time.monotonic() - self._said < _EVERY:
            return
        self._said = time.monotonic()
        elapsed = self._said - self._start
        left = f", about {elapsed / share * (1 - share):.0f} s left" if share else ""
        line = f"gatewise: {done} of {self.total} done, {wrong} do not hold{left}"
        print(line, file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
