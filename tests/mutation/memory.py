"""Mutants that write to, keep or share memory, or that read a layout wrongly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .registry import LAYERS, mutant


def first(hx: Any) -> Any:
    """h of a state."""
    return hx[0] if isinstance(hx, tuple) else hx


@mutant("input-written", "memory", "a kernel that scales its input in place and back")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if isinstance(input, Tensor) and not input.requires_grad and input.numel():
                with torch.no_grad():
                    input.view(-1)[0:1].add_(1) if input.is_contiguous() else None
            return result

    return Mutant


@mutant("state-updated-in-place", "memory", "keras 23462: a state updated in place")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            state = first(hx)
            if state is not None and not state.requires_grad and state.is_contiguous():
                with torch.no_grad():
                    state.mul_(0.5)
            return result

    return Mutant


@mutant("weight-normalised-in-place", "memory", "a weight clipped in every call")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            with torch.no_grad():
                for name, p in self.named_parameters():
                    if name.startswith("weight_hh"):
                        p.clamp_(-0.5, 0.5)
            return result

    return Mutant


@mutant("state-is-a-view-of-the-output", "memory", "h_n shares the output's memory", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            plain = (
                isinstance(output, Tensor)
                and output.dim() == 3
                and not self.batch_first
                and not self.bidirectional
                and self.num_layers == 1
            )
            if plain:
                view = output[-1:]
                state = (view, state[1]) if isinstance(state, tuple) else view
            return output, state

    return Mutant


@mutant("state-returned-as-given", "memory", "the returned state is the given one, overwritten")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            given = first(hx)
            if given is None or torch.is_grad_enabled() or not given.is_contiguous():
                return result
            cell = base.__name__.endswith("Cell")
            state = result if cell else result[1]
            given.copy_(first(state))
            state = (given, state[1]) if isinstance(state, tuple) else given
            return state if cell else (result[0], state)

    return Mutant


@mutant("strides-of-the-state-ignored", "memory", "torch 619: a state read as if contiguous")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            def read(s: Tensor) -> Tensor:
                if s.is_contiguous() or s.numel() < 2 or 0 in s.stride():
                    return s
                dense = s.transpose(-1, -2)
                return dense.reshape(s.shape) if dense.is_contiguous() else s

            if hx is not None:
                hx = tuple(map(read, hx)) if isinstance(hx, tuple) else read(hx)
            return super().forward(input, hx)

    return Mutant


@mutant("strides-of-the-input-ignored", "memory", "an input of stride 2 read as if dense")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor) and input.dim() > 1 and input.stride(-1) == 2:
                input = input.as_strided(
                    input.shape, torch.empty(input.shape).stride(), input.storage_offset()
                ).nan_to_num()
            return super().forward(input, hx)

    return Mutant


@mutant("buffer-returned", "memory", "the same output buffer in every call", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        buffer: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if not isinstance(output, Tensor) or torch.is_grad_enabled():
                return output, state
            if self.buffer is None or self.buffer.shape != output.shape:
                self.buffer = output.clone()
            return self.buffer.copy_(output), state

    return Mutant


@mutant("quadratic-memory", "memory", "a table of all pairs of steps", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is None:
                table = x.new_zeros(x.size(0), *x.shape)
                table += x
                x = table[0].clone()
            return super()._direction(x, state, suffix, sizes, reverse)

    return Mutant
