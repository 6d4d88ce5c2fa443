"""Writes the generated pages of docs/.

Usage: python docs/make.py [--check]

--check writes nothing.  It names each page that differs from what this script makes now, and the
exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import textwrap
import warnings
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))  # for tests

import torch  # noqa: E402

from docs import verdicts, versions  # noqa: E402
from gatewise.properties import devices  # noqa: E402
from gatewise.properties.families.catalogue import CATALOGUE, FAMILIES  # noqa: E402
from gatewise.properties.families.property import Property  # noqa: E402
from gatewise.properties.levels import HARDENING, LEVELS  # noqa: E402
from gatewise.properties.reporting.article import CLAIMS, brief, record  # noqa: E402
from gatewise.properties.running.known_issues import Issue, known_issues  # noqa: E402
from gatewise.properties.running.profiles import profile_settings  # noqa: E402
from gatewise.properties.running.records import FALSIFIED  # noqa: E402
from gatewise.properties.subjects import loading as loading  # noqa: E402  (knows all kinds)
from gatewise.reference.classes import CLASSES, DECLARED  # noqa: E402
from gatewise.reference.kinds import KINDS  # noqa: E402
from tests.mutation import strength_page  # noqa: E402
from tests.peers import found  # noqa: E402


def properties_page() -> str:
    """The table of all properties, by family."""
    lines = [
        "# Properties",
        "",
        "`python docs/make.py` makes this page from the catalogue. Do not edit it.",
        "",
        f"There are {len(CATALOGUE)} properties in {len(FAMILIES)} families. The id of a test is "
        "`subject-device-precision-property`.",
        "",
        "The column `level` says which question a property answers: see [levels.md](levels.md).",
        "",
        "The column `classes` says which classes of subjects a property is claimed of, and "
        "`precisions` in which precisions.",
        "",
        "The column `cases` is the number of cases that a run at the profile standard draws for "
        "one subject, device and precision. The number is smaller if there are fewer different "
        "cases. `+ edges` adds a case for every tile edge of every size. `+ variants` adds a case "
        "for every variant. `+ rows` adds a case for every row of a covering array: every pair of "
        "values of two options is in one of them. `+ some rows` adds a part of these. `+ triples` "
        "adds a case for every row of a covering array in which every triple of values of three "
        "options occurs.",
    ]
    for family in FAMILIES:
        lines += ["", f"## {family.name}", ""]
        columns = ("property", "level", "claim", "formula", "classes", "precisions", "cases")
        lines += [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
        for p in family.properties:
            of = p.of.name
            formula = p.formula.replace("|", "\\|")
            only = "" if p.devices is devices.ALL else f"; only on {p.devices.name}"
            only += "" if p.profile == "quick" else f"; not below profile {p.profile}"
            precisions = p.precisions.name + only
            row = (f"`{p.name}`", p.level, p.sentence, formula, of, precisions, _drawn(p))
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


_LEVELS_HEAD = """\
# Levels

`python docs/make.py` makes this page from the catalogue. Do not edit it.

Every property answers one of three questions about a subject. A run of a subject of your own \
gives one verdict for each question:

```text
mine.py:MyLSTM on cpu: values: right, 214 of 214
mine.py:MyLSTM on cpu: contract: 3 departures, 180 of 183 hold
mine.py:MyLSTM on cpu: hardening: 9 remarks, 35 of 44 hold
```

`--level` says up to which level a property that does not hold decides the exit status. What is \
above that level is a remark: it is listed, and decides nothing. The default is `contract`. For \
the built-in subjects it is `hardening`, so all levels count."""


def levels_page() -> str:
    """The three levels, and why each claim at hardening is not part of the contract."""
    lines = [_LEVELS_HEAD, "", "| level | question | properties |", "| --- | --- | --- |"]
    for level, question in LEVELS.items():
        number = sum(p.level == level for p in CATALOGUE.values())
        lines.append(f"| `{level}` | {question} | {number} |")
    lines += ["", "## Why a claim at hardening is no part of the contract", ""]
    lines += ["| property | claim | why it goes beyond the documentation |", "|" + " --- |" * 3]
    for p in CATALOGUE.values():
        if p.level == HARDENING:
            lines.append(f"| `{p.name}` | {p.sentence} | {p.beyond} |")
    return "\n".join(lines) + "\n"


def _drawn(p: Property) -> str:
    """The number of cases that a run at the profile standard draws."""
    if p.profile == "thorough":
        return "none"
    number = profile_settings("standard", p.share).max_examples
    more = " + edges" * p.edges + " + variants" * (p.sweep and not p.covers)
    more += " + triples" * p.triples
    if p.covers:
        more += " + some rows" if "standard" in p.portion else " + rows"
    return f"{number}{more}"


_KINDS_HEAD = """\
# Kinds

`python docs/make.py` makes this page from `reference/published/`. Do not edit it.

