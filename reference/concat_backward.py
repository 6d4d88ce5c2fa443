"""Gradients of the cells on [x, h] and of the tagger, in reverse mode (`tape`).

I is the input size, H the hidden size, O the output size, B the batch, V the vocabulary, T time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import constant
from .concat_cells import step
from .tagger import tag
from .tape import gradients


def concat_backward(
    kind: str,
    weights: Mapping[str, Any],
    x: Any,
    state: tuple[Any, ...],
    upstream: Mapping[str, Any],
) -> dict[str, Any]:
    """Gradients of one step by name: input, h_0, c_0 of an LSTM, and every weight.

    Shapes are those of `concat_cells.step`.  `upstream` maps any of output, h and c to the
    derivative of the loss by it; a missing name means zero.
    """
    starts = dict(zip(("h_0", "c_0"), state, strict=False))
    results = ("output", "h", "c")[: 1 + len(state)]

    def function(a: Mapping[str, Any]) -> list[Any]:
        through = step(kind, {n: a[n] for n in weights}, a["input"], tuple(a[n] for n in starts))
        return [through[name] for name in results]

    inputs = {"input": x, **starts, **weights}
    return gradients(function, inputs, [upstream.get(name) for name in results])[1]


def tag_backward(
    weights: Mapping[str, Any], ids: npt.NDArray[np.int64], upstream: Mapping[str, Any]
) -> dict[str, Any]:
    """Gradients of a tagger's weights by name; ids (T,), upstream["output"] (T, O).

    The initial state is zero.  A word's row of the embedding gets the sum, in any order, of the
    adjoints at all positions of the word.  Rows of absent words are exactly zero.
    """
    H = weights["hidden2tag.weight"].shape[1]

    def function(a: Mapping[str, Any]) -> list[Any]:
        words = a["word_embeddings.weight"][ids]
        zero = constant(words, np.zeros((1, H)))
        return [tag(a, words, (zero, zero))]

    return gradients(function, weights, [upstream.get("output")])[1]
