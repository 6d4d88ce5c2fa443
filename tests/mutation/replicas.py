"""Mutants that are right when called as they were made, by position, on their own weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .compiled import reweighed
from .registry import CLASSES, LAYERS, held, mutant


@mutant("state-by-keyword-ignored", "modes", "a forward(*args, **kwargs) that reads args", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            given = args or (kwargs["input"],)
            return super().forward(*given[:2])

    return Mutant


@mutant("kind-by-the-name-of-the-class", "modes", "a subclass starts from zeros", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            return super().forward(input, hx if type(self).__name__ == "Mutant" else None)

    return Mutant


@mutant("only-its-own-class", "modes", "a fast path for type(self) is the class alone", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if type(self) is not Mutant:
                input = input if not isinstance(input, Tensor) else input * 1.001
            return super().forward(input, hx)

    return Mutant


@mutant("forward-overridden", "modes", "a fast path for a forward that nobody overrides", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            own = type(self).forward is Mutant.forward
            return super().forward(input, hx if own else None)

    return Mutant


def _first_member(w: Tensor) -> Tensor:
    """A weight; of the weights that vmap stacks, the first."""
    functorch = torch._C._functorch
    if not functorch.is_batchedtensor(w):
        return w
    return functorch.get_unwrapped(w).select(functorch.maybe_get_bdim(w), 0)


@mutant("ensemble-of-one", "modes", "a kernel that reads the memory of stacked weights", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            first = {name: _first_member(w) for name, w in held(self).items()}
            if all(first[name] is w for name, w in held(self).items()):
                return super().forward(input, hx)
            return reweighed(base, self, first, input, hx)

    return Mutant


@mutant("replica-shares-the-list", "modes", "pytorch 33081: replicas share one list", LAYERS)
def _(base: Any) -> type:
    """The list of weights follows each assignment; a replica has the same list, not a copy."""

    class Mutant(base):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name.startswith(("weight_", "bias_")) and "_is_replica" in self.__dict__:
                self.__dict__.setdefault("_assigned", {})[name] = value

        def _replicate_for_data_parallel(self) -> Any:
            self.__dict__.setdefault("_assigned", {})
            return super()._replicate_for_data_parallel()

        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            assigned, own = self.__dict__.get("_assigned", {}), self
            if assigned and "_is_replica" not in self.__dict__:
                own = base._replicate_for_data_parallel(self)
                for name, value in assigned.items():
                    setattr(own, name, value)
            return base._direction(own, x, state, suffix, sizes, reverse)

    return Mutant


@mutant("replica-reads-the-original", "modes", "pytorch 33238: a replica is the original", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def _replicate_for_data_parallel(self) -> Any:
            replica = super()._replicate_for_data_parallel()
            replica.__dict__["_original"] = self
            return replica

        def forward(self, input: Any, hx: Any = None) -> Any:
            original = self.__dict__.get("_original")
            return base.forward(original if original is not None else self, input, hx)

    return Mutant


@mutant("weights-by-parameters", "modes", "huggingface: StopIteration in a replica", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            next(self.parameters())
            return super().forward(input, hx)

    return Mutant


@mutant("copy-by-sizes-alone", "modes", "a __copy__ that makes a module of the same sizes", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def __copy__(self) -> Any:
            return type(self)(self.input_size, self.hidden_size)

    return Mutant


@mutant("reset-is-not-seen", "modes", "new Parameters at a second reset, and the old ones used")
def _(base: Any) -> type:
    """The weights that the first call met are kept by name; a load writes into them in place."""

    class Mutant(base):
        def reset_parameters(self) -> None:
            names = [n for n, _ in self.named_parameters()] if "_used" in self.__dict__ else []
            if names:
                for name in names:
                    self._parameters[name] = nn.Parameter(getattr(self, name).detach().clone())
            super().reset_parameters()
            self.__dict__.setdefault("_used", {})

        def forward(self, input: Any, hx: Any = None) -> Any:
            used = self.__dict__["_used"]
            plain = object.__new__(type(self))
            own = {n: p for n, p in self._parameters.items() if p is not None}
            if used and all(used[n].shape == p.shape for n, p in own.items() if n in used):
                reset = [n for n in own if n in used and used[n] is not own[n]]
                if reset and len(reset) == len(own):
                    plain.__dict__ = {**self.__dict__, "_parameters": {**self._parameters, **used}}
                    return base.forward(plain, input, hx)
            used.update(own)
            return super().forward(input, hx)

    return Mutant


@mutant("reset-leaves-its-copies", "modes", "copies renewed by a load, and not by a reset")
def _(base: Any) -> type:
    class Mutant(base):
        def reset_parameters(self) -> None:
            old = {n: w.detach().clone() for n, w in held(self).items()}
            super().reset_parameters()
            if "made" in self.__dict__:
                new = {n: w.detach().clone() for n, w in held(self).items()}
                self.__dict__["reset"] = old, new
            self.__dict__["made"] = True

        def forward(self, input: Any, hx: Any = None) -> Any:
            old, new = self.__dict__.get("reset", ({}, {}))
            own = held(self)
            if not old or not all(torch.equal(w, own[n]) for n, w in new.items()):
                return super().forward(input, hx)
            return reweighed(base, self, old, input, hx)

    return Mutant
