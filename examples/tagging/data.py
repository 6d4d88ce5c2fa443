"""Tagged sentences: reading, splitting, ids of words and tags, and the most frequent tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

#: The one symbol of every word that training has not seen; its id is 0.
UNKNOWN = "<unknown>"


class DataError(ValueError):
    """Data that cannot be used; the text names the file, the line and what is expected."""


@dataclass(frozen=True)
class Sentence:
    """Words and their tags, as many of one as of the other."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read(path: Path) -> list[Sentence]:
    """The sentences of a file: a word and its tag by tab, comments by #, blank lines between.

    Raises `DataError` where there is no such file, no sentence, or a line of another form.
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
    """Four fifths to train on and a fifth held out, by sentence, shuffled by a seed."""
    order = np.random.RandomState(seed).permutation(len(sentences))
    cut = min(max(1, len(sentences) * 4 // 5), len(sentences) - 1)
    return [sentences[k] for k in order[:cut]], [sentences[k] for k in order[cut:]]


def words_of(sentences: Iterable[Sentence]) -> int:
    """Number of words."""
    return sum(len(s.words) for s in sentences)


class Vocabulary:
    """Ids of the words and tags of the sentences to train on, in alphabetical order.

    `once` tells for each word id whether the word occurs once.
    """

    def __init__(self, train: Sequence[Sentence]) -> None:
        counts = Counter(w for s in train for w in s.words)
        self.words = {w: k for k, w in enumerate([UNKNOWN, *sorted(counts)])}
        self.tags = {t: k for k, t in enumerate(sorted({t for s in train for t in s.tags}))}
        self.once = np.array([counts[w] == 1 for w in self.words])

    def encode(self, sentence: Sentence) -> tuple[Ids, Ids]:
        """Word ids and tag ids (T,); a tag that training has not seen is −1."""
        words = [self.words.get(w, 0) for w in sentence.words]
        tags = [self.tags.get(t, -1) for t in sentence.tags]
        return np.array(words, dtype=np.int64), np.array(tags, dtype=np.int64)

    def veiled(self, ids: Ids, rate: float, rng: np.random.RandomState) -> Ids:
        """The ids with each word that occurs once made unknown at a rate.

        Else the unknown symbol would never be trained.
        """
        hidden = self.once[ids] & (rng.random_sample(len(ids)) < rate)
        return np.where(hidden, 0, ids)


def most_frequent_tags(train: Sequence[Sentence]) -> tuple[dict[str, str], str]:
    """Each word's most frequent tag, and that of the words which occur once, for unknown words.

    Of tags that are equally frequent the first in the alphabet is taken.
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
    """How many of the held-out words have their most frequent tag, of how many."""
    best, unknown = most_frequent_tags(train)
    pairs = [(w, t) for s in held_out for w, t in zip(s.words, s.tags, strict=True)]
    return sum(best.get(w, unknown) == t for w, t in pairs), len(pairs)
