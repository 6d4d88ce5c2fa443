"""Makes the generated pages of docs/ anew.

Usage: python docs/make.py [--check]

With --check nothing is written, and the status is 1 when a page is stale.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))  # for tests.mutation

import torch  # noqa: E402

from gatewise.properties import devices  # noqa: E402
from gatewise.properties.families.catalogue import CATALOGUE, FAMILIES  # noqa: E402
from gatewise.properties.families.property import Property  # noqa: E402
from gatewise.properties.reporting.article import CLAIMS, brief, record  # noqa: E402
from gatewise.properties.running.engine import profile_settings  # noqa: E402
from gatewise.properties.running.known_issues import Issue, known_issues  # noqa: E402
from gatewise.properties.running.records import FALSIFIED  # noqa: E402
from tests.mutation import strength_page  # noqa: E402


def properties_page() -> str:
    """The table of all properties, by family."""
    lines = [
        "# Properties",
        "",
        "Made by `python docs/make.py` from the catalogue; do not edit.",
        "",
        f"{len(CATALOGUE)} properties in {len(FAMILIES)} families. A test id is "
        "`subject-device-precision-property`.",
        "",
        "`cases` is how many a run at profile standard draws for one subject, device and "
        "precision; fewer where there are no more. `+ edges` adds one for every tile edge of every "
        "size, `+ variants` one for every variant that chance has not met.",
    ]
    for family in FAMILIES:
        lines += ["", f"## {family.name}", ""]
        columns = ("property", "claim", "formula", "of", "precisions", "cases")
        lines += [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
        for p in family.properties:
            of = p.of.name
            formula = p.formula.replace("|", "\\|")
            only = "" if p.devices is devices.ALL else f"; on {p.devices.name} alone"
            only += "" if p.profile == "quick" else f"; at profile {p.profile} and fuller"
            precisions = p.precisions.name + only
            row = (f"`{p.name}`", p.sentence, formula, of, precisions, _drawn(p))
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _drawn(p: Property) -> str:
    """How many cases a standard run draws."""
    if p.profile == "thorough":
        return "none"
    number = profile_settings("standard", p.share).max_examples
    return f"{number}{' + edges' * p.edges}{' + variants' * p.sweep}"


def known_issues_page() -> str:
    """The faults of released implementations that were reproduced, each with its witness."""
    lines = [
        "# Known issues",
        "",
        "Made by `python docs/make.py` from `properties/running/known_issues.toml`; do not edit.",
        "",
        "A property is excused for the cases that an entry covers, and for nothing else. The "
        "witness of each entry is run first and must still fail: one that passes makes the entry "
        "stale, and that is a failure.",
    ]
    for name, own in groupby(known_issues(), lambda issue: issue.name):
        first, *others = own
        lines += ["", f"## {name}", "", first.reason, "", first.link]
        for issue in (first, *others):
            lines += ["", *_known_case(issue)]
    return "\n".join(lines) + "\n"


def _known_case(issue: Issue) -> list[str]:
    """Lines on one entry: its property, its subjects, what it covers, its witness."""
    subjects = ", ".join(f"`{name}`" for name in issue.subjects)
    where = ", ".join(f"{k} = {v!r}" for k, v in issue.where.items()) or "every case"
    lines = [f"- property `{issue.property}` of {subjects}, torch {issue.torch}"]
    lines += [f"- covers {where}"]
    for label, names in (("devices", issue.devices), ("precisions", issue.precisions)):
        lines += [f"- {label} {', '.join(names)}"] if names else []
    lines += [f"- on machines without {issue.lacking} for the precision"] if issue.lacking else []
    lines += [f"- on machines with {issue.having}"] if issue.having else []
    lines += [f"- witness `{issue.witness}`"]
    if issue.attempts > 1:
        lines.append(
            "- the memory past an end decides whether it fails: one of the variants must fail, in "
            f"at most {issue.attempts} new processes each"
        )
    return lines


_ARTICLE_HEAD = """\
# The article's claims

Made by `python docs/make.py` from a run; do not edit.

A tutorial on recurrent networks in PyTorch (程序练习(二):循环神经网络的PyTorch实现, \
<https://www.cnblogs.com/corianderfiend/p/16583130.html>) writes four networks and says how they \
compare. Its networks are in `impl/concat_cells.py` and `impl/tagger.py`: as its code has them \
(`RNN`, `LSTMCell`, `GRUCell`, `LSTMTagger`), and as its text describes them, with a layer for \
each gate (`IndependentRNN`, `IndependentLSTMCell`, `IndependentGRUCell`).

Each row below is a property put to a subject, and a test: \
`pytest tests/properties/test_article.py -k "test_verdict and ID"`. A row that holds is also in \
`tests/conformance`, with the same id and more cases, where its subject is one of a run's. A claim \
is refuted by a property that says what the article says; its smallest witness is the case that is \
left when nothing in it can be made simpler, and `properties.strategies.cases.Case` takes it as it \
stands. Counts are integers; other numbers are cut to the digits that matter."""


def article_page() -> str:
    """The claims of the article, each with its verdict, properties and smallest witnesses.

    Raises `ValueError` where a run gives a row another status than the claim states.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "LSTM with projections")  # about speed alone
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


#: Page → what makes it.
PAGES: dict[str, Callable[[], str]] = {
    "properties.md": properties_page,
    "known-issues.md": known_issues_page,
    "article.md": article_page,
    # Made of the record of a full mutation run, which takes longer than a check of this page.
    "strength.md": strength_page.page,
}


def main() -> int:
    """Write the pages, or say which are stale."""
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
