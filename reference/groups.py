"""Groups of rows of a table.  Each use looks the rows up again, so a group has new rows too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Group(Generic[Row]):
    """The names of those rows of `table` for which `belongs` is true; `name` is shown to users."""

    name: str
    table: Mapping[str, Row]
    belongs: Callable[[Row], bool]

    def __iter__(self) -> Iterator[str]:
        return (name for name, row in self.table.items() if self.belongs(row))

    def __contains__(self, name: object) -> bool:
        return name in self.table and self.belongs(self.table[str(name)])

    def __add__(self, other: Group[Row]) -> Group[Row]:
        name = f"{self.name}, {other.name}"
        return Group(name, self.table, lambda row: self.belongs(row) or other.belongs(row))

    def __repr__(self) -> str:
        return f"Group({self.name!r})"
