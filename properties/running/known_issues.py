"""Known issues: faults of released implementations, each with a link and a pinned witness.

An entry of `known_issues.toml` excuses a property on a subject for the cases that it covers, and
for nothing else.  It is strict: its witness is put to the property first, and must still fail.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..cases.case import Case, case_from
from ..devices import type_of
from ..precisions import dtype_of
from ..subjects.protocol import Subject

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).with_name("known_issues.toml")

#: What oneDNN calls the precisions of 16 bits.
_ONEDNN_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16"}


def _onednn(precision: str) -> bool:
    """Whether oneDNN has kernels for a low precision on this CPU."""
    short = _ONEDNN_NAMES[dtype_of(precision)]
    asked = getattr(torch.ops.mkldnn, f"_is_mkldnn_{short}_supported", None)
    return asked is not None and bool(asked())


#: Feature of a machine → whether it is there in a precision.
FEATURES: dict[str, Callable[[str], bool]] = {
    "oneDNN kernels": _onednn,
    "oneDNN": lambda precision: bool(torch.backends.mkldnn.is_available()),  # type: ignore[no-untyped-call]
}


@dataclass(frozen=True)
class Issue:
    """A fault of some subjects under one property, and the cases that it covers.

    `subjects` are full names of classes; their subclasses are covered as well.  `torch` is a range
    of versions such as ">=2.9,<2.14".  Empty `devices` or `precisions` mean all.  `lacking` names
    what a machine without the issue has, of `FEATURES`, and `having` what one with the issue has.
    `where` gives fields of a Case, or `form`, and the value, or the list of values, that a covered
    case has.  `witness` is the arguments of a Case whose kind is the subject's and whose precision
    is that of the run.  Where `where` lists several variants, the witness must fail in each.
    With `attempts` the memory past an end decides whether a read fails: the witness is put at most
    so often, in new processes, until it fails, and must fail in one of the variants.
    """

    name: str
    property: str
    subjects: tuple[str, ...]
    torch: str
    link: str
    reason: str
    witness: str
    devices: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    lacking: str = ""
    having: str = ""
    attempts: int = 1
    where: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def line(self) -> str:
        """Name, link and reason in one line."""
        return f"{self.name} ({self.link}): {self.reason}"

    def case(self, subject: Subject, precision: str) -> Case:
        """The witness for a subject in a precision."""
        case = case_from(f"Case({subject.kind!r}, {self.witness})")
        return case.but(cell=subject.cell, precision=precision)

    def cases(self, subject: Subject, precision: str) -> list[Case]:
        """The witness for a subject in a precision, in every variant that is covered."""
        case, variants = self.case(subject, precision), self.where.get("variant")
        if not isinstance(variants, list):
            return [case if variants is None else case.but(variant=variants)]
        return [case.but(variant=variant) for variant in variants]

    def covers(self, case: Case) -> bool:
        """Whether a case has the values of `where`."""
        for name, wanted in self.where.items():
            value = getattr(case, name)
            if value not in wanted if isinstance(wanted, list) else value != wanted:
                return False
        return True

    def of(self, subject: Subject) -> bool:
        """Whether the subject is one of the entry's classes, or derived from one."""
        mro = subject.factory.__mro__ if isinstance(subject.factory, type) else ()
        names = {f"{c.__module__}.{c.__qualname__}" for c in mro}
        names |= {f"torch.nn.{c.__name__}" for c in mro if c.__module__ == "torch.nn.modules.rnn"}
        return bool({subject.name, *names} & {*self.subjects})


def in_range(version: str, stated: str) -> bool:
    """Whether a torch version, its local part left out, is in a range of versions.

    Raises `ValueError` for a range that is not one, see `packaging.specifiers`.
    """
    try:
        accepted = SpecifierSet(stated, prereleases=True)
    except InvalidSpecifier:
        raise ValueError(f"torch range {stated!r}: expected bounds such as '>=2.9,<2.14'") from None
    return accepted.contains(version.partition("+")[0])


def parse(text: str) -> tuple[Issue, ...]:
    """The entries of a TOML text: one for each `issue`, or for each of its `cases`.

    What an issue states, each of its cases states too, unless it states another value.
    Raises `ValueError` naming the entry that cannot be used.
    """
    issues = []
    for entry in tomllib.loads(text).get("issue", []):
        shared = {name: value for name, value in entry.items() if name != "cases"}
        issues += [_issue({**shared, **own}) for own in entry.get("cases", [{}])]
    return tuple(issues)


def _issue(entry: dict[str, Any]) -> Issue:
    label = entry.get("name", "without a name")
    unknown = set(entry) - {f.name for f in fields(Issue)}
    if unknown:
        raise ValueError(f"known issue {label}: unknown field {sorted(unknown)[0]!r}")
    names = [n for n in ("subjects", "devices", "precisions") if n in entry]
    stated: dict[str, Any] = {**entry, **{n: tuple(entry[n]) for n in names}}
    try:
        issue = Issue(**stated)
        case_from(f"Case('', {issue.witness})")
        in_range(torch.__version__, issue.torch)
    except Exception as error:
        raise ValueError(f"known issue {label}: {error}") from error
    for feature in filter(None, (issue.lacking, issue.having)):
        if feature not in FEATURES:
            raise ValueError(f"known issue {label}: {feature!r} is not one of {[*FEATURES]}")
    strange = set(issue.where) - {f.name for f in fields(Case)} - {"form"}
    if strange:
        raise ValueError(f"known issue {label}: a Case has no field {sorted(strange)[0]!r}")
    return issue


@lru_cache(maxsize=1)
def known_issues() -> tuple[Issue, ...]:
    """The entries of `known_issues.toml`."""
    return parse(PATH.read_text(encoding="utf-8"))


def issues_of(subject: Subject, prop: str, precision: str) -> list[Issue]:
    """The entries for a property on a subject, under this torch, on its device, in a precision."""
    return [
        issue
        for issue in known_issues()
        if issue.property == prop
        and issue.of(subject)
        and (not issue.devices or type_of(subject.device) in issue.devices)
        and (not issue.precisions or precision in issue.precisions)
        and in_range(torch.__version__, issue.torch)
        and not (issue.lacking and FEATURES[issue.lacking](precision))
        and (not issue.having or FEATURES[issue.having](precision))
    ]
