"""A part-of-speech tagger: embedding, LSTM, linear layer, log softmax over the tags."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from .arguments import check_size, check_tensor

try:
    from torch.compiler import is_compiling
except ImportError:  # torch before 2.1

    def is_compiling() -> bool:
        """Return False: this torch has no such function."""
        return False


INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def _has_values(x: Tensor) -> bool:
    """Whether a tensor's values can be read: not on meta, and not while a graph is recorded."""
    return not (x.is_meta or is_compiling())


class LSTMTagger(nn.Module):
    """Word ids (T,) of one sentence → log-probabilities (T, tagset_size).

    `lstm(embedding_dim, hidden_dim, device=, dtype=)` makes the recurrent layer: torch.nn.LSTM or
    any drop-in for it.  A sentence starts from a zero state.  With `carry_state` it starts from the
    last state of the sentence before, as in a tutorial's tagger: `hidden` keeps this state together
    with its graph.  Then a second `backward` fails until `detach` or `reset` is called.

    Parameters have the tutorial's names: word_embeddings.weight (V, E), lstm.* as torch.nn.LSTM's,
    hidden2tag.weight (K, H) and hidden2tag.bias (K,).  Raises `ValueError` or `TypeError` for
    sizes below 1, an empty sentence, ids that are not integers, and ids outside the vocabulary.
    In a compiled or exported tagger, the embedding raises for ids outside the vocabulary.
    """

    hidden: tuple[Tensor, Tensor] | None

    def __init__(
        self,
        embedding_dim: int,
        hidden_dim: int,
        vocab_size: int,
        tagset_size: int,
        lstm: Callable[..., nn.Module] = nn.LSTM,
        carry_state: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_size("embedding_dim", embedding_dim)
        check_size("hidden_dim", hidden_dim)
        check_size("vocab_size", vocab_size)
        check_size("tagset_size", tagset_size)
        self.vocab_size = vocab_size
        self.hidden_dim = hidden_dim
        self.carry_state = carry_state
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim, device=device, dtype=dtype)
        self.lstm = lstm(embedding_dim, hidden_dim, device=device, dtype=dtype)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size, device=device, dtype=dtype)
        self.hidden = None

    def reset(self) -> None:
        """Drop the state: the next sentence starts from zeros."""
        self.hidden = None

    def detach(self) -> None:
        """Keep the values of the state and drop its graph, so that `backward` can be called."""
        if self.hidden is not None:
            h, c = self.hidden
            self.hidden = (h.detach(), c.detach())

    def init_hidden(self) -> tuple[Tensor, Tensor]:
        """Zero states h and c, each (1, 1, hidden_dim), as (num_layers, batch, hidden_dim)."""
        zeros = self.hidden2tag.weight.new_zeros(1, 1, self.hidden_dim)
        return zeros, zeros.clone()

    def _ids(self, sentence: Tensor) -> Tensor:
        """The word ids as int64.  Raises `TypeError` or `ValueError` for anything else."""
        check_tensor("LSTMTagger: sentence", sentence)
        if sentence.dim() != 1 or sentence.numel() == 0:
            raise ValueError(
                f"LSTMTagger: sentence has shape {tuple(sentence.shape)}, "
                "expected (words,) with at least one word"
            )
        if sentence.dtype not in INTEGERS:
            raise TypeError(
                f"LSTMTagger: sentence has dtype {sentence.dtype}, expected integer word ids"
            )
        ids = sentence.long()  # before the comparison: int8 cannot hold a size above 127
        outside = (ids < 0) | (ids >= self.vocab_size)
        if _has_values(outside) and outside.any():
            place = int(outside.int().argmax())
            raise ValueError(
                f"LSTMTagger: word id {int(ids[place])} at position {place} is outside the "
                f"vocabulary, expected 0 to {self.vocab_size - 1}"
            )
        return ids

    def forward(self, sentence: Tensor) -> Tensor:
        """Log-probabilities of the tags of each word."""
        embedded = self.word_embeddings(self._ids(sentence)).unsqueeze(1)
        output, hidden = self.lstm(embedded, self.hidden if self.carry_state else None)
        self.hidden = hidden if self.carry_state else None
        return log_softmax(self.hidden2tag(output.squeeze(1)), dim=1)
