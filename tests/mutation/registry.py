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
KINDS = (*CELLS, *LAYERS)

#: Families of faults, in the order of a report.
FAMILIES = (
    "gate math",
    "weights",
    "states",
    "directions",
    "packing",
    "tile edges",
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
    kind: str
    factory: Callable[..., nn.Module]
    family: str
    models: str
    explained: str = ""

    @property
    def subject(self) -> Subject:
        """What the properties are put to."""
        # Here, so that a script of a failing case finds a mutant where Hypothesis is not installed.
        from .subjects import Named

        return Named(f"mutant.{self.name}", self.kind, self.factory)


MUTANTS: dict[str, Mutant] = {}


def register(
    name: str, kind: str, factory: Any, family: str, models: str, explained: str = ""
) -> None:
    """Add a mutant; raises `ValueError` for a name that is taken or a family that is not."""
    full = f"{kind}-{name}"
    if full in MUTANTS or family not in FAMILIES:
        raise ValueError(f"mutant {full} of family {family!r}: taken, or no such family")
    MUTANTS[full] = Mutant(full, kind, factory, family, models, explained)


def mutant(
    name: str, family: str, models: str, kinds: Iterable[str] = KINDS
) -> Callable[[Callable[[type], type]], Callable[[type], type]]:
    """Register what `make(base)` returns for this project's class of each kind.

    `make` is a function from a base class, `impl.LSTM` say, to a subclass with one fault.
    """

    def add(make: Callable[[type], type]) -> Callable[[type], type]:
        for kind in kinds:
            register(name, kind, make(getattr(impl, kind)), family, models)
        return make

    return add


Step = Callable[[str, Any, Tensor, tuple[Tensor, ...], str], tuple[Tensor, ...]]


def stepping(step: Step, kinds: Iterable[str]) -> Iterable[tuple[str, type]]:
    """Subclasses whose step is `step(kind, module, x_share, state, suffix)`; cells and layers.

    `kind` is RNN, LSTM or GRU; weights are the module's by name and suffix, '' of a cell.
    """
    for kind in kinds:
        base, family = getattr(impl, kind), kind.removesuffix("Cell")
        if kind.endswith("Cell"):
            yield kind, type(f"Mutant{kind}", (base,), {"forward": _cell_forward(family, step)})
        else:
            yield kind, type(f"Mutant{kind}", (base,), {"_step": _layer_step(family, step)})


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


def steps(name: str, models: str, kinds: Iterable[str]) -> Callable[[Step], Step]:
    """Register a wrong step of the family of gate math, for each kind."""

    def add(step: Step) -> Step:
        for kind, factory in stepping(step, kinds):
            register(name, kind, factory, "gate math", models)
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
    kind: str, change: Callable[[str, Tensor, Any], Tensor], name: str = "forward"
) -> type:
    """A subclass of this project's class that calls it with `change(name, weight, module)`.

    The parameters stay what they were: only what is computed with them is wrong.
    """
    base = getattr(impl, kind)

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        changed = {n: change(n, w, self) for n, w in held(self).items()}
        plain = object.__new__(base)
        plain.__dict__ = {**self.__dict__, "_parameters": {**self._parameters, **changed}}
        return base.forward(plain, input, hx)

    return type(f"Reweighted{kind}", (base,), {"forward": forward})


def weights(
    name: str, models: str, kinds: Iterable[str] = KINDS, family: str = "weights"
) -> Callable[[Callable[[str, Tensor, Any], Tensor]], Callable[[str, Tensor, Any], Tensor]]:
    """Register a change of the weights that a call computes with, for each kind."""

    def add(change: Callable[[str, Tensor, Any], Tensor]) -> Any:
        for kind in kinds:
            register(name, kind, reweighted(kind, change), family, models)
        return change

    return add


def blocks(w: Tensor, order: str, own: str) -> Tensor:
    """Gate blocks of a weight held in the order `own`, put in the order `order`."""
    parts = dict(zip(own, torch.chunk(w, len(own)), strict=True))
    return torch.cat([parts[g] for g in order])
