"""Mutants of the initial and the final states, and of what is kept between calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .registry import CELLS, CLASSES, LAYERS, LSTMS, mutant


def each(hx: Any, change: Any) -> Any:
    """`change` applied to h, or to h and c."""
    return tuple(change(s) for s in hx) if isinstance(hx, tuple) else change(hx)


@mutant("h0-ignored", "states", "torch 95137: h0 ignored, hidden by tests with zero states")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is not None:
                first = torch.zeros_like(hx[0] if isinstance(hx, tuple) else hx)
                hx = (first, hx[1]) if isinstance(hx, tuple) else first
            return super().forward(input, hx)

    return Mutant


@mutant("c0-ignored", "states", "torch 95137: c0 ignored", LSTMS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            hx = None if hx is None else (hx[0], torch.zeros_like(hx[1]))
            return super().forward(input, hx)

    return Mutant


@mutant("h-and-c-swapped", "states", "state tuples in another order", LSTMS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is not None and hx[0].shape == hx[1].shape:
                hx = (hx[1], hx[0])
            return super().forward(input, hx)

    return Mutant


@mutant("returned-h-and-c-swapped", "states", "Keras 18861: returned states swapped", LSTMS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if isinstance(result[1], tuple):
                return result[0], (result[1][1], result[1][0])
            return result[1], result[0]

    return Mutant


@mutant("state-kept", "states", "norse 130, sinabs 5: the state of the call before is the start")
def _(base: Any) -> type:
    class Mutant(base):
        kept: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is None and self.kept is not None:
                hx = self.kept
            result = super().forward(input, hx)
            state = result if base.__name__.endswith("Cell") else result[1]
            self.kept = each(state, Tensor.detach)
            return result

    return Mutant


@mutant("no-state-means-ones", "states", "mlx 3249: a missing state is not a zero one")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is None:
                result = super().forward(input)
                state = result if base.__name__.endswith("Cell") else result[1]
                hx = each(state, lambda s: torch.full_like(s, 0.01))
            return super().forward(input, hx)

    return Mutant


@mutant(
    "no-state-skips-the-bias", "states", "mlx 3249: hidden=None skips b_hh at the first step", CELLS
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is not None or not self.bias:
                return super().forward(input, hx)
            other = object.__new__(base)
            own = {**self._parameters, "bias_hh": torch.zeros_like(self.bias_hh)}
            other.__dict__ = {**self.__dict__, "_parameters": own}
            return base.forward(other, input)

    return Mutant


@mutant("rows-of-states-reversed", "states", "torch 95137: wrong slices of h0 and c0", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            if states is not None:
                self._check_states(states, batch)
                states = tuple(s.flip(0) for s in states)
            return super()._run(x, states, batch, sizes)

    return Mutant


@mutant("every-layer-starts-as-the-first", "states", "torch 95137: layer > 0 reads row 0", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            if states is not None:
                self._check_states(states, batch)
                states = tuple(s[:1].expand_as(s) for s in states)
            return super()._run(x, states, batch, sizes)

    return Mutant


@mutant(
    "final-state-of-the-step-before", "states", "pytorch-tutorial 174: h_n is not the end", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            outputs, final = super()._direction(x, state, suffix, sizes, reverse)
            if sizes is None and outputs.size(0) > 1:
                before = outputs[1] if reverse else outputs[-2]
                final = (before, *final[1:])
            return outputs, final

    return Mutant


@mutant("states-by-direction", "states", "final states ordered by direction before layer", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _run(self, x: Any, states: Any, batch: int, sizes: Any) -> Any:
            output, finals = super()._run(x, states, batch, sizes)
            if self.bidirectional:
                finals = tuple(torch.cat((s[::2], s[1::2])) for s in finals)
            return output, finals

    return Mutant


@mutant("state-batch-first", "states", "torch 19675: batch_first applied to h_n", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if self.batch_first and isinstance(output, Tensor) and output.dim() == 3:
                state = each(state, lambda s: s.transpose(0, 1))
            return output, state

    return Mutant


@mutant("hidden-never-carried", "states", "burn 2701: every step starts from h0", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is not None:
                return super()._direction(x, state, suffix, sizes, reverse)
            steps = [
                super(Mutant, self)._direction(x[t : t + 1], state, suffix, None, False)
                for t in range(x.size(0))
            ]
            final = steps[0 if reverse else -1][1]
            return torch.cat([s[0] for s in steps]), final

    return Mutant


@mutant("rows-mixed", "states", "torch 90421: wrong as soon as the batch is more than 1", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if hx is not None:
                axis = 0 if base.__name__.endswith("Cell") else 1
                batched = (hx[0] if isinstance(hx, tuple) else hx).dim() == axis + 2
                if batched:
                    hx = each(hx, lambda s: 0.99 * s + 0.01 * s.roll(1, axis))
            return super().forward(input, hx)

    return Mutant
