"""A tagger: embedding, one LSTM layer, linear layer and log softmax over tags.

E is the width of an embedding, H the hidden size, V the vocabulary, K the number of tags, T time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .concat_cells import linear
from .log_softmax import log_softmax
from .options import Options
from .parameters import weight_shapes
from .unroll import layer


def tagger_weight_shapes(E: int, H: int, V: int, K: int) -> dict[str, tuple[int, ...]]:
    """Name → shape of every weight, in order of registration."""
    lstm = weight_shapes(Options("LSTM", E, H))
    return {
        "word_embeddings.weight": (V, E),
        **{f"lstm.{name}": shape for name, shape in lstm.items()},
        "hidden2tag.weight": (K, H),
        "hidden2tag.bias": (K,),
    }


def lstm_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of the LSTM, named without the prefix `lstm.`."""
    return {n.removeprefix("lstm."): w for n, w in weights.items() if n.startswith("lstm.")}


def tag(weights: Mapping[str, Any], embedded: Any, state: tuple[Any, Any]) -> Any:
    """Log-probabilities (T, K) from the embedded words (T, E) and a state (h, c) of (1, H)."""
    E, H = embedded.shape[-1], state[0].shape[-1]
    hidden = layer(Options("LSTM", E, H), lstm_weights(weights), embedded, list(state)).output
    return log_softmax(linear(weights, "hidden2tag", hidden))
