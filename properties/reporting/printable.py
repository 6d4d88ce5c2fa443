"""Text of a subject, made safe to print: one line, no control characters, not too long."""

from __future__ import annotations

#: Characters of one line that a terminal shows of a subject's text.
LINE = 300


def printable(text: str, most: int = LINE) -> str:
    """The first line of a text, with an escape for every character that is not printable."""
    first = text.partition("\n")[0]
    cut = first if len(first) <= most else f"{first[:most]}… ({len(text)} characters)"
    return escaped(cut)


def escaped(line: str) -> str:
    """A line with an escape for every character that is not printable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
