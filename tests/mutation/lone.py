"""Mutants behind doors that few claims open: most are seen by the properties of one family alone.

`tests.mutation.alone` has the table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from .gate_math import RNNS, State
from .registry import LAYERS, mutant, recurrent, register, stepping


@mutant(
    "returned-state-read-twice", "states", "a carried state takes the step it came from", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        last: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            given = hx[0] if isinstance(hx, tuple) else hx
            if torch.compiler.is_compiling() or not isinstance(input, Tensor) or input.is_meta:
                return super().forward(input, hx)
            output, state = super().forward(input, hx)
            if given is not None and self.last is not None and given.shape == self.last.shape:
                rolled = input.roll(1, 1 if self.batch_first else 0)
                carried = torch.equal(given, self.last)
                output, state = super().forward(rolled, hx) if carried else (output, state)
            final = state[0] if isinstance(state, tuple) else state
            object.__setattr__(self, "last", final.detach().clone())
            return output, state

    return Mutant


@mutant(
    "sorted-indices-lost", "packing", "torch 25497: the output says not how it was sorted", LAYERS
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if isinstance(output, PackedSequence):
                output = PackedSequence(
                    output.data, output.batch_sizes, None, output.unsorted_indices
                )
            return output, state

    return Mutant


def _power_of_two(x: Tensor) -> Tensor:
    return torch.exp2(torch.floor(torch.log2(x)))


@mutant("one-scale-for-the-batch", "special values", "torch 177016: one row's ∞ reaches the others")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            super().forward(input, hx)  # its checks of the arguments
            if isinstance(input, Tensor) and input.numel():
                scale = _power_of_two(input.detach().abs().max())
                scale = torch.where(scale > 0, scale, torch.ones_like(scale))
                input = input / scale * scale
            return super().forward(input, hx)

    return Mutant


def _initial(base: Any, value: Any) -> type:
    """A class whose initial weights are what `value(its hidden size, weight)` makes of them."""

    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            with torch.no_grad():
                for p in self.parameters():
                    p.copy_(value(self.hidden_size, p))

    return Mutant


@mutant("initial-bound-rounded-up", "parameters", "1/√H rounded up to three digits")
def _(base: Any) -> type:
    def wider(hidden: int, p: Tensor) -> Tensor:
        bound = hidden**-0.5
        return p * ((int(1000 * bound) + 1) / 1000 / bound)

    return _initial(base, wider)


@mutant("initial-weights-in-the-middle", "parameters", "a sum of two draws for one: not uniform")
def _(base: Any) -> type:
    return _initial(base, lambda hidden, p: (p + (2 * torch.rand_like(p) - 1) * hidden**-0.5) / 2)


@mutant("weights-of-another-generator", "modes", "weights that torch's seed does not decide")
def _(base: Any) -> type:
    own = torch.Generator()
    own.seed()

    def drawn(hidden: int, p: Tensor) -> Tensor:
        if p.device.type != "cpu":
            return p
        return torch.empty_like(p).uniform_(-(hidden**-0.5), hidden**-0.5, generator=own)

    return _initial(base, drawn)


@mutant("graph-without-grad-mode", "modes", "a kernel that records its graph whatever the mode")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if torch.is_inference_mode_enabled():
                return super().forward(input, hx)
            with torch.enable_grad():
                return super().forward(input, hx)

    return Mutant


@mutant("wrong-under-autocast", "modes", "a cast of the wrong tensor under autocast")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor) and torch.is_autocast_enabled("cpu"):
                input = 0.9 * input
            return super().forward(input, hx)

    return Mutant


@mutant("deterministic-for-all", "modes", "determinism asked of the process, for one call")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            torch.use_deterministic_algorithms(True, warn_only=True)
            return super().forward(input, hx)

    return Mutant


@mutant("wrong-when-compiled", "compilation", "torch 158007: another kernel while it is traced")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if torch.compiler.is_compiling() and isinstance(input, Tensor):
                input = 0.99 * input
            return super().forward(input, hx)

    return Mutant


def _slope(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = x + recurrent(module, state[0], suffix)
    return (torch.tanh(a) if module.nonlinearity == "tanh" else torch.clamp(a, min=0),)


for _kind, _factory in stepping(_slope, RNNS):
    register("relu-slope-at-zero", _kind, _factory, "gradients", "relu differentiated as clamp is")
