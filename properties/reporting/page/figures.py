"""The figures of the page, as SVG that follows the colours of the text around it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

from ...checking.comparison import BINS, STEPS
from ...running.records import Record

#: Line styles of precisions: they differ without colour.
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
#: A colour that stands for that of the text; the page replaces it.
_TEXT = "#010203"
#: Figures that the page has at most.
_MOST = 40


def histograms(records: Iterable[Record]) -> dict[str, str]:
    """Family → SVG: the share of cases by error/bound, a line for each precision, and the bound."""
    counts: dict[str, dict[str, list[int]]] = {}
    for record in records:
        if sum(record.histogram[1:]):  # else all is exact, and there is nothing to see
            own = counts.setdefault(record.family, {})
            have = own.setdefault(record.precision, [0] * BINS)
            own[record.precision] = [a + b for a, b in zip(have, record.histogram, strict=True)]
    return {family: _histogram(own) for family, own in list(counts.items())[:_MOST]}


def by_step(records: Iterable[Record]) -> str:
    """SVG: the largest error/bound of an output by the step of time, a line for each precision.

    Empty where no output was compared by step.
    """
    largest: dict[str, list[float]] = {}
    for record in records:
        if record.by_step:
            have = largest.setdefault(record.precision, [0.0] * STEPS)
            largest[record.precision] = [
                max(a, b) for a, b in zip(have, record.by_step, strict=True)
            ]
    if not largest:
        return ""
    figure, axes = _figure()
    last = max(k for own in largest.values() for k, ratio in enumerate(own) if ratio)
    for (precision, own), style in zip(largest.items(), cycle(_STYLES)):
        shown = own[: last + 1]
        axes.plot(shown, linestyle=style, label=precision, color=_TEXT, linewidth=1.1, marker=".")
    axes.axhline(1.0, color=_TEXT, linewidth=2.0)
    starts = ["0", *(str(2**k) for k in range(last))]
    axes.set_xticks(range(last + 1), starts)
    axes.set_ylim(0.0, 1.08)
    return _text(figure, axes, "first step of a range", "largest error/bound")


def _histogram(counts: Mapping[str, list[int]]) -> str:
    figure, axes = _figure()
    # The axis has the exponents of 2: matplotlib takes long to place ticks on a logarithmic one.
    edges = range(-BINS, 1)
    for (precision, own), style in zip(counts.items(), cycle(_STYLES)):
        total = sum(own)
        shares = [100 * n / total for n in own]
        axes.stairs(shares, edges, linestyle=style, label=precision, color=_TEXT, linewidth=1.1)
    axes.axvline(0, color=_TEXT, linewidth=2.0)
    ticks = range(-BINS, 1, 4)
    axes.set_xticks(ticks, ["0", *(f"$2^{{{k}}}$" for k in ticks[1:-1]), "1"])
    axes.set_xlim(-BINS, 1)
    axes.set_ylim(bottom=0)
    axes.annotate(
        "bound",
        (0.0, 1.0),
        xycoords=("data", "axes fraction"),
        color=_TEXT,
        xytext=(-3, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
    )
    return _text(figure, axes, "largest error/bound of a case", "% of cases")


def _figure() -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gatewise"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.1))
    figure.subplots_adjust(left=0.13, right=0.98, bottom=0.22, top=0.97)
    return figure, figure.subplots()


def _text(figure: Any, axes: Any, across: str, up: str) -> str:
    """The SVG of a figure, with its labels and legend, in the colour of the text around it."""
    axes.set_xlabel(across, fontsize=8, color=_TEXT)
    axes.set_ylabel(up, fontsize=8, color=_TEXT)
    axes.tick_params(labelsize=7, colors=_TEXT, which="both")
    for spine in axes.spines.values():
        spine.set_color(_TEXT)
    axes.legend(fontsize=7, frameon=False, labelcolor=_TEXT, loc="upper left")
    axes.patch.set_alpha(0.0)
    figure.patch.set_alpha(0.0)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :].replace(_TEXT, "currentColor")
