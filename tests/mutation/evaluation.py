"""Mutants that are right in training, and right in the first call in evaluation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .conduct import each
from .registry import LAYERS, held, mutant

#: Classes of a fault that does not depend on the gates: a cell, and two layers.
SOME = ("GRUCell", "RNN", "LSTM")


def final(base: Any, result: Any) -> Any:
    """The state that a cell or a layer returned."""
    return result if base.__name__.endswith("Cell") else result[1]


def with_weights(base: Any, module: Any, weights: dict[str, Tensor]) -> Any:
    """A module that computes with other tensors in place of its weights."""
    plain = object.__new__(base)
    plain.__dict__ = {**module.__dict__, "_parameters": {**module._parameters, **weights}}
    return plain


@mutant(
    "eval-keeps-the-state", "states", "allennlp 2643: the state of one evaluation batch stays", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        kept: Any = None

        def train(self, mode: bool = True) -> Any:
            self.kept = None
            return super().train(mode)

        def forward(self, input: Any, hx: Any = None) -> Any:
            if self.training or not isinstance(input, Tensor):
                return super().forward(input, hx)
            kept = self.kept if hx is None else None
            shape = (*input.shape, str(input.dtype), getattr(self, "batch_first", False))
            if kept is not None and kept[0] == shape:
                hx = kept[1]
            result = super().forward(input, hx)
            self.kept = (shape, each(final(base, result), lambda s: s.detach().clone()))
            return result

    return Mutant


@mutant(
    "eval-zero-state-kept-by-batch", "states", "tfjs-layers PR 356: a state kept by its size", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            plain = isinstance(input, Tensor) and hx is None
            if self.training or torch.is_grad_enabled() or not plain:
                return super().forward(input, hx)
            zeros = self.__dict__.setdefault("zeros", {})
            key = (tuple(input.shape), input.dtype, torch.is_inference_mode_enabled())
            result = super().forward(input, zeros.get(key))
            # The zero state is updated in place, so the next batch of this size starts elsewhere.
            zeros[key] = each(final(base, result), lambda s: s.clone())
            return result

    return Mutant


@mutant("eval-output-buffer", "memory", "one buffer for all outputs in evaluation", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        buffer: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if self.training or torch.is_grad_enabled() or not isinstance(output, Tensor):
                return output, state
            if torch.is_inference_mode_enabled():
                return output, state
            if self.buffer is None or self.buffer.numel() < output.numel():
                self.buffer = output.new_empty(output.numel())
            if self.buffer.dtype != output.dtype:
                return output, state
            view = self.buffer[: output.numel()].view(output.shape)
            return view.copy_(output), state

    return Mutant


@mutant("eval-adds-to-its-last-output", "states", "β = 0 on a buffer: 0 · NaN is NaN", SOME)
def _(base: Any) -> type:
    """A buffer for each size is its last output, which the caller may have written to."""

    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            busy = (
                torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_grad_enabled()
            )
            inside = torch._C._functorch.peek_interpreter_stack() is not None
            if self.training or busy or inside or hx is not None or not isinstance(input, Tensor):
                return result
            h = result if base.__name__.endswith("Cell") else result[0]
            lasts, key = self.__dict__.setdefault("lasts", {}), (h.shape, h.dtype, h.device)
            last, lasts[key] = lasts.get(key), h
            if last is None or h.is_meta:
                return result
            h = h.masked_fill(last.isnan(), torch.nan)
            return h if base.__name__.endswith("Cell") else (h, result[1])

    return Mutant


@mutant("eval-writes-its-input", "memory", "evaluation scales its input in place", SOME)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            inner = isinstance(input, Tensor) and not input.requires_grad and input.numel()
            if not self.training and inner and input.is_contiguous():
                with torch.no_grad():
                    input.mul_(0.5)
            return result

    return Mutant


@mutant(
    "eval-state-is-the-given-one", "memory", "evaluation returns the given state, overwritten", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if self.training or hx is None or torch.is_grad_enabled():
                return result
            given = hx[0] if isinstance(hx, tuple) else hx
            if not given.is_contiguous() or torch.is_inference_mode_enabled():
                return result
            cell, state = base.__name__.endswith("Cell"), final(base, result)
            given.copy_(state[0] if isinstance(state, tuple) else state)
            state = (given, state[1]) if isinstance(state, tuple) else given
            return state if cell else (result[0], state)

    return Mutant


@mutant(
    "eval-packs-its-weights", "modes", "weights packed by eval(), and not after an update", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        packed: Any = None

        def train(self, mode: bool = True) -> Any:
            super().train(mode)
            own = None if mode else {n: w.detach().clone() for n, w in held(self).items()}
            self.packed = own
            return self

        def __getstate__(self) -> Any:  # a copy packs its weights anew
            return {**self.__dict__, "packed": None}

        def forward(self, input: Any, hx: Any = None) -> Any:
            own = held(self)
            if not self.packed or torch.is_grad_enabled():
                return super().forward(input, hx)
            if any(w.dtype != own[n].dtype for n, w in self.packed.items()):
                return super().forward(input, hx)
            return base.forward(with_weights(base, self, self.packed), input, hx)

    return Mutant


@mutant(
    "eval-clips-to-what-it-saw", "modes", "a running statistic that goes on in evaluation", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        seen: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            if self.training or not isinstance(input, Tensor) or not input.numel():
                return super().forward(input, hx)
            largest = input.detach().abs().max()
            seen, self.seen = self.seen, largest if self.seen is None else self.seen
            if seen is not None:
                input = input.clamp(-seen.to(input.dtype), seen.to(input.dtype))
            return super().forward(input, hx)

    return Mutant


@mutant(
    "eval-fuses-its-second-call", "modes", "a profiling executor: the second call is another", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        calls = 0

        def train(self, mode: bool = True) -> Any:
            self.calls = 0
            return super().train(mode)

        def forward(self, input: Any, hx: Any = None) -> Any:
            if self.training:
                return super().forward(input, hx)
            self.calls += 1
            if self.calls == 1:
                return super().forward(input, hx)
            lost = {n: torch.zeros_like(w) for n, w in held(self).items() if n[:7] == "bias_hh"}
            return base.forward(with_weights(base, self, lost), input, hx)

    return Mutant


class _Last(torch.autograd.Function):
    """The identity; its backward pass scales by what the module's last call saved."""

    @staticmethod
    def forward(ctx: Any, module: Any, w: Tensor) -> Tensor:
        ctx.module, ctx.own = module, object()
        module.saved = ctx.own
        return w.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, grad if ctx.module.saved is ctx.own else 0.5 * grad


@mutant(
    "eval-backward-of-the-last-call", "gradients", "buffers of backward kept by the module", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        saved: Any = None

        def forward(self, input: Any, hx: Any = None) -> Any:
            if self.training:
                return super().forward(input, hx)
            name = next(n for n in held(self) if n.startswith("weight_ih"))
            own = {name: _Last.apply(self, getattr(self, name))}
            return base.forward(with_weights(base, self, own), input, hx)

    return Mutant


@mutant("eval-stays", "dropout", "train() after eval() does not turn dropout on again", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        evaluated = False

        def train(self, mode: bool = True) -> Any:
            self.evaluated = self.evaluated or not mode
            return super().train(mode)

        def _drop(self, x: Tensor) -> Any:
            return F.dropout(x, self.dropout, self.training and not self.evaluated)

    return Mutant
