"""Exit statuses of the command, as pytest has them."""

from __future__ import annotations

GOOD = 0
FOUND = 1
INTERRUPTED = 2
#: Something else than the subject went wrong: an error inside Gatewise, or records that were lost.
ERROR = 3
USAGE = 4
