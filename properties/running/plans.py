"""Plans: which property runs on which subject, on which device, in which precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..devices import row_of
from ..families.catalogue import CATALOGUE
from ..families.property import Property
from ..precisions import OFFERED, PLAIN, WIDE
from ..subjects.capabilities import check_names
from ..subjects.loading import as_subject
from ..subjects.protocol import Subject
from .records import Record


@dataclass(frozen=True)
class Plan:
    """One property on one subject in one precision."""

    prop: Property
    subject: Subject
    precision: str

    @property
    def id(self) -> str:
        """Reads well and filters well: `torch.nn.LSTM-cpu-float32-time_split`."""
        s = self.subject
        return f"{s.name}-{s.device}-{self.precision}-{self.prop.name}"

    def record(self, status: str, seed: int) -> Record:
        """A record of this plan that has a status and nothing else."""
        s, p = self.subject, self.prop
        return Record(
            s.name, s.device, self.precision, p.name, p.family, status, seed, level=p.level
        )

    @property
    def has_edges(self) -> bool:
        """Whether cases follow the drawn ones: at the edges, or of a sweep."""
        return self.prop.edges or self.prop.sweep

    @property
    def isolated(self) -> bool:
        """Whether its cases are put in a process of their own."""
        return self.prop.isolated or not self.subject.trusted


def plans(
    subjects: Iterable[Subject],
    devices: Iterable[str] = ("cpu",),
    precisions: Iterable[str] = PLAIN,
) -> Iterator[Plan]:
    """Every property that is claimed of each subject, on each device, in each precision.

    Precisions are innermost, so that a fault of a late family waits for no precision of another.
    """
    devices, precisions = list(devices), list(precisions)
    for subject in subjects:
        for device in devices:
            had = row_of(device).precisions()
            for prop in CATALOGUE.values():
                if prop.claimed_of(subject.like, device) and prop.about(subject):
                    for precision in precisions:
                        if precision in prop.precisions and precision in had:
                            yield Plan(prop, subject.on(device), precision)


def subject_of(target: Any, like: str | None = None) -> Subject:
    """`as_subject`, and a check of the names that the subject states as not offered.

    Raises `SubjectError`, one line, where one of them is neither a capability nor the name of a
    property or of a family.
    """
    found = as_subject(target, like)
    claims = {n for p in CATALOGUE.values() for n in (p.name, p.family)}
    check_names(found.name, found.unsupported, claims)
    return found


def chosen(
    subjects: Iterable[Any],
    like: str | None = None,
    properties: Iterable[str] | None = None,
    precisions: Iterable[str] = WIDE,
) -> list[Plan]:
    """The plans of subjects, for all properties or those named; raises as `check_conformance`."""
    wanted = set(CATALOGUE) if properties is None else set(properties)
    unknown = sorted(wanted - set(CATALOGUE))
    if unknown:
        raise ValueError(f"property {unknown[0]!r} is not one of {', '.join(CATALOGUE)}")
    precisions = list(precisions)
    for precision in precisions:
        if precision not in OFFERED:
            raise ValueError(f"precision {precision!r} is not one of {', '.join(OFFERED)}")
    found = [subject_of(subject, like) for subject in subjects]
    return [
        plan
        for subject in found
        for plan in plans([subject], [subject.device], precisions)
        if plan.prop.name in wanted
    ]
