"""Makes the page of some runs, with Jinja2 and matplotlib of the extra `report`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ...running.record_file import RunRecords
from ...running.whole_files import write_whole
from ..printable import escaped
from .content import SIGNS, content
from .figures import by_step, histograms

NAME = "index.html"
_TEMPLATE = Path(__file__).with_name("page.html.jinja")
#: What the page needs beside Gatewise itself.
NEEDS = ("jinja2", "matplotlib")


def missing() -> str:
    """Why no page can be made here, in one line; empty where it can."""
    absent = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    return f"no page: it needs {' and '.join(absent)}: python -m pip install 'gatewise[report]'"


def page(runs: Sequence[RunRecords]) -> str:
    """The page of some runs, as HTML."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    records = [record for run in runs for record in run.records]
    figures, steps = histograms(records), by_step(records)
    return template.render(c=content(runs), signs=SIGNS, figures=figures, steps=steps)


def write(folder: Path, runs: Sequence[RunRecords]) -> Path:
    """Write the page to FOLDER/index.html; raises `OSError`."""
    path = folder / NAME
    write_whole(path, page(runs))
    return path


def shown(text: str) -> str:
    """A text with an escape for each control character, so that a browser shows all of it."""
    return "\n".join(escaped(line) for line in str(text).split("\n"))
