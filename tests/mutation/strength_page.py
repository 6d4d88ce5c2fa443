"""The page of the suite's strength, from the record that `tests.mutation.strength` writes."""

from __future__ import annotations

import statistics
from typing import Any

from .all import MUTANTS
from .alone import ALONE
from .peers import COMPARISON
from .run import percentile
from .strength import COLUMNS, RECORD, SUITE, lines_of

_HEAD = """\
# Strength

Made by `python docs/make.py` from `docs/strength.jsonl`, the record of one run; do not edit. How \
the record is made stands in `tests/mutation/strength.py`.

A mutant is a wrong network with torch.nn's constructor and one fault, most modelled on a fault \
that was reported of a released implementation (`tests/mutation/`). Each check below is put to the \
same {total} mutants, with torch {torch} and onnx {onnx}:

- **Gatewise**: this suite at its profile `standard`, until the first property that does not hold.
- **one example**: `{comparison}` with its default tolerances, against torch.nn's \
module with the same weights, on the example of that module's page of PyTorch's documentation.
- **gradcheck**: the same, and `torch.autograd.gradcheck` with its defaults, in float64, of the \
input, the initial states and every weight.
- **ONNX vectors**: the node tests that ONNX publishes for its operators LSTM, GRU and RNN, with \
weights put into torch's order of gates, ONNX's comparison and its tolerances. Those that \
torch.nn's own module cannot meet (peepholes, a reverse direction alone, a reset gate before the \
matmul) are left out. There is none for cells.
- **ModuleInfo**: PyTorch's own samples for the module with their reference checks, and its \
samples of wrong arguments, which must raise the stated class of exception.

torch.nn's modules and this project's own pass every one of them.
"""


_ALARMS = """\
{subjects} correct subjects, written in other ways than this project's own (other summation \
orders, a right custom backward, a wider format inside), were put to every property at the profile \
`standard`, {runs} runs in all, each subject with several seeds: {false} false alarms."""

_ALONE = """\
What a suite without a family would let pass: of each mutant here, the properties of its family \
do not hold, and all others do, at the profile `standard` in every precision of a CPU. \
`python -m tests.mutation.alone` checks it."""


def _killed(record: dict[str, Any], check: str) -> bool:
    outcome = record["checks"][check]
    return outcome is not None and bool(outcome["killed"])


def _share(records: list[dict[str, Any]], check: str) -> str:
    """Killed of those that the check can be put to."""
    put = [r for r in records if r["checks"][check] is not None]
    return f"{sum(_killed(r, check) for r in put)} of {len(put)}" if put else "—"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """docs/strength.md, from the record and the registry of mutants."""
    head, *records = lines_of(RECORD)
    classes = list(dict.fromkeys(head["classes"]))
    lines = [_HEAD.format(total=len(records), comparison=COMPARISON, **head["versions"])]
    lines += ["## Killed, by class of faults", "", _row(["faults", *COLUMNS])]
    lines.append("|" + " --- |" * (len(COLUMNS) + 1))
    for fault_class in classes:
        own = [r for r in records if r["class"] == fault_class]
        lines.append(_row([fault_class, *(_share(own, c) for c in COLUMNS)]))
    lines.append(_row(["**all**", *(f"**{_share(records, c)}**" for c in COLUMNS)]))
    timed = {c: [r["checks"][c]["seconds"] for r in records if r["checks"][c]] for c in COLUMNS}
    total = [f"{sum(timed[c]):.0f}" for c in COLUMNS]
    median = [f"{statistics.median(timed[c]):.3g}" for c in COLUMNS]
    lines += [_row(["seconds, all mutants", *total]), _row(["seconds, median mutant", *median])]
    own_times = timed[SUITE]
    lines += [
        "",
        "Seconds are without the start of the interpreter and its imports, which take "
        f"{head['start_up']:.1f} s. {SUITE} takes at most "
        f"{percentile(own_times, 0.95):.1f} s for 95 % of the mutants, and at most "
        f"{max(own_times):.1f} s for any.",
        "",
    ]
    lines += ["## Killed by one check alone", ""]
    others = [c for c in COLUMNS if c != SUITE]
    for label, mine, rest in (
        (f"{SUITE} and by no other check", [SUITE], others),
        (f"another check and not by {SUITE}", others, [SUITE]),
    ):
        alone = [
            r
            for r in records
            if any(_killed(r, c) for c in mine) and not any(_killed(r, c) for c in rest)
        ]
        counts = [(f, sum(r["class"] == f for r in alone)) for f in classes]
        among = ", ".join(f"{f} {n}" for f, n in counts if n)
        lines.append(f"- by {label}: {len(alone)}{f' ({among})' if among else ''}")
    alive = [r["mutant"] for r in records if not any(_killed(r, c) for c in COLUMNS)]
    lines += [f"- by none: {len(alive)}{': ' if alive else ''}{', '.join(alive)}", ""]
    lines += ["## False alarms", "", _ALARMS.format(**head["alarms"]), ""]
    lines += ["## Seen by one family alone", "", _ALONE, ""]
    lines += [_row(["family", "mutant", "models"]), "|" + " --- |" * 3]
    lines += [_row([f, f"`{n}`", MUTANTS[n].models]) for f, n in ALONE.items()]
    lines.append("")
    return "\n".join(lines)
