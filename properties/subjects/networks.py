"""Subjects that end in a log softmax: cells on [x, h], and the tagger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.reference.classes import CONCAT_CELLS, TAGGERS
from gatewise.reference.formats import Array

from ..cases.case import Case
from .protocol import Results, Subject, SubjectFault, called, named_tensors


@dataclass(frozen=True)
class ConcatSubject(Subject):
    """A cell on [x, h]: `factory(input_size, hidden_size, output_size)`.

    A cell with a cell state takes `cell_size` before `output_size`, and has a second state.
    """

    def arguments(self, case: Case) -> tuple[tuple[int, ...], dict[str, Any]]:
        """The sizes; there are no options."""
        cell = (case.hidden_size,) if "c" in self.states else ()
        return (case.input_size, case.hidden_size, *cell, case.output_size), {}

    def call(
        self, case: Case, module: nn.Module, x: Tensor, states: tuple[Tensor, ...] | None
    ) -> Results:
        """Call the module with its states as separate arguments."""
        returned = called(module, x, *(states or ()))
        names = ("output", *self.states)
        if not isinstance(returned, tuple) or len(returned) != len(names):
            raise SubjectFault(
                f"the result is a {type(returned).__name__}, expected a tuple of {len(names)}: "
                f"{', '.join(names)}"
            )
        return named_tensors(dict(zip(names, returned, strict=True)))


@dataclass(frozen=True)
class TaggerSubject(Subject):
    """A tagger: `factory(embedding_dim, hidden_dim, vocab_size, tagset_size)`."""

    def arguments(self, case: Case) -> tuple[tuple[int, ...], dict[str, Any]]:
        """The sizes; there are no options."""
        return (case.input_size, case.hidden_size, case.vocab_size, case.output_size), {}

    def input_tensor(self, values: Array, case: Case) -> Tensor:
        """Word ids (T,) as integers on the subject's device."""
        return torch.from_numpy(values.astype("int64")).to(self.device)

    def call(
        self, case: Case, module: nn.Module, x: Tensor, states: tuple[Tensor, ...] | None
    ) -> Results:
        """Call the module on word ids."""
        return named_tensors({"output": called(module, x)})


def subject(
    name: str, like: str, factory: Callable[..., nn.Module], device: str = "cpu"
) -> Subject:
    """The subject of a factory: a cell on [x, h], a tagger, or any other class, as `like` says."""
    own = ConcatSubject if like in CONCAT_CELLS else TaggerSubject if like in TAGGERS else Subject
    return own(name, like, factory, device)
