"""Shapes of weights in the letters of their sizes, such as "4H I" for the weight_ih of an LSTM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TERM = re.compile(r"(\d*)([A-Za-z]?)")


@dataclass(frozen=True)
class Shape:
    """A shape with a sum of multiples of sizes in each dimension.

    `dimensions` has for each dimension its terms: (factor, letter), where the letter "" stands for
    a plain number.
    """

    text: str
    dimensions: tuple[tuple[tuple[int, str], ...], ...]

    @property
    def letters(self) -> set[str]:
        """The letters of the sizes that it uses."""
        return {letter for terms in self.dimensions for _, letter in terms if letter}

    def of(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape for given sizes, by their letters."""
        return tuple(
            sum(factor * (sizes[letter] if letter else 1) for factor, letter in terms)
            for terms in self.dimensions
        )

    def parts(self) -> int:
        """How many blocks of equal size it has: of H rows each, or of one row each."""
        terms = self.dimensions[0] if self.dimensions else ()
        return terms[0][0] if len(terms) == 1 and terms[0][1] in ("H", "") else 1

    def square(self) -> bool:
        """Whether each of its blocks has H rows and H columns."""
        if len(self.dimensions) != 2 or self.dimensions[1] != ((1, "H"),):
            return False
        return [letter for _, letter in self.dimensions[0]] == ["H"]

    def blocks(self) -> int:
        """How many blocks of H rows it has; 1 where its rows are no multiple of H."""
        terms = self.dimensions[0] if self.dimensions else ()
        return terms[0][0] if len(terms) == 1 and terms[0][1] == "H" else 1


def shape(text: str) -> Shape:
    """The shape that a text states: one word for each dimension, "4H", "I+H", "3" or "H".

    Raises `ValueError` for a word that is none of these.
    """
    return Shape(text, tuple(_terms(text, word) for word in text.split()))


def _terms(text: str, word: str) -> tuple[tuple[int, str], ...]:
    terms = []
    for part in word.split("+"):
        found = _TERM.fullmatch(part)
        if not part or found is None or part == "0":
            raise ValueError(
                f"shape {text!r}: {word!r} is no dimension; expected such as 4H, I, I+H or 3"
            )
        digits, letter = found.groups()
        terms.append((int(digits or 1), letter))
    return tuple(terms)
