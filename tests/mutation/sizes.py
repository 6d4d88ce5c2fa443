"""Mutants that are wrong where a size, or the product of two, is large, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .numerics import rows_clamped
from .registry import CELLS, CLASSES, LAYERS, mutant, weights


@mutant("bias-lost-past-65536", "sizes", "rocm-libraries 10551: no bias past 65,536 rows", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if x.numel() // x.shape[-1] <= 65536 or not self.bias:
                return super()._direction(x, state, suffix, sizes, reverse)
            bias = getattr(self, f"bias_ih{suffix}")
            with torch.no_grad():
                kept = bias.clone()
                bias.zero_()
            try:
                return super()._direction(x, state, suffix, sizes, reverse)
            finally:
                with torch.no_grad():
                    bias.copy_(kept)

    return Mutant


@mutant(
    "recursion-over-steps", "sizes", "pytorch 10121, 9621: a long sequence ends the stack", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            def walk(left: int) -> int:
                return walk(left - 1) + 1 if left else 0

            walk(len(x) if sizes is None else len(sizes))
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant


@mutant("index-of-steps-wraps", "sizes", "an index of 8 bits: step 256 reads step 0", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is None and len(x) > 256:
                x = x[torch.arange(len(x), device=x.device) % 256]
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant


@mutant("steps-past-2048-are-those-before", "sizes", "a table of 2,048 positions, clamped", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is None and len(x) > 2048:
                x = x[torch.arange(len(x), device=x.device).clamp(max=2047)]
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant


def _each(steps: int, name: str, models: str, change: Callable[[Tensor], Tensor]) -> None:
    """A layer whose states are changed before every step whose number is a multiple of `steps`."""

    @mutant(name, "sizes", models, LAYERS)
    def _(base: Any) -> type:
        class Mutant(base):
            _seen = 0

            def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
                self.__dict__["_seen"] = 0
                return super()._direction(x, state, suffix, sizes, reverse)

            def _step(self, x: Tensor, state: Any, weights: Any) -> Any:
                self.__dict__["_seen"] = self._seen + 1
                if self._seen % steps == 0:
                    state = tuple(change(s) for s in state)
                return super()._step(x, state, weights)

        return Mutant


_each(512, "state-lost-each-512-steps", "chunks of 512 steps, from zero", torch.zeros_like)
_each(200, "gradient-cut-each-200-steps", "truncated backpropagation, unasked", Tensor.detach)


rows_clamped("rows-past-1024-are-the-last", "sizes", "a grid of 1,024 rows, clamped", 1023)


@mutant("rows-past-65535-wrap", "sizes", "a CUDA grid's y of 65,535 blocks", CELLS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor) and input.dim() == 2 and len(input) > 65535:
                input = input[torch.arange(len(input), device=input.device) % 65535]
            return super().forward(input, hx)

    return Mutant


@mutant("packed-rows-past-512-unsorted", "sizes", "states sorted in one pass of 512 rows", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _packed(self, packed: Any, states: Any) -> Any:
            order = packed.sorted_indices
            if order is not None and len(order) > 512:
                order = torch.cat((order[:512], torch.arange(512, len(order), device=order.device)))
                order = order.clamp(max=len(order) - 1)
                packed = type(packed)(
                    packed.data, packed.batch_sizes, order, packed.unsorted_indices
                )
            return super()._packed(packed, states)

    return Mutant


@mutant("fourth-layer-takes-the-third-weights", "sizes", "layers past a table of three", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            digits = suffix.split("_")[1]
            suffix = suffix.replace(digits, f"l{min(int(digits[1:]), 2)}")
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant


def _cut(name: str, models: str, kind: str, past: int) -> None:
    """A weight whose last columns are not read where there are more than `past`."""

    @weights(name, models, CLASSES, "sizes")
    def _(own: str, w: Tensor, module: Any) -> Tensor:
        if not own.startswith(kind) or w.dim() < 2 or w.shape[-1] <= past:
            return w
        kept = torch.ones(w.shape[-1], dtype=w.dtype, device=w.device)
        kept[past:] = 0
        return w * kept


_cut("columns-past-512-not-read", "shared memory for 512 units of h", "weight_hh", 512)
_cut("input-past-1024-not-read", "a block of 1,024 threads over the input", "weight_ih", 1024)


@weights("gates-of-hidden-1024-shift", "another kernel from 1,024 units on", CLASSES, "sizes")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    if module.hidden_size < 1024 or not name.startswith("weight_ih"):
        return w
    return w.roll(1, dims=0)
