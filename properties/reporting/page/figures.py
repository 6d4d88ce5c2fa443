"""The figures of the page, as SVG that follows the colours of the text around it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from ...checking.comparison import BINS
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


def _histogram(counts: Mapping[str, list[int]]) -> str:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gatewise"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.1))
    figure.subplots_adjust(left=0.13, right=0.98, bottom=0.22, top=0.97)
    axes = figure.subplots()
    # The axis has the exponents of 2: matplotlib takes long to place ticks on a logarithmic one.
    edges = range(-BINS, 1)
    for number, (precision, own) in enumerate(counts.items()):
        total = sum(own)
        shares = [100 * n / total for n in own]
        style: Any = _STYLES[number % len(_STYLES)]
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
    axes.set_xlabel("largest error/bound of a case", fontsize=8, color=_TEXT)
    axes.set_ylabel("% of cases", fontsize=8, color=_TEXT)
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
