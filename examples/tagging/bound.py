"""What a training step of the tagger must give, with the bound on its rounding.

A step's loss is L = −(1/T) Σ_t log p_t(tag_t) of one sentence.  The reference takes the subject's
own weights w as exact and computes L in ball arithmetic: the radius bounds how far a correct
float64 implementation may be.

So each curve is bounded step by step, from its own weights.  Two curves are then within
r₁ + r₂ + |L(w₁) − L(w₂)| of one another at every step, where the last term is the reference's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from properties.comparison import Check, as_array
from reference.ball import Ball, exact
from reference.formats import PRECISIONS, Array
from reference.tagger import tag

from .data import Ids

P = PRECISIONS["float64"]
_EMBEDDING = "word_embeddings.weight"


def weights_of(tagger: nn.Module) -> dict[str, Array]:
    """A copy of the weights by name."""
    return {name: as_array(p).copy() for name, p in tagger.named_parameters()}


def _reciprocal(n: int, shape: tuple[int, ...] = ()) -> Ball:
    """1/n, rounded here and in the subject; dividing by n rounds no more than multiplying by it."""
    v = np.full(shape, 1.0 / n)
    return Ball(v, P, 2.0 * P.storage.u * v)


def expected_loss(weights: Mapping[str, Array], words: Ids, tags: Ids) -> Ball:
    """The mean loss () of a sentence, words (T,) and tags (T,), at the weights given."""
    H = weights["hidden2tag.weight"].shape[1]
    zero = exact(np.zeros((1, H)), P)
    y = tag(weights, exact(weights[_EMBEDDING][words], P), (zero, zero))
    return -(np.sum(y[np.arange(len(words)), tags]) * _reciprocal(len(words)))


@dataclass(frozen=True)
class Step:
    """One step of one subject: its loss, the reference's at the same weights, and the radius."""

    loss: float
    expected: float
    radius: float


class StepByStep:
    """Checks the losses of one subject's steps and keeps them; `check` counts.

    Raises `properties.comparison.Mismatch` where a loss exceeds its bound.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.check = Check()

    def __call__(self, weights: Mapping[str, Array], loss: float, words: Ids, tags: Ids) -> None:
        """The loss of one step, at the weights before it."""
        want = expected_loss(weights, words, tags)
        self.check.close(f"step {len(self.steps)}: loss", loss, want)
        self.steps.append(Step(loss, float(want.v), float(want.radius)))


def difference_bounds(one: list[Step], two: list[Step]) -> list[tuple[float, float]]:
    """|L₁ − L₂| of each step, and its bound r₁ + r₂ + |L(w₁) − L(w₂)|."""
    return [
        (abs(a.loss - b.loss), a.radius + b.radius + abs(a.expected - b.expected))
        for a, b in zip(one, two, strict=True)
    ]
