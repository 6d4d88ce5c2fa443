"""Mutants whose gradient is right for ordinary upstream gradients, and wrong for others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise import impl

from .gate_math import GRUS, LSTMS, RNNS, State, gru, lstm
from .registry import CELLS, CLASSES, LAYERS, projected, recurrent, register, stepping

Grads = tuple[Tensor | None, ...]


class _Changed(torch.autograd.Function):
    """Copies of tensors, whose gradients pass through a function."""

    @staticmethod
    def forward(ctx: Any, change: Callable[..., Grads], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.change = change
        ctx.set_materialize_grads(False)
        return tuple(t.clone() for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return None, *ctx.change(*grads)


def changed_results(base: type, change: Callable[..., Grads]) -> type:
    """A subclass, the gradients of whose results pass through `change` before all else."""
    cell, lstm = base.__name__ in CELLS, base.__name__.startswith("LSTM")

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        result = base.forward(self, input, hx)
        if cell:
            found = _Changed.apply(change, *(result if lstm else (result,)))
            return found if lstm else found[0]
        output, state = result
        packed = isinstance(output, PackedSequence)
        data = output.data if packed else output
        data, *states = _Changed.apply(change, data, *(state if lstm else (state,)))
        output = output._replace(data=data) if packed else data
        return output, tuple(states) if lstm else states[0]

    return type(f"Changed{base.__name__}", (base,), {"forward": forward})


def upstream(
    name: str, models: str, classes: Iterable[str] = CLASSES
) -> Callable[[Callable[..., Grads]], Callable[..., Grads]]:
    """Register a change of the upstream gradients, None where there is none."""

    def add(change: Callable[..., Grads]) -> Callable[..., Grads]:
        for like in classes:
            factory = changed_results(getattr(impl, like), change)
            register(name, like, factory, "gradients", models)
        return change

    return add


def _each(change: Callable[[Tensor], Tensor], grads: Grads) -> Grads:
    return tuple(None if g is None else change(g) for g in grads)


@upstream("upstream-clipped-by-norm", "lm-engine PR 505: the norm is cut at 1000", LAYERS)
def _(*grads: Tensor | None) -> Grads:
    return _each(lambda g: g * (1000 / g.norm().clamp(min=1000)), grads)


@upstream("tiny-upstream-flushed", "a gradient below 1e-12 is taken for zero", (*LSTMS, *GRUS))
def _(*grads: Tensor | None) -> Grads:
    return _each(lambda g: torch.where(g.abs() < 1e-12, torch.zeros_like(g), g), grads)


@upstream("upstream-divided-by-its-size-plus-epsilon", "normalised with an epsilon", RNNS)
def _(*grads: Tensor | None) -> Grads:
    return _each(lambda g: g * (g.abs() / (g.abs() + 1e-18)), grads)


@upstream("zero-upstream-ends-the-pass", "an early return where one gradient is zero", LAYERS)
def _(*grads: Tensor | None) -> Grads:
    if any(g is not None and not g.any() for g in grads):
        return tuple(None for _ in grads)
    return grads


@upstream("cell-gradient-dropped-beside-zero", "dc is read only where dh is not zero", LSTMS)
def _(*grads: Tensor | None) -> Grads:
    *others, c = grads
    quiet = all(g is not None and not g.any() for g in others)
    return (*others, None if quiet else c)


@upstream("sum-taken-for-a-mean", "a shortcut for an upstream gradient of ones", GRUS)
def _(*grads: Tensor | None) -> Grads:
    def mean(g: Tensor) -> Tensor:
        return g / g.numel() if g.numel() and bool((g == 1).all()) else g

    return _each(mean, grads)


def _clipped(g: Tensor | None) -> tuple[Tensor | None]:
    return (None if g is None else g.clamp(-100, 100),)


def _state_clipped(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    (h,) = _Changed.apply(_clipped, state[0])
    if kind == "LSTM":
        return lstm(module, x, (h, state[1]), suffix)
    if kind == "GRU":
        return gru(module, x, (h,), suffix)
    a = x + recurrent(module, h, suffix)
    return (projected(module, getattr(torch, module.nonlinearity)(a), suffix),)


for _like, _factory in stepping(_state_clipped, CLASSES):
    _models = "Lasagne 401: grad_clipping at 100 in every step"
    register("state-gradient-clipped", _like, _factory, "gradients", _models)
