"""Mutants that are right in every call and leave something behind after each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from .registry import CLASSES, LAYERS, mutant


def _h(results: Any) -> Tensor:
    """The first tensor of a call's results."""
    while not isinstance(results, Tensor):
        results = results[0]
    return results


@mutant("keeps-each-result", "memory", "pytorch 41486: every call leaks its output", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            results = super().forward(input, hx)
            self.__dict__.setdefault("_kept", []).append(_h(results).detach())
            return results

    return Mutant


@mutant("state-kept-with-its-graph", "memory", "the last state is kept undetached", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            results = super().forward(input, hx)
            h = _h(results)
            last = self.__dict__.get("_last", h.new_zeros(()))
            # The value is never used, but its graph holds the graph of every earlier call.
            self.__dict__["_last"] = h.sum() + 0 * last
            return results

    return Mutant


@mutant("cache-by-input", "memory", "a cache whose key is the tensor itself", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            self.__dict__.setdefault("_cache", {})[input] = True
            return super().forward(input, hx)

    return Mutant


@mutant("keeps-what-failed", "memory", "pytorch 33864: a call that raises leaks", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            try:
                return super().forward(input, hx)
            except Exception as error:
                self.__dict__.setdefault("_failed", []).append(error)
                raise

    return Mutant


@mutant("keeps-packed-input", "memory", "the lengths of each packed call stay in a list", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, PackedSequence):
                self.__dict__.setdefault("_lengths", []).append(input.batch_sizes.clone())
            return super().forward(input, hx)

    return Mutant


@mutant("a-hook-for-each-call", "memory", "each call adds a hook to each weight", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if torch.is_grad_enabled():
                for p in self.parameters():
                    if p.requires_grad:
                        p.register_hook(lambda g: None)
            return super().forward(input, hx)

    return Mutant


_GRADIENTS: list[Tensor] = []


class _Kept(torch.autograd.Function):
    """The identity; its gradients are kept for ever."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        _GRADIENTS.append(g.clone())
        return g


@mutant("keeps-each-gradient", "memory", "a backward pass puts its gradient in a list", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            results = super().forward(input, hx)
            if isinstance(results, Tensor):
                return _Kept.apply(results)
            first, rest = results
            if isinstance(first, PackedSequence):
                return results
            return _Kept.apply(first), rest

    return Mutant