A *kind* is a recurrent cell by its equations. torch.nn has three: RNN, LSTM and GRU. The kinds on \
this page are published cells that torch.nn does not have. `--like NAME` checks a layer against \
one of them, and `--like NAMECell` a cell. [Your own kind](your-own-cell.md#your-own-kind) needs \
the same lines as one of these.

The parameters of a subject have the names and shapes below: I is the width of the input, and H \
the hidden size. In a layer the names end as in torch.nn: `weight_ih_l0`, `weight_ih_l1_reverse`. \
`bias=False` leaves out every weight whose name begins with `bias`. A cell returns its states, as \
torch.nn's cells do; where the output is none of the states, it returns `(output, states)`.

MinGRU, MinLSTM and RGLRU are linear in the old state. So a layer of them may combine its steps by \
a parallel scan in place of a loop. The bound is derived for the loop. Layers by two scans \
(`tests/kinds/scans.py`) keep within it: of 65,746 results and 20,756 gradients in float64, \
float32 and bfloat16, the largest error/bound is 0.454. Where states nearly cancel, a scan may \
round more than the loop does, and this is not covered.

The bound sees small errors of a weight. One weight of a layer in float32 was made larger by one \
part in a thousand, in 960 cases of each kind (`python bench/sharpness.py --kinds --cases 120 \
--runs 8`). The bound sees it in 81 to 94 % of them, for LayerNormGRU in 79 and for LayerNormLSTM \
in 70. `assert_close`, with its default tolerances and beside the right layer's own results, sees \
71 to 92 %. In 4 to 18 % the error changes no rounded result at all. A norm takes out most of \
what one weight changes, and a norm of few units magnifies what rounding changes."""


def kinds_page() -> str:
    """The published kinds: paper, weights, states and step of each."""
    lines = [_KINDS_HEAD]
    for name in DECLARED:
        row = KINDS[CLASSES[name].kind]
        if CLASSES[name].cell or row.declared is None:
            continue
        step = row.declared.step
        shapes = ", ".join(f"`{n}` ({s.text.replace(' ', ', ')})" for n, s in row.shapes.items())
        states = ", ".join(row.states)
        source = inspect.getsource(step)
        body = source[source.index('"""', source.index('"""') + 3) + 3 :].strip("\n")
        lines += ["", f"## {name}", "", inspect.cleandoc(step.__doc__ or ""), ""]
        lines += [f"Weights: {shapes}. States: {states}.", ""]
        lines += ["```python", f"# from np, x, {states}, w", textwrap.dedent(body), "```"]
    return "\n".join(lines) + "\n"


def known_issues_page() -> str:
    """The faults of released implementations that were reproduced, each with its witness."""
    lines = [
        "# Known issues",
        "",
        "`python docs/make.py` makes this page from `properties/running/known_issues.toml`. Do "
        "not edit it.",
        "",
        "A known issue is a fault of a released implementation that was reproduced here. Each "
        "entry covers some cases of a property. A run does not check these cases, and it checks "
        "all others.",
        "",
        "Each entry has a witness: one case that fails. A run checks the witness first. It must "
        "still fail. If it passes, the entry is stale, and the property is falsified.",
        "",
        "A witness is shown by the arguments of its `Case`. The kind of the case is that of the "
        "subject, and its precision is that of the run.",
    ]
    for name, own in groupby(known_issues(), lambda issue: issue.name):
        first, *others = own
        lines += ["", f"## {name}", "", first.reason, "", first.link]
        for issue in (first, *others):
            lines += ["", *_known_case(issue)]
    return "\n".join(lines) + "\n"


def _known_case(issue: Issue) -> list[str]:
    """The lines of one entry: its property, its subjects, what it covers, its witness."""
    subjects = ", ".join(f"`{name}`" for name in issue.subjects)
    where = ", ".join(f"{k} = {v!r}" for k, v in issue.where.items()) or "every case"
    lines = [f"`{issue.property}` of {subjects}, torch {issue.torch}:", ""]
    lines += [f"- covers {where}"]
    for label, names in (("devices", issue.devices), ("precisions", issue.precisions)):
        lines += [f"- {label} {', '.join(names)}"] if names else []
    lacking = f"- only on machines without {issue.lacking} for the precision"
    lines += [lacking] if issue.lacking else []
    lines += [f"- only on machines with {issue.having}"] if issue.having else []
    lines += [f"- witness `{issue.witness}`"]
    if issue.attempts > 1:
        lines.append(
            "- the fault reads memory past the end of a tensor, so it depends on the content of "
            "that memory whether the witness fails; a run tries each variant in at most "
            f"{issue.attempts} new processes, and one variant must fail"
        )
    return lines


_ARTICLE_HEAD = """\
# The article's claims

`python docs/make.py` makes this page from a run. Do not edit it.

A tutorial on recurrent networks in PyTorch (程序练习(二):循环神经网络的PyTorch实现, \
<https://www.cnblogs.com/corianderfiend/p/16583130.html>) builds four networks and compares them. \
This page says which of its claims hold.

Its networks are in `impl/concat_cells.py` and `impl/tagger.py`. `RNN`, `LSTMCell`, `GRUCell` and \
`LSTMTagger` follow the tutorial's code. `IndependentRNN`, `IndependentLSTMCell` and \
`IndependentGRUCell` follow its text, with one layer for each gate.

Each row of the tables below is a property, checked on one subject. Each row is also a test: \
`pytest tests/properties/test_article.py -k "test_verdict and ID"`. If a row holds and its subject \
is a built-in subject, `tests/conformance` has it too, with the same id and more cases.

A claim is refuted by a property that states what the article states. The smallest witness is a \
case that refutes it and that cannot be made simpler. You can paste a witness into Python, after \
`from gatewise import Case`. Integers are exact. Other numbers are rounded, because machines \
differ in the last digits."""


def article_page() -> str:
    """The claims of the article, each with its verdict, its properties and smallest witnesses.

    Raises `ValueError` if a run gives a row another status than the claim states.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "LSTM with projections")  # a warning about speed
    lines = [_ARTICLE_HEAD, "", "| | claim | the article's words | verdict |", "|" + " --- |" * 4]
    for number, claim in enumerate(CLAIMS, 1):
        lines.append(f"| {number} | {claim.says} | {claim.words} | {claim.verdict} |")
    for number, claim in enumerate(CLAIMS, 1):
        lines += ["", f"## {number}. {claim.says}", "", f"> {claim.words}", ""]
        lines += [f"**{claim.verdict.capitalize()}.** {claim.because}".rstrip(), ""]
        lines += ["| test id | property | verdict |", "|" + " --- |" * 3]
        witnesses = []
        for row in claim.rows:
            found = record(row)
            if found.status != row.status:
                raise ValueError(f"{found.id}: {found.status}, stated {row.status}")
            refuted = found.status == FALSIFIED
            verdict = "**refuted**" if refuted else found.status
            lines.append(f"| `{found.id}` | {row.plan.prop.sentence} | {verdict} |")
            if refuted:
                witnesses += [f"- `{found.id}`", f"  `{found.case}`", f"  {brief(found.message)}"]
        lines += ["", "Smallest witnesses:", "", *witnesses] if witnesses else []
    return "\n".join(lines) + "\n"


_PERFORMANCE_HEAD = """\
# Performance

`python docs/make.py` makes this page from `docs/performance.json`, which `tox run -e bench` \
writes. Do not edit it.

Every number is a ratio of the shortest times of one run on one machine, on one thread, since \
absolute times differ by machine.
"""


#: Title of a section, the key of its rows, the head of their first column, and what they are.
_MEASURED = (
    (
        "A case of agreement",
        "cases",
        "class",
        "A case of `equals_reference` for a class of torch.nn in float32, with all that Gatewise "
        "does for it. `case over subject` is its time over that of the calls of the subject in it. "
        "`subject` and `reference` are their shares of the time. The last column compares the "
        "cases per second with those of a plain Hypothesis suite (`bench/plain_suite.py`), which "
        "draws every element, takes a loop in float64 as its oracle and computes no bound.",
    ),
    (
        "The reference",
        "reference",
        "layer (I, H, B, T)",
        "Times over that of the reference's forward pass in float64, without bounds. `torch` is "
        "one call of torch.nn in float64.",
    ),
    (
        "gatewise.impl",
        "impl",
        "layer (I, H, B, T)",
        "Times over those of torch.nn, in float32.",
    ),
    (
        "Growth",
        "growth",
        "size",
        "The exponent p of the cost of a case of `equals_reference`, cost ~ size^p, where one size "
        "grows and the others are small; fitted to the three largest sizes.",
    ),
)


def performance_page() -> str:
    """The ratios that the benchmarks measured."""
    record = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    machine = "; ".join(f"{name} {value}" for name, value in record["machine"].items())
    lines = [_PERFORMANCE_HEAD, f"The machine: {machine}."]
    for title, key, first, words in _MEASURED:
        lines += ["", f"## {title}", "", words, "", *_table(first, record[key])]
    return "\n".join(lines) + "\n"


def _table(first: str, rows: dict[str, dict[str, float]]) -> list[str]:
    columns = list(next(iter(rows.values())))
    lines = [f"| {' | '.join([first, *columns])} |", "|" + " --- |" * (len(columns) + 1)]
    for row, own in rows.items():
        lines.append(f"| {row} | {' | '.join(str(own[c]) for c in columns)} |")
    return lines


#: Name of a page → the function that makes it.
PAGES: dict[str, Callable[[], str]] = {
    "properties.md": properties_page,
    "levels.md": levels_page,
    "kinds.md": kinds_page,
    "known-issues.md": known_issues_page,
    "found.md": found.page,
    "article.md": article_page,
    # From the record of a full mutation run, because such a run takes too long here.
    "strength.md": strength_page.page,
    # From the record of a run of the benchmarks.
    "performance.md": performance_page,
    # From the records of runs on several versions of torch.
    "versions.md": versions.page,
    # From the records of runs on other libraries.
    "verdicts.md": verdicts.page,
}


def main() -> int:
    """Write the pages, or name those that are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"docs/{name} is stale; run python docs/make.py")
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote docs/{name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
