"""What a compiler is given: a call with its arguments, also flat, and the call after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ...cases.case import Case
from ...subjects.protocol import Results, Subject


class Recorder(nn.Module):
    """Calls a module, and keeps the arguments that it received and what it returned."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.args: tuple[Any, ...] = ()
        self.returned: Any = None

    def forward(self, *args: Any) -> Any:
        self.args = args
        self.returned = self.module(*args)
        return self.returned


def recorded(subject: Subject, case: Case, module: nn.Module) -> tuple[Recorder, Results]:
    """A call of a module by a case, recorded, and its results by name."""
    recorder = Recorder(module)
    with torch.no_grad():
        results = subject.call(case, recorder, *subject.given(case))
    return recorder, results


def flat(value: Any) -> list[Tensor]:
    """The tensors of arguments or of what a module returns, in order."""
    if value is None:
        return []
    return [value] if isinstance(value, Tensor) else [t for part in value for t in flat(part)]


class Form:
    """How tensors are nested in arguments or in what a module returns."""

    def __init__(self, value: Any) -> None:
        self._kind: Any = type(value)
        self._parts = None
        if value is not None and not isinstance(value, Tensor):
            self._parts = [Form(part) for part in value]

    def filled(self, tensors: Iterator[Tensor]) -> Any:
        """The same nesting of other tensors."""
        if self._parts is None:
            return None if self._kind is type(None) else next(tensors)
        parts = [part.filled(tensors) for part in self._parts]
        return PackedSequence(*parts) if self._kind is PackedSequence else tuple(parts)


class Flat(nn.Module):
    """Calls a module of nested arguments with their tensors, and returns the tensors alone."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        super().__init__()
        self.module = module
        self.form = Form(args)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(flat(self.module(*self.form.filled(iter(tensors)))))


class Nested(nn.Module):
    """Calls a graph of flat tensors as the module is called, and returns what the module returns.

    With `gaps` the graph also takes the parts of the arguments that are None.
    """

    def __init__(self, graph: Any, returned: Any, *, gaps: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self.form = Form(returned)
        self.gaps = gaps

    def forward(self, *args: Any) -> Any:
        given = _with_gaps(args) if self.gaps else flat(args)
        return self.form.filled(iter(flat(self.graph(*given))))


def _with_gaps(value: Any) -> list[Tensor | None]:
    if value is None or isinstance(value, Tensor):
        return [value]
    return [t for part in value for t in _with_gaps(part)]


def unseen(case: Case) -> Case:
    """The same call with other inputs, states and, where the input is packed, other lengths.

    It has other weights too, but a claim may keep those of `case`.
    """
    other = case.but(seed=case.seed ^ 1)
    if case.lengths is None:
        return other
    longest = case.lengths.index(max(case.lengths))
    lengths = [n - 1 if n > 1 else min(2, case.time) for n in case.lengths]
    lengths[longest] = case.time
    if case.enforce_sorted:  # where the first lengths are sorted, a graph is not given an order
        lengths.sort(reverse=True)
    return other.but(lengths=tuple(lengths))
