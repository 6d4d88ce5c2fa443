"""Makes the page docs/strength.md from the record that `tests.mutation.strength` writes."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from gatewise.properties.levels import CONTRACT, HARDENING, VALUES

from .all import MUTANTS
from .alone import ALONE
from .by_level import level_of
from .peers import COMPARISON
from .run import percentile
from .strength import COLUMNS, RECORD, SUITE, lines_of

_HEAD = """\
# Strength

`python docs/make.py` makes this page from `docs/strength.jsonl`, the record of the runs. Do not \
edit it. `tests/mutation/strength.py` says how the record is made.

A mutant is a wrong network with torch.nn's constructor and one fault. Most faults are modelled on \
a fault of a released implementation that somebody reported. The mutants are in `tests/mutation/`. \
Each check below is applied to the same {total} mutants, with torch {torch} and onnx {onnx}. A \
check kills a mutant if it fails on it:

- **Gatewise**: this suite at its profile `standard`, until the first property that does not hold.
- **one example**: `{comparison}` with its default tolerances. It compares the \
mutant with torch.nn's module with the same weights, on the example from that module's page in \
PyTorch's documentation.
- **gradcheck**: the same comparison, and `torch.autograd.gradcheck` with its defaults, in \
float64, for the input, the initial states and every weight.
- **ONNX vectors**: the node tests that ONNX publishes for its operators LSTM, GRU and RNN, with \
ONNX's comparison and tolerances. The weights are put into torch's order of gates. The tests that \
torch.nn's own module cannot pass are left out: peepholes, only the reverse direction, a reset \
gate before the matrix product. ONNX has no test for cells.
- **ModuleInfo**: PyTorch's own samples for the module with their reference checks, and its \
samples of wrong arguments, which must raise the stated class of exception.
- **KernelBench**: the check of generated kernels in KernelBench: five random inputs of one shape, \
the results alone, within 1e-4 in float32.
- **FlashRNN**: the tolerance of FlashRNN's tests, 0.1 and 20 %, on the results and on the \
gradient of their sum for the input, the initial states and every weight.

The modules of torch.nn and of this project pass every one of these checks.
"""


_ALARMS = """\
{subjects} correct subjects are written in other ways than this project's modules: other orders of \
summation, a correct backward of their own, a wider format inside. Each was checked with every \
claim at `values` and `contract`, at the profile `quick`, with ten seeds. In these {runs} runs \
there were {false} false alarms."""

_ALONE = """\
These mutants show what a suite without one family would miss. For each mutant, some properties of \
its family do not hold, and all properties of the other families hold, at the profile `standard` \
in every precision of a CPU. `python -m tests.mutation.alone` checks this."""


def _killed(record: dict[str, Any], check: str) -> bool:
    outcome = record["checks"][check]
    return outcome is not None and bool(outcome["killed"])


def _share(records: list[dict[str, Any]], check: str) -> str:
    """The number of mutants that a check kills, of those that it can be applied to."""
    put = [r for r in records if r["checks"][check] is not None]
    return f"{sum(_killed(r, check) for r in put)} of {len(put)}" if put else "—"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def sentences() -> str:
    """The figures of the record as the README has them."""
    head, *records = lines_of(RECORD)
    total = len(records)
    one, grad, onnx, info, bench, flash = (_share(records, c) for c in COLUMNS[1:])
    seconds = [r["checks"][SUITE]["seconds"] + head["start_up"] for r in records]
    return (
        f"[docs/strength.md](docs/strength.md) is the record of a run on {total} mutants, which "
        f"are wrong networks with one fault each. {SUITE} kills {_share(records, SUITE)}. "
        f"`{COMPARISON}` on an example kills {one}, with `gradcheck` {grad}, PyTorch's own module "
        f"samples {info}, the check of KernelBench {bench}, the tolerance of FlashRNN's tests "
        f"{flash}, and ONNX's published vectors {onnx}. Half of the mutants are killed within "
        f"{statistics.median(seconds):.1f} seconds on one core, start-up included."
    )


def _levels(head: dict[str, Any], records: list[dict[str, Any]]) -> list[str]:
    """How many mutants are killed without the claims at hardening, and which are not.

    Nothing where that was not run since the record was made.
    """
    if "by_level" not in head:
        return []
    first = Counter(level_of(r) for r in records if _killed(r, SUITE))
    needed = [r["mutant"] for r in records if r.get("up_to_contract") == ""]
    without = sum(first.values()) - len(needed)
    names = ", ".join(f"`{n}`" for n in needed)
    return [
        "## By level",
        "",
        f"A claim at `values` kills {first[VALUES]} mutants first, one at `contract` "
        f"{first[CONTRACT]}, and one at `hardening` {first[HARDENING]}. For the last ones, "
        f"`tests/mutation/by_level.py` put all claims at `values` and `contract` to the mutant "
        f"(profile `{head['by_level']}`). Without any claim at `hardening`, {without} of "
        f"{len(records)} mutants are killed. These {len(needed)} are not: {names}.",
        "",
    ]


def page() -> str:
    """The text of docs/strength.md, from the record and the registry of mutants."""
    head, *records = lines_of(RECORD)
    classes = list(dict.fromkeys(head["classes"]))
    lines = [_HEAD.format(total=len(records), comparison=COMPARISON, **head["versions"])]
    lines += ["## Killed mutants by class of fault", "", _row(["class", *COLUMNS])]
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
        "The seconds do not include the start of the interpreter and its imports, which take "
        f"{head['start_up']:.1f} s. {SUITE} needs at most "
        f"{percentile(own_times, 0.95):.1f} s for 95 % of the mutants, and at most "
        f"{max(own_times):.1f} s for each of the others.",
        "",
    ]
    lines += _levels(head, records)
    lines += ["## Killed by one side only", ""]
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
    lines += ["## Detected by one family only", "", _ALONE, ""]
    lines += [_row(["family", "mutant", "modelled on"]), "|" + " --- |" * 3]
    lines += [_row([f, f"`{n}`", MUTANTS[n].models]) for f, n in ALONE.items()]
    lines.append("")
    return "\n".join(lines)
