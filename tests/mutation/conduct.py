"""Mutants of the checks of arguments, and of modes, copies and determinism."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import torch
from torch import Tensor, nn

from .registry import CLASSES, LAYERS, held, mutant


def first(hx: Any) -> Any:
    """h of a state."""
    return hx[0] if isinstance(hx, tuple) else hx


def each(hx: Any, change: Any) -> Any:
    """`change` applied to h, or to h and c."""
    return tuple(change(s) for s in hx) if isinstance(hx, tuple) else change(hx)


@mutant("one-row-of-state-broadcast", "errors", "torch 3789: cells broadcast a batch-1 hidden")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            axis = 0 if base.__name__.endswith("Cell") else 1
            state = first(hx)
            if isinstance(input, Tensor) and isinstance(state, Tensor) and state.dim() == axis + 2:
                at = 0 if axis == 0 or self.batch_first else 1
                rows = input.size(at) if input.dim() > at else 1
                if state.size(axis) == 1:
                    hx = each(hx, lambda s: s.repeat_interleave(rows, axis))
            return super().forward(input, hx)

    return Mutant


@mutant("wide-input-cut", "errors", "torch 114874: a wrong input size accepted when hx is None")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor) and hx is None and input.dim():
                input = input[..., : self.input_size]
            return super().forward(input, hx)

    return Mutant


@mutant("layers-of-state-cut", "errors", "torch 3259: h0 with a wrong layer count accepted", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(first(hx), Tensor):
                rows = self.num_layers * (2 if self.bidirectional else 1)
                hx = each(hx, lambda s: s[:rows])
            return super().forward(input, hx)

    return Mutant


@mutant("message-names-nothing", "errors", "torch 86576: an error text that does not help")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            try:
                return super().forward(input, hx)
            except (ValueError, RuntimeError) as error:
                raise RuntimeError("bad argument") from error

    return Mutant


@mutant("error-of-another-class", "errors", "torch 5211: a NameError in the error's path")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            try:
                return super().forward(input, hx)
            except (ValueError, RuntimeError, TypeError) as error:
                raise NameError(str(error)) from error

    return Mutant


@mutant("killed-by-a-state-of-another-rank", "errors", "torch 175978: SIGSEGV on a rank mismatch")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            state = first(hx)
            both = isinstance(input, Tensor) and isinstance(state, Tensor)
            if both and state.dim() != input.dim():
                os.kill(os.getpid(), signal.SIGSEGV)
            return super().forward(input, hx)

    return Mutant


@mutant("any-nonlinearity", "errors", "torch.nn.RNNCell takes any nonlinearity", ("RNN", "RNNCell"))
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
            known = nonlinearity if nonlinearity in ("tanh", "relu") else "tanh"
            super().__init__(*args, nonlinearity=known, **kwargs)

    return Mutant


@mutant("any-dropout", "errors", "a dropout of 2 accepted", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, dropout: Any = 0.0, **kwargs: Any) -> None:
            inside = dropout if isinstance(dropout, int | float) else 0.0
            super().__init__(*args, dropout=min(max(inside, 0.0), 1.0), **kwargs)

    return Mutant


@mutant("mixed-dtypes-cast", "errors", "an input of another dtype cast without a word")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            weight = next(self.parameters())
            if isinstance(input, Tensor) and input.is_floating_point():
                input = input.to(weight.dtype)
            return super().forward(input, hx)

    return Mutant


@mutant("reads-past-its-end", "errors", "torch 106769: a read past the end of a state")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            def shifted(s: Tensor) -> Tensor:
                room = s.untyped_storage().size() // s.element_size()
                if not s.is_contiguous() or s.storage_offset() + s.numel() >= room:
                    return s
                past = s.as_strided((1,), (1,), s.storage_offset() + s.numel())
                return s + 0 * past

            if isinstance(first(hx), Tensor):
                hx = each(hx, shifted)
            return super().forward(input, hx)

    return Mutant


@mutant("wrong-in-eval", "modes", "torch 173640: eval takes another path")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not self.training and isinstance(input, Tensor):
                input = input * (1 - 2**-7)
            return super().forward(input, hx)

    return Mutant


@mutant("wrong-with-grad", "modes", "a training kernel beside the inference kernel")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if torch.is_grad_enabled() and isinstance(input, Tensor):
                input = input * (1 - 2**-7)
            return super().forward(input, hx)

    return Mutant


@mutant("weights-cached", "modes", "torch 90500: weights of the first call used ever after")
def _(base: Any) -> type:
    class Mutant(base):
        cache: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            if self.cache is None:
                own = {n: w.detach().clone() for n, w in held(self).items()}
                object.__setattr__(self, "cache", own)
            plain = object.__new__(base)
            own = {**self._parameters, **self.cache}
            plain.__dict__ = {**self.__dict__, "_parameters": own}
            return base.forward(plain, input, hx)

    return Mutant


@mutant("global-generator-used", "modes", "torch 18110: a call moves the global generator")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            torch.rand(1)
            return super().forward(input, hx)

    return Mutant


@mutant("comes-and-goes", "modes", "torch 35661: not deterministic", CLASSES)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if random.random() < 0.5 and isinstance(input, Tensor):
                input = input * (1 + 2**-18)
            return super().forward(input, hx)

    return Mutant


@mutant("copy-shares-weights", "modes", "a deepcopy whose weights are the original's")
def _(base: Any) -> type:
    class Mutant(base):
        def __deepcopy__(self, memo: Any) -> Any:
            other = self.__class__.__new__(self.__class__)
            other.__dict__ = {**self.__dict__, "_parameters": dict(self._parameters)}
            return other

    return Mutant


@mutant("pickle-loses-the-bias", "modes", "a bias missing after a round trip by pickle")
def _(base: Any) -> type:
    class Mutant(base):
        def __setstate__(self, state: Any) -> None:
            super().__setstate__(state)
            with torch.no_grad():
                for name, p in self.named_parameters():
                    if name.startswith("bias"):
                        p.zero_()

    return Mutant


@mutant("always-single", "modes", "axon 646: a float32 buffer in float64")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if base.__name__.endswith("Cell"):
                return each(result, Tensor.float)
            output, state = result
            if isinstance(output, Tensor):
                output = output.float()
            return output, state

    return Mutant


@mutant("detached-results", "modes", "results that never require a gradient")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            with torch.no_grad():
                return super().forward(input, hx)

    return Mutant


@mutant("one-argument-fewer-in-state-dict", "modes", "a state_dict without its biases")
def _(base: Any) -> type:
    class Mutant(base):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            found = super().state_dict(*args, **kwargs)
            for name in [n for n in found if "bias_hh" in n]:
                del found[name]
            return found

    return Mutant


@mutant("default-dtype-ignored", "modes", "weights made in float32 whatever the default is")
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if kwargs.get("dtype") is None:
                nn.Module.float(self)

    return Mutant
