"""Mutants: named wrong subjects, each with the real fault that it models.

A mutant is a class with torch.nn's constructor and parameters.  Most are subclasses of this
project's own layers and cells with one method overridden, so that all else stays right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatewise import impl

if TYPE_CHECKING:
    from gatewise.properties.subjects.protocol import Subject

CELLS = ("RNNCell", "LSTMCell", "GRUCell")
LAYERS = ("RNN", "LSTM", "GRU")
LSTMS = ("LSTM", "LSTMCell")
CLASSES = (*CELLS, *LAYERS)

#: Classes of faults, in the order of a report.
FAULT_CLASSES = (
    "gate math",
    "weights",
    "states",
    "directions",
    "packing",
    "tile edges",
    "sizes",
    "precision",
    "gradients",
    "dropout",
    "memory",
    "special values",
    "parameters",
    "errors",
    "modes",
    "paths",
    "compilation",
)


@dataclass(frozen=True)
class Mutant:
    """A wrong subject.  `models` names the real fault; `explained` says why one survives."""

    name: str
    like: str
    factory: Callable[..., nn.Module]
    fault_class: str
    models: str
    explained: str = ""

    @property
    def subject(self) -> Subject:
        """What the properties are put to."""
        # Here, so that a script of a failing case finds a mutant where Hypothesis is not installed.
        from .subjects import Named

        return Named(f"mutant.{self.name}", self.like, self.factory)


MUTANTS: dict[str, Mutant] = {}


def register(
    name: str, like: str, factory: Any, fault_class: str, models: str, explained: str = ""
) -> None:
    """Add a mutant; raises `ValueError` for a name that is taken or an unknown class of faults."""
    full = f"{like}-{name}"
    if full in MUTANTS or fault_class not in FAULT_CLASSES:
        raise ValueError(f"mutant {full} of class {fault_class!r}: taken, or no such class")
    MUTANTS[full] = Mutant(full, like, factory, fault_class, models, explained)


def mutant(
    name: str, fault_class: str, models: str, classes: Iterable[str] = CLASSES
) -> Callable[[Callable[[type], type]], Callable[[type], type]]:
    """Register what `make(base)` returns for this project's class of each name.

    `make` is a function from a base class, `impl.LSTM` say, to a subclass with one fault.
    """

    def add(make: Callable[[type], type]) -> Callable[[type], type]:
        for like in classes:
            register(name, like, make(getattr(impl, like)), fault_class, models)
        return make

    return add


Step = Callable[[str, Any, Tensor, tuple[Tensor, ...], str], tuple[Tensor, ...]]


def stepping(step: Step, classes: Iterable[str]) -> Iterable[tuple[str, type]]:
    """Subclasses whose step is `step(kind, module, x_share, state, suffix)`; cells and layers.

    `kind` is RNN, LSTM or GRU; weights are the module's by name and suffix, '' of a cell.
    """
    for like in classes:
        base, kind = getattr(impl, like), like.removesuffix("Cell")
        own = {"_step": _layer_step(kind, step)}
        if like in CELLS:
            own = {"forward": _cell_forward(kind, step)}
        yield like, type(f"Mutant{like}", (base,), own)


def _cell_forward(kind: str, step: Step) -> Callable[..., Any]:
    def forward(self: Any, input: Tensor, hx: Any = None) -> Any:
        getattr(impl, f"{kind}Cell").forward(self, input, hx)  # its checks of the arguments
        if hx is None:
            zero = input.new_zeros(*input.shape[:-1], self.hidden_size)
            hx = (zero, zero) if kind == "LSTM" else zero
        x = nn.functional.linear(input, self.weight_ih, self.bias_ih)
        new = step(kind, self, x, tuple(hx) if kind == "LSTM" else (hx,), "")
        return new if kind == "LSTM" else new[0]

    return forward


class _View:
    """A layer whose weights are those of one layer and direction, without a suffix."""

    def __init__(self, module: nn.Module, weights: dict[str, Tensor]) -> None:
        self._module = module
        self.__dict__.update(weights)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("weight_", "bias_")):  # one that this layer was made without
            raise AttributeError(name)
        return getattr(self._module, name)


def _layer_step(kind: str, step: Step) -> Callable[..., Any]:
    def _step(self: Any, x: Tensor, state: tuple[Tensor, ...], weights: dict[str, Tensor]) -> Any:
        return step(kind, _View(self, weights), x, state, "")

    return _step


def steps(name: str, models: str, classes: Iterable[str]) -> Callable[[Step], Step]:
    """Register a wrong step, of the class gate math, for each class of torch.nn."""

    def add(step: Step) -> Step:
        for like, factory in stepping(step, classes):
            register(name, like, factory, "gate math", models)
        return step

    return add


def recurrent(module: Any, h: Tensor, suffix: str) -> Tensor:
    """W_hh h + b_hh of a module."""
    bias = getattr(module, f"bias_hh{suffix}", None)
    return nn.functional.linear(h, getattr(module, f"weight_hh{suffix}"), bias)


def projected(module: Any, h: Tensor, suffix: str) -> Tensor:
    """W_hr h where there is a projection, else h."""
    w_hr = getattr(module, f"weight_hr{suffix}", None)
    return h if w_hr is None else nn.functional.linear(h, w_hr)


def held(module: Any) -> dict[str, Tensor]:
    """The weights of a layer or cell by attribute: a parametrized one is no parameter."""
    cell = [("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    names = [n for group in getattr(module, "_all_names", cell) for n in group]
    return {n: w for n in names if (w := getattr(module, n, None)) is not None}


def reweighted(
    like: str, change: Callable[[str, Tensor, Any], Tensor], name: str = "forward"
) -> type:
    """A subclass of this project's class that calls it with `change(name, weight, module)`.

    The parameters stay what they were: only what is computed with them is wrong.
    """
    base = getattr(impl, like)

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        changed = {n: change(n, w, self) for n, w in held(self).items()}
        plain = object.__new__(base)
        plain.__dict__ = {**self.__dict__, "_parameters": {**self._parameters, **changed}}
        return base.forward(plain, input, hx)

    return type(f"Reweighted{like}", (base,), {"forward": forward})


def weights(
    name: str, models: str, classes: Iterable[str] = CLASSES, fault_class: str = "weights"
) -> Callable[[Callable[[str, Tensor, Any], Tensor]], Callable[[str, Tensor, Any], Tensor]]:
    """Register a change of the weights that a call computes with, for each class of torch.nn."""

    def add(change: Callable[[str, Tensor, Any], Tensor]) -> Any:
        for like in classes:
            register(name, like, reweighted(like, change), fault_class, models)
        return change

    return add


def blocks(w: Tensor, order: str, own: str) -> Tensor:
    """Gate blocks of a weight held in the order `own`, put in the order `order`."""
    parts = dict(zip(own, torch.chunk(w, len(own)), strict=True))
    return torch.cat([parts[g] for g in order])
