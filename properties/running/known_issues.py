"""Known issues: faults of released implementations, each with a link and a witness.

An entry of `known_issues.toml` names a property, some subjects, and the cases that it covers.  The
property is not checked on these cases of these subjects; nothing else is excused.  The witness of
an entry is one case that fails.  It is checked first, and it must still fail.
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

from gatewise.reference.classes import CELLS, LAYERS, TORCH

from ..cases.case import Case, case_from
from ..devices import type_of
from ..precisions import dtype_of
from ..subjects.protocol import Subject

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).with_name("known_issues.toml")

#: oneDNN's names for the precisions of 16 bits.
_ONEDNN_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16"}


def _onednn(precision: str) -> bool:
    """Whether oneDNN has kernels for a low precision on this CPU."""
    short = _ONEDNN_NAMES[dtype_of(precision)]
    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{short}_supported", None)
    return supported is not None and bool(supported())


#: Feature of a machine → the function that says whether it is there, for a precision.
FEATURES: dict[str, Callable[[str], bool]] = {
    "oneDNN kernels": _onednn,
    "oneDNN": lambda precision: bool(torch.backends.mkldnn.is_available()),  # type: ignore[no-untyped-call]
}


@dataclass(frozen=True)
class Issue:
    """A fault of some subjects under one property, and the cases that it covers.

    `subjects` are full names of classes; their subclasses are covered as well.  `torch` is a range
    of versions such as ">=2.9,<2.14".  Empty `devices` or `precisions` mean all.  `lacking` and
    `having` are names of `FEATURES`: only a machine without the feature `lacking`, and with the
    feature `having`, has the issue.  `where` maps fields of a Case, or `form`, to the value, or the
    list of values, that a covered case has.

    `witness` has the arguments of a Case; its kind is the subject's and its precision that of the
    run.  If `where` lists several variants, the witness must fail in each.  `attempts` above 1 is
    for a read past the end of an array, because the memory there decides whether the read fails.
    Each variant is then checked up to `attempts` times, each further time in a new process, until
    one variant fails.
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

    def unnamed(self, device: str) -> list[str]:
        """What the entry does not name: this version of torch, this type of device."""
        found = [] if in_range(torch.__version__, self.torch) else [f"torch {torch.__version__}"]
        if self.devices and type_of(device) not in self.devices:
            found.append(device)
        return found

    def covers(self, case: Case) -> bool:
        """Whether a case has the values of `where`."""
        for name, wanted in self.where.items():
            value = getattr(case, name)
            if value not in wanted if isinstance(wanted, list) else value != wanted:
                return False
        return True

    def of(self, subject: Subject) -> bool:
        """Whether the subject is one of the entry's classes, or a subclass of one.

        If all of torch.nn's layers, or all of its cells, have a fault, it is a fault of their base
        class.  So any other subclass of this base class has it as well.
        """
        mro = subject.factory.__mro__ if isinstance(subject.factory, type) else ()
        own = [c.__name__ for c in mro if c.__module__ == "torch.nn.modules.rnn"]
        names = {f"{c.__module__}.{c.__qualname__}" for c in mro}
        names |= {subject.name, *(f"torch.nn.{name}" for name in own)}
        for base, group in (("RNNBase", LAYERS), ("RNNCellBase", CELLS)):
            shared = {f"torch.nn.{name}" for name in group if name in TORCH}
            if base in own and not names & shared and shared <= {*self.subjects}:
                return True
        return bool(names & {*self.subjects})


def in_range(version: str, stated: str) -> bool:
    """Whether a torch version, without its local part, is in a range of versions.

    Raises `ValueError` if `stated` is no range as in `packaging.specifiers`.
    """
    try:
        accepted = SpecifierSet(stated, prereleases=True)
    except InvalidSpecifier:
        raise ValueError(f"torch range {stated!r}: expected bounds such as '>=2.9,<2.14'") from None
    return accepted.contains(version.partition("+")[0])


def parse(text: str) -> tuple[Issue, ...]:
    """The entries of a TOML text: one for each `issue`, or for each of its `cases`.

    The values of an issue hold for each of its cases, unless the case states another value.
    Raises `ValueError` with the name of an entry that cannot be used.
    """
    issues = []
    for entry in tomllib.loads(text).get("issue", []):
        shared = {name: value for name, value in entry.items() if name != "cases"}
        issues += [_issue({**shared, **own}) for own in entry.get("cases", [{}])]
    return tuple(issues)


def _issue(entry: dict[str, Any]) -> Issue:
    label = entry.get("name", "without a name")
    known = [f.name for f in fields(Issue)]
    unknown = set(entry) - {*known}
    if unknown:
        raise ValueError(
            f"known issue {label}: unknown field {sorted(unknown)[0]!r}; expected one of "
            f"{', '.join(known)}"
        )
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
            raise ValueError(
                f"known issue {label}: {feature!r} is not one of {', '.join(FEATURES)}"
            )
    strange = set(issue.where) - {f.name for f in fields(Case)} - {"form"}
    if strange:
        raise ValueError(f"known issue {label}: a Case has no field {sorted(strange)[0]!r}")
    return issue


@lru_cache(maxsize=1)
def known_issues() -> tuple[Issue, ...]:
    """The entries of `known_issues.toml`."""
    return parse(PATH.read_text(encoding="utf-8"))


def issues_of(subject: Subject, prop: str, precision: str) -> list[Issue]:
    """The entries of a property on a subject in a precision, of any torch and any device."""
    return [
        issue
        for issue in known_issues()
        if issue.property == prop
        and issue.of(subject)
        and (not issue.precisions or precision in issue.precisions)
        and not (issue.lacking and FEATURES[issue.lacking](precision))
        and (not issue.having or FEATURES[issue.having](precision))
    ]
