"""Groups of the rows of a table, looked up at each use: a row that is added is in its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Group(Generic[Row]):
    """The names of the rows of `table` that belong; `name` is what a person reads of them."""

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
