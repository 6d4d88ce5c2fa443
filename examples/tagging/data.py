"""Tagged sentences: reading, splitting, ids of words and tags, and the most frequent tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

#: The symbol for every word that is not in the training sentences; its id is 0.
UNKNOWN = "<unknown>"


class DataError(ValueError):
    """Data that cannot be used; the message names the file, the line and what is expected."""


@dataclass(frozen=True)
class Sentence:
    """Words and their tags, one tag for each word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read(path: Path) -> list[Sentence]:
    """The sentences of a file: a line is a word, a tab and a tag; a blank line ends a sentence.

    Lines that start with "# " are comments.  Raises `DataError` if the file cannot be read as
    UTF-8, has fewer than 2 sentences, or has a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text: {error.reason}") from error
    sentences: list[Sentence] = []
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if pairs:
                words, tags = zip(*pairs, strict=True)
                sentences.append(Sentence(words, tags))
            pairs = []
        elif not line.startswith("# "):
            word, tab, tag = line.partition("\t")
            if not (word and tab and tag) or "\t" in tag:
                raise DataError(
                    f"{path}, line {number}: expected a word and a tag by tab, got {line!r}"
                )
            pairs.append((word, tag))
    if len(sentences) < 2:
        raise DataError(f"{path}: expected at least 2 sentences, got {len(sentences)}")
    return sentences


def split(sentences: Sequence[Sentence], seed: int) -> tuple[list[Sentence], list[Sentence]]:
    """Shuffle the sentences by a seed; return four fifths for training and one fifth held out."""
    order = np.random.RandomState(seed).permutation(len(sentences))
    cut = min(max(1, len(sentences) * 4 // 5), len(sentences) - 1)
    return [sentences[k] for k in order[:cut]], [sentences[k] for k in order[cut:]]


def words_of(sentences: Iterable[Sentence]) -> int:
    """Number of words."""
    return sum(len(s.words) for s in sentences)


class Vocabulary:
    """Ids of the words and tags of the training sentences, in alphabetical order.

    `once` is true for the id of each word that occurs once.
    """

    def __init__(self, train: Sequence[Sentence]) -> None:
        counts = Counter(w for s in train for w in s.words)
        self.words = {w: k for k, w in enumerate([UNKNOWN, *sorted(counts)])}
        self.tags = {t: k for k, t in enumerate(sorted({t for s in train for t in s.tags}))}
        self.once = np.array([counts[w] == 1 for w in self.words])

    def encode(self, sentence: Sentence) -> tuple[Ids, Ids]:
        """Word ids and tag ids (T,); a tag that is not in the training sentences has the id −1."""
        words = [self.words.get(w, 0) for w in sentence.words]
        tags = [self.tags.get(t, -1) for t in sentence.tags]
        return np.array(words, dtype=np.int64), np.array(tags, dtype=np.int64)

    def veiled(self, ids: Ids, rate: float, rng: np.random.RandomState) -> Ids:
        """The ids, where words that occur once become unknown with probability `rate`.

        Without this, the unknown symbol would never be trained.
        """
        hidden = self.once[ids] & (rng.random_sample(len(ids)) < rate)
        return np.where(hidden, 0, ids)


def most_frequent_tags(train: Sequence[Sentence]) -> tuple[dict[str, str], str]:
    """The most frequent tag of each word, and a tag for unknown words.

    The tag for unknown words is the most frequent one of the words that occur once, or of all words
    if none occurs once.  Of equally frequent tags, the first in the alphabet is taken.
    """
    by_word: dict[str, Counter[str]] = {}
    for s in train:
        for word, tag in zip(s.words, s.tags, strict=True):
            by_word.setdefault(word, Counter())[tag] += 1
    rare = Counter(t for c in by_word.values() if c.total() == 1 for t in c)
    every = Counter(t for s in train for t in s.tags)
    return {w: _first(c) for w, c in by_word.items()}, _first(rare or every)


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))


def most_frequent_tag_accuracy(
    train: Sequence[Sentence], held_out: Sequence[Sentence]
) -> tuple[int, int]:
    """How many of the held-out words have their most frequent tag, and how many words there are."""
    best, unknown = most_frequent_tags(train)
    pairs = [(w, t) for s in held_out for w, t in zip(s.words, s.tags, strict=True)]
    return sum(best.get(w, unknown) == t for w, t in pairs), len(pairs)
