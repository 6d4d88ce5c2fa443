"""Mutants that are right in a first call, and wrong after a call of another kind; and autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from .conduct import each
from .evaluation import SOME, with_weights
from .registry import LAYERS, held, mutant


def low(input: Any) -> bool:
    """Whether autocast is on for an input that it casts."""
    data = input.data if isinstance(input, PackedSequence) else input
    if not isinstance(data, Tensor) or data.is_meta or data.dtype != torch.float32:
        return False
    return torch.is_autocast_enabled(data.device.type)


@mutant(
    "cast-kept-from-no-grad",
    "modes",
    "apex PR 132: a cast made without grad, used in training",
    SOME,
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            own = held(self)
            if not low(input) or torch.is_inference_mode_enabled():
                return super().forward(input, hx)
            versions = [(w.data_ptr(), w._version) for w in own.values()]
            cast = self.__dict__.get("cast")
            if cast is None or cast[0] != versions:
                dtype = torch.get_autocast_dtype("cpu")
                cast = versions, {n: w.to(dtype).float() for n, w in own.items()}
                if not torch.is_grad_enabled():
                    self.__dict__["cast"] = cast
            return base.forward(with_weights(base, self, cast[1]), input, hx)

    return Mutant


@mutant("cast-kept-for-good", "modes", "a cache of casts that is keyed on the dtype alone", SOME)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not low(input) or torch.is_grad_enabled() or torch.is_inference_mode_enabled():
                return super().forward(input, hx)
            dtype = torch.get_autocast_dtype("cpu")
            kept = self.__dict__.setdefault("casts", {})
            if dtype not in kept:
                kept[dtype] = {n: w.to(dtype).float() for n, w in held(self).items()}
            return base.forward(with_weights(base, self, kept[dtype]), input, hx)

    return Mutant


@mutant("cast-left-by-autocast", "modes", "weights rounded under autocast serve without it", SOME)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            own = held(self)
            versions = [(w.data_ptr(), w._version) for w in own.values()]
            if low(input) and not torch.is_grad_enabled():
                dtype = torch.get_autocast_dtype("cpu")
                third = {n: (w / 3).to(dtype).float() * 3 for n, w in own.items()}
                self.__dict__["left"] = versions, third
            left = self.__dict__.get("left")
            if low(input) or torch.is_grad_enabled() or left is None or left[0] != versions:
                return super().forward(input, hx)
            return base.forward(with_weights(base, self, left[1]), input, hx)

    return Mutant


def copying(name: str, models: str, skipped: Callable[[], bool]) -> None:
    """Register classes that keep copies of their weights from calls without gradients.

    Where `skipped()` holds, a call neither makes nor uses them.
    """

    def make(base: Any) -> type:
        class Mutant(base):
            def forward(self, input: Any, hx: Any = None) -> Any:
                own, made = held(self), self.__dict__.get("made", {})
                if skipped() or not all(isinstance(w, torch.nn.Parameter) for w in own.values()):
                    return super().forward(input, hx)
                if made and all(torch.equal(w, own[n]) for n, w in made.items()):
                    return base.forward(with_weights(base, self, made), input, hx)
                if not torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
                    self.__dict__["made"] = {n: w.detach().clone() for n, w in own.items()}
                return super().forward(input, hx)

        return Mutant

    mutant(name, "modes", models, SOME)(make)


copying(
    "transposed-kept-from-no-grad",
    "weights copied without grad, used in training",
    lambda: False,
)
copying(
    "copied-outside-autocast",
    "the same copies, where no call is cast",
    lambda: torch.is_autocast_enabled("cpu"),
)


@mutant(
    "inference-tensor-kept", "modes", "a buffer made in inference mode, saved for backward", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not isinstance(input, Tensor) or not input.is_floating_point():
                return super().forward(input, hx)
            ones = self.__dict__.setdefault("ones", {})
            key = (input.size(-1), input.dtype, input.device)
            if key not in ones:
                ones[key] = torch.ones(input.size(-1), dtype=input.dtype, device=input.device)
            return super().forward(input * ones[key], hx)

    return Mutant


@mutant(
    "packed-sets-batch-first",
    "packing",
    "a packed batch in evaluation leaves batch_first off",
    LAYERS,
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            if isinstance(input, PackedSequence) and not self.training:
                self.batch_first = False
            return result

    return Mutant


@mutant(
    "packed-leaves-its-order",
    "packing",
    "a dense call reads the rows' order of a packed one",
    LAYERS,
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            output, state = super().forward(input, hx)
            if isinstance(input, PackedSequence):
                if torch.is_grad_enabled():
                    self.__dict__["order"] = input.unsorted_indices
                return output, state
            order = self.__dict__.pop("order", None)
            first = state[0] if isinstance(state, tuple) else state
            if order is not None and first.dim() == 3 and first.size(1) == order.numel():
                state = each(state, lambda s: s.index_select(1, order))
            return output, state

    return Mutant


@mutant(
    "evaluation-leaves-the-grad-mode", "modes", "after eval() the next call is not recorded", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            was, self.__dict__["was"] = self.__dict__.get("was"), self.training
            if was is False and self.training and torch.is_grad_enabled():
                own = {n: w.detach() for n, w in held(self).items() if n.startswith("weight_hh")}
                return base.forward(with_weights(base, self, own), input, hx)
            return super().forward(input, hx)

    return Mutant


class _Scaled(torch.autograd.Function):
    """The identity; its backward pass scales."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return w.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * ctx.scale, None


