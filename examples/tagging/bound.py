"""The expected result of a training step of the tagger, with a bound on its rounding errors.

A step computes the loss L = −(1/T) Σ_t log p_t(tag_t) of one sentence, its gradient, and the new
weights w' = w − η ∂L/∂w.  The reference takes the subject's own weights w as exact.  It computes L,
∂L/∂w (in reverse mode) and w', all in ball arithmetic.  The radius bounds the
error of a correct float64 implementation: of the loss at w, and of the weights after one step
from w.

So each curve is bounded step by step, from its own weights.  By induction it is the curve of
gradient descent up to such roundings.  At every step two curves differ by at most
r₁ + r₂ + |L(w₁) − L(w₂)|, where the last term is the reference's.  A ball that is carried from the
first weights through all steps would not need this term.  But a ball forgets that the errors of
one weight's several uses are the same error.  It would grow some 10⁵-fold a step, and bound
nothing after two steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from gatewise.properties.cases.arrays import as_array
from gatewise.properties.checking.comparison import Check
from gatewise.reference.ball import Ball, exact
from gatewise.reference.concat_backward import tag_backward
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.tagger import tag

from .data import Ids

P = PRECISIONS["float64"]
_EMBEDDING = "word_embeddings.weight"


def weights_of(tagger: nn.Module) -> dict[str, Array]:
    """A copy of the weights by name."""
    return {name: as_array(p).copy() for name, p in tagger.named_parameters()}


def _reciprocal(n: int, shape: tuple[int, ...] = ()) -> Ball:
    """1/n, rounded here and in the subject.  A division by n rounds no more than this product."""
    v = np.full(shape, 1.0 / n)
    return Ball(v, P, 2.0 * P.storage.u * v)


def expected_loss(weights: Mapping[str, Array], words: Ids, tags: Ids) -> Ball:
    """The mean loss, of shape (), of a sentence with words (T,) and tags (T,), at the weights."""
    H = weights["hidden2tag.weight"].shape[1]
    zero = exact(np.zeros((1, H)), P)
    y = tag(weights, exact(weights[_EMBEDDING][words], P), (zero, zero))
    return -(np.sum(y[np.arange(len(words)), tags]) * _reciprocal(len(words)))


def expected_weights(
    weights: Mapping[str, Array], words: Ids, tags: Ids, rate: float
) -> dict[str, Ball]:
    """The weights by name after one step of gradient descent with learning rate `rate`."""
    K = weights["hidden2tag.bias"].shape[0]
    chosen = np.arange(K) == tags[:, None]
    upstream = np.where(chosen, -_reciprocal(len(words), chosen.shape), 0.0)
    embedding = exact(weights[_EMBEDDING], P)
    gradients = tag_backward({**weights, _EMBEDDING: embedding}, words, {"output": upstream})
    return {name: exact(w, P) - gradients[name] * rate for name, w in weights.items()}


@dataclass(frozen=True)
class Step:
    """One step of one subject: its loss, the reference's at the same weights, and the radius."""

    loss: float
    expected: float
    radius: float


class StepByStep:
    """Checks the training steps of one subject and keeps them.

    `check` counts the comparisons of losses, `weights` those of new weights.  Raises
    `properties.checking.comparison.Mismatch` if a loss or a new weight exceeds its bound.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.check, self.weights = Check(), Check()

    def __call__(
        self,
        before: Mapping[str, Array],
        after: Mapping[str, Array],
        loss: float,
        words: Ids,
        tags: Ids,
        rate: float,
    ) -> None:
        """Check one step, given the weights before and after it."""
        turn, want = len(self.steps), expected_loss(before, words, tags)
        self.check.close(f"step {turn}: loss", loss, want)
        for name, ball in expected_weights(before, words, tags, rate).items():
            self.weights.close(f"step {turn}: new {name}", after[name], ball)
        self.steps.append(Step(loss, float(want.v), float(want.radius)))


def difference_bounds(one: list[Step], two: list[Step]) -> list[tuple[float, float]]:
    """|L₁ − L₂| of each step, and its bound r₁ + r₂ + |L(w₁) − L(w₂)|."""
    return [
        (abs(a.loss - b.loss), a.radius + b.radius + abs(a.expected - b.expected))
        for a, b in zip(one, two, strict=True)
    ]
