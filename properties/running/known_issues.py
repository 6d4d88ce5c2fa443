"""Known issues: faults of released implementations, each with a link and a pinned witness.

An entry of `known_issues.toml` excuses a property on a subject for the cases that it covers, and
for nothing else.  It is strict: its witness is put to the property first, and must still fail.
"""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.torch_version import TorchVersion

from ..cases.case import Case, case_from
from ..devices import type_of
from ..precisions import dtype_of
from ..subjects.protocol import Subject

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).with_name("known_issues.toml")

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


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
    """One entry.

    `prop` names a property (`property` in the file).  `subject` is the full name of a class, and
    covers its subclasses as well.  `torch` is a range such as ">=2.9,<2.14".  Empty `devices` or
    `precisions` mean all.  `lacking` names what a machine without the issue has, of `FEATURES`,
    and `having` what one with the issue has.
    `where` gives Case fields, or `form`, and the value, or the list of values, that a covered case
    has.  `witness` is the repr of a Case; its precision is that of the run.  Where `where` lists
    several variants, the witness must fail in each.  With `attempts` what memory holds past an end
    decides whether reading it fails: the witness is put so often at most, in new processes, until
    it fails, and must fail in one of the variants.
    """

    name: str
    prop: str
    subject: str
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

    @property
    def line(self) -> str:
        """Name, link and reason in one line."""
        return f"{self.name} ({self.link}): {self.reason}"

    def case(self, precision: str) -> Case:
        """The witness in a precision."""
        return case_from(self.witness).but(precision=precision)

    def cases(self, precision: str) -> list[Case]:
        """The witness in a precision, in every variant that is covered."""
        case, variants = self.case(precision), self.where.get("variant")
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
        """Whether the subject is the class that the entry names, or derived from it."""
        if subject.name == self.subject:
            return True
        mro = subject.factory.__mro__ if isinstance(subject.factory, type) else ()
        return self.subject in {f"{c.__module__}.{c.__qualname__}" for c in mro} | {
            f"torch.nn.{c.__name__}" for c in mro if c.__module__ == "torch.nn.modules.rnn"
        }


def in_range(version: str, stated: str) -> bool:
    """Whether a torch version, its local part left out, satisfies every bound of a range."""
    own = TorchVersion(version.partition("+")[0])
    for bound in stated.split(","):
        found = re.fullmatch(r"\s*(>=|<=|==|>|<)\s*([\w.]+)\s*", bound)
        if found is None:
            raise ValueError(f"torch range {stated!r}: expected bounds such as '>=2.9,<2.14'")
        if not _COMPARE[found[1]](own, found[2]):
            return False
    return True


def parse(text: str) -> tuple[Issue, ...]:
    """The entries of a TOML text; raises `ValueError` naming the entry that cannot be used."""
    issues = []
    for entry in tomllib.loads(text).get("issue", []):
        label = entry.get("name", "without a name")
        entry = {("prop" if k == "property" else k): v for k, v in entry.items()}
        unknown = set(entry) - {f.name for f in fields(Issue)}
        if unknown:
            raise ValueError(f"known issue {label}: unknown field {sorted(unknown)[0]!r}")
        lists = {k: tuple(entry[k]) for k in ("devices", "precisions") if k in entry}
        try:
            issue = Issue(**{**entry, **lists})
            issue.case("float32")
            in_range(torch.__version__, issue.torch)
        except Exception as error:
            raise ValueError(f"known issue {label}: {error}") from error
        for feature in filter(None, (issue.lacking, issue.having)):
            if feature not in FEATURES:
                raise ValueError(f"known issue {label}: {feature!r} is not one of {[*FEATURES]}")
        strange = set(issue.where) - {f.name for f in fields(Case)} - {"form"}
        if strange:
            raise ValueError(f"known issue {label}: a Case has no field {sorted(strange)[0]!r}")
        issues.append(issue)
    return tuple(issues)


@lru_cache(maxsize=1)
def known_issues() -> tuple[Issue, ...]:
    """The entries of `known_issues.toml`."""
    return parse(PATH.read_text(encoding="utf-8"))


def issues_of(subject: Subject, prop: str, precision: str) -> list[Issue]:
    """The entries for a property on a subject, under this torch, on its device, in a precision."""
    return [
        issue
        for issue in known_issues()
        if issue.prop == prop
        and issue.of(subject)
        and (not issue.devices or type_of(subject.device) in issue.devices)
        and (not issue.precisions or precision in issue.precisions)
        and in_range(torch.__version__, issue.torch)
        and not (issue.lacking and FEATURES[issue.lacking](precision))
        and (not issue.having or FEATURES[issue.having](precision))
    ]