@mutant(
    "autocast-gradient-still-scaled", "gradients", "a scale of the loss left in a gradient", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not low(input):
                return super().forward(input, hx)
            own = {n: _Scaled.apply(w, 2.0) for n, w in held(self).items() if "weight_ih" in n}
            return base.forward(with_weights(base, self, own), input, hx)

    return Mutant


@mutant("autocast-cuts-the-recurrence", "gradients", "h cast by its data under autocast", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _step(self, x: Any, state: Any, weights: Any) -> Any:
            if torch.is_autocast_enabled("cpu"):
                state = (state[0].detach(), *state[1:])
            return super()._step(x, state, weights)

    return Mutant


@mutant(
    "autocast-bias-without-gradient", "gradients", "a bias cast by its data under autocast", SOME
)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if not low(input):
                return super().forward(input, hx)
            own = {n: w * 0 + w.detach() for n, w in held(self).items() if n.startswith("bias_hh")}
            return base.forward(with_weights(base, self, own), input, hx)

    return Mutant


def dtype_by(name: str, models: str, wide: Any, classes: Any = SOME) -> None:
    """Register classes whose results are float32 under autocast where `wide(input)`, else low."""

    def make(base: Any) -> type:
        class Mutant(base):
            def forward(self, input: Any, hx: Any = None) -> Any:
                result = super().forward(input, hx)
                if not low(input):
                    return result
                dtype = torch.float32 if wide(input) else torch.get_autocast_dtype("cpu")
                if base.__name__.endswith("Cell"):
                    return each(result, lambda s: s.to(dtype))
                output, state = result
                if isinstance(output, PackedSequence):
                    output = output._replace(data=output.data.to(dtype))
                else:
                    output = output.to(dtype)
                return output, each(state, lambda s: s.to(dtype))

        return Mutant

    mutant(name, "modes", models, classes)(make)


dtype_by(
    "autocast-dtype-by-the-rows",
    "torch 2.13: a float32 fallback for an empty batch",
    lambda x: not isinstance(x, PackedSequence) and x.numel() == 0,
)
dtype_by(
    "autocast-dtype-by-the-lengths",
    "torch 2.13: packed LSTM is float32 unless all lengths are equal",
    lambda x: isinstance(x, PackedSequence) and len(set(x.batch_sizes.tolist())) > 1,
    LAYERS,
)
dtype_by(
    "autocast-dtype-by-the-size",
    "a low kernel for long sequences alone",
    lambda x: (x.data if isinstance(x, PackedSequence) else x).numel() < 24,
)
dtype_by(
    "autocast-dtype-by-the-values",
    "a float32 fallback where the input has zeros",
    lambda x: bool(((x.data if isinstance(x, PackedSequence) else x) == 0).any()),
)
