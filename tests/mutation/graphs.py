"""Mutants of the autograd graph: what it keeps, when it is freed, and who may change it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise import impl

from .compiled import reweighed
from .gate_math import GRUS, LSTMS, State, gru, lstm
from .registry import (
    CELLS,
    CLASSES,
    LAYERS,
    held,
    mutant,
    projected,
    recurrent,
    register,
    stepping,
)


def by_operands(grad: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x Wᵀ by x and by W."""
    g = grad.to(w.dtype)  # autocast may have made another dtype of either
    rows, columns = g.reshape(-1, g.size(-1)), x.to(w.dtype).reshape(-1, x.size(-1))
    return (g @ w).to(x.dtype), rows.t() @ columns


class _Product(torch.autograd.Function):
    """x Wᵀ, with the operands named in `kept` on ctx, where autograd does not see them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, kept: str) -> Tensor:
        operands = {"x": x, "w": w}
        ctx.own = {n: t for n, t in operands.items() if n in kept}
        ctx.save_for_backward(*(t for n, t in operands.items() if n not in kept))
        return x @ w.t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        saved = iter(ctx.saved_tensors)
        x, w = (ctx.own[n] if n in ctx.own else next(saved) for n in "xw")
        return *by_operands(grad, x, w), None


def finish(kind: str, module: Any, x: Tensor, a: Tensor, state: State, suffix: str) -> State:
    """A step from the share of the input and the recurrent term `a`, without its bias."""
    bias = getattr(module, f"bias_hh{suffix}", None)
    a = a if bias is None else a + bias
    if kind == "RNN":
        return (getattr(torch, module.nonlinearity)(x + a),)
    if kind == "LSTM":
        i, f, g, o = (x + a).chunk(4, dim=-1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return projected(module, torch.sigmoid(o) * torch.tanh(c), suffix), c
    (x_r, x_z, x_n), (a_r, a_z, a_n) = x.chunk(3, -1), a.chunk(3, -1)
    z, n = torch.sigmoid(x_z + a_z), torch.tanh(x_n + torch.sigmoid(x_r + a_r) * a_n)
    return ((1 - z) * n + z * state[0],)


def _keeping(kept: str) -> Any:
    def step(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
        a = _Product.apply(state[0], getattr(module, f"weight_hh{suffix}"), kept)
        return finish(kind, module, x, a, state, suffix)

    return step


def _aliases(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The same values with their graph: a gradient by an alias goes no further back."""
    return [t.view_as(t) for t in tensors]


def gradients(found: Any, by: list[Tensor], grads: Any, second: bool, **options: Any) -> Any:
    """The gradient by each tensor of a list, None where it requires none."""
    wanted = [t for t in by if t.requires_grad]
    options = {"create_graph": second, "allow_unused": True, **options}
    own = iter(torch.autograd.grad(found, wanted, grads, **options))
    return [next(own) if t.requires_grad else None for t in by]


class _Recomputed(torch.autograd.Function):
    """A step that its backward pass computes again, with the weights as they are then."""

    @staticmethod
    def forward(ctx: Any, call: Any, count: int, x: Tensor, *rest: Tensor) -> State:
        ctx.call, ctx.weights = call, rest[:count]
        ctx.save_for_backward(x, *rest[count:])
        on, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
        ctx.autocast = {"device_type": "cpu", "dtype": dtype, "enabled": on}
        return call(x, rest[count:], rest[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        second = torch.is_grad_enabled()
        with torch.enable_grad(), torch.autocast(**ctx.autocast):
            x, *state = _aliases(ctx.saved_tensors)
            weights = _aliases(ctx.weights)
            found = ctx.call(x, tuple(state), weights)
        return None, None, *gradients(found, [x, *weights, *state], grads, second)


def _recomputing(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    every = ("weight_hh", "bias_hh", "weight_hr")
    names = [n for n in every if getattr(module, n + suffix, None) is not None]

    def call(x: Tensor, state: State, weights: Any) -> State:
        own = type("Own", (), dict(zip([n + suffix for n in names], weights, strict=True)))
        own.nonlinearity = getattr(module, "nonlinearity", "")
        a = state[0] @ getattr(own, f"weight_hh{suffix}").t()
        return finish(kind, own, x, a, state, suffix)

    weights = [getattr(module, n + suffix) for n in names]
    return _Recomputed.apply(call, len(weights), x, *weights, *state)


for _name, _models, _step in (
    ("weight-hh-on-ctx", "sru PR 171: a weight kept on ctx", _keeping("w")),
    ("hidden-state-on-ctx", "sru PR 171: a state kept on ctx", _keeping("x")),
    ("recomputed-with-current-weights", "a recomputation after an update", _recomputing),
):
    for _like, _factory in stepping(_step, CLASSES):
        register(_name, _like, _factory, "gradients", _models)


def _input_product(kept: str) -> Any:
    """A layer whose product of the input keeps an operand on ctx; what is packed stays right."""

    def make(base: Any) -> type:
        class Mutant(base):
            def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
                if sizes is not None:
                    return super()._direction(x, state, suffix, sizes, reverse)
                names = [n for names in self._all_names for n in names if n.endswith(suffix)]
                weights = {n.removesuffix(suffix): getattr(self, n) for n in names}
                shares = _Product.apply(x, weights["weight_ih"], kept)
                if "bias_ih" in weights:
                    shares = shares + weights["bias_ih"]
                outputs = [shares] * len(shares)
                order = range(len(shares))
                for t in order[::-1] if reverse else order:
                    state = self._step(shares[t], state, weights)
                    outputs[t] = state[0]
                return torch.stack(outputs), state

        return Mutant

    return make


mutant("weight-ih-on-ctx", "gradients", "sru PR 171: a weight on ctx", LAYERS)(_input_product("w"))
mutant("input-on-ctx", "gradients", "sru PR 171: the input on ctx", LAYERS)(_input_product("x"))


class _KeptTanh(torch.autograd.Function):
    """tanh whose result is on ctx: the two keep each other alive, and no change is noticed."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.y = torch.tanh(a)
        return ctx.y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (1 - ctx.y * ctx.y)


def _kept_result(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = x + recurrent(module, state[0], suffix)
    return (_KeptTanh.apply(a) if module.nonlinearity == "tanh" else torch.relu(a),)


for _like, _factory in stepping(_kept_result, ("RNNCell",)):
    _models = "pytorch 25340: a result kept on ctx"
    register("result-on-ctx", _like, _factory, "gradients", _models)


class _Whole(torch.autograd.Function):
    """A whole call, whose backward pass needs nothing that autograd has saved.

    With `inner` it keeps a graph of its own, else copies of all that it took.
    """

    @staticmethod
    def forward(ctx: Any, call: Any, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            ctx.call = call
            ctx.taken = _aliases(tensors) if inner else [t.clone() for t in tensors]
            found = call(*ctx.taken)
        ctx.found = found if inner else None
        return tuple(t.detach() for t in found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        second = torch.is_grad_enabled()
        with torch.enable_grad():
            found = ctx.call(*ctx.taken) if ctx.found is None else ctx.found
        return None, None, *gradients(found, ctx.taken, grads, second, retain_graph=True)


def _whole(base: Any, inner: bool) -> type:
    lstm, cell = base.__name__.startswith("LSTM"), base.__name__ in CELLS

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        packed = isinstance(input, PackedSequence)
        weights = held(self)
        states = () if hx is None else hx if lstm else (hx,)

        def call(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            own = dict(zip(weights, rest[len(states) :], strict=True))
            given = rest[: len(states)]
            state = None if hx is None else given if lstm else given[0]
            found = reweighed(base, self, own, input._replace(data=x) if packed else x, state)
            if cell:
                return found if lstm else (found,)
            output, final = found
            return (output.data if packed else output, *(final if lstm else (final,)))

        x = input.data if packed else input
        first, *rest = _Whole.apply(call, inner, x, *states, *weights.values())
        if cell:
            return (first, *rest) if lstm else first
        output = input._replace(data=first) if packed else first
        return output, tuple(rest) if lstm else rest[0]

    return type(f"Whole{base.__name__}", (base,), {"forward": forward})


for _like in CLASSES:
    _base = getattr(impl, _like)
    _models = "an inner graph that every backward pass retains"
    register("inner-graph-retained", _like, _whole(_base, True), "gradients", _models)
    if _like in CELLS:  # a layer would draw another mask of dropout
        _models = "copies of all arguments on ctx, which no backward pass frees"
        register("copies-on-ctx", _like, _whole(_base, False), "gradients", _models)

#: The last results of a class, with their graph, as a cache for a log would keep them.
_LAST: dict[type, Any] = {}


@mutant("last-results-kept", "gradients", "pytorch 33864: a graph that a log keeps alive")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            result = super().forward(input, hx)
            _LAST[type(self)] = result
            return result

    return Mutant


class _SavedResult(torch.autograd.Function):
    """A copy that saves its result: who edits the result makes the backward pass raise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clone()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (_,) = ctx.saved_tensors
        return grad


def _saving(name: str, models: str, where: Any) -> None:
    def make(base: Any) -> type:
        class Mutant(base):
            def forward(self, input: Any, hx: Any = None) -> Any:
                output, state = super().forward(input, hx)
                if torch.compiler.is_compiling():
                    return output, state
                packed = isinstance(output, PackedSequence)
                data = output.data if packed else output
                if where(self, data, packed):
                    data = _SavedResult.apply(data)
                return output._replace(data=data) if packed else data, state

        return Mutant

    mutant(name, "paths", models, LAYERS)(make)


_FLOAT = "torch 2.13: oneDNN's LSTM saves its output"
_saving("float32-saves-its-output", _FLOAT, lambda m, y, packed: y.dtype == torch.float32)
_saving("packed-saves-its-output", "one path alone", lambda m, y, packed: packed)
_saving("one-direction-saves-its-output", _FLOAT, lambda m, y, packed: not m.bidirectional)
_saving("one-layer-saves-its-output", _FLOAT, lambda m, y, packed: m.num_layers == 1)


@mutant("hooks-see-the-output-alone", "modes", "a shortcut around hooks", ("RNN", "GRU"))
def _(base: Any) -> type:
    class Mutant(base):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            output, state = super().__call__(*args, **kwargs)
            if self._backward_hooks and not self._forward_hooks:
                state = self.forward(*args, **kwargs)[1]
            return output, state

    return Mutant


@mutant("hook-gets-half-the-gradient", "modes", "the input read beside the hooks", CELLS)
def _(base: Any) -> type:
    class Mutant(base):
        def __call__(self, input: Any, *args: Any, **kwargs: Any) -> Any:
            beside = self._backward_hooks and not self._forward_hooks
            self.__dict__["raw"] = input if beside else None
            return super().__call__(input, *args, **kwargs)

        def forward(self, input: Any, hx: Any = None) -> Any:
            raw = self.__dict__.pop("raw", None)
            return super().forward(input if raw is None else 0.5 * input + 0.5 * raw, hx)

    return Mutant


@mutant("recomputed-in-another-mode", "gradients", "a setting that autograd's pass lacks", CELLS)
def _(base: Any) -> type:
    """Under checkpoint, what the backward pass computes again is not what was computed."""

    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            again = torch._C._current_graph_task_id() != -1
            return super().forward(0.999 * input if again else input, hx)

    return Mutant


class _Masked(torch.autograd.Function):
    """The identity, which replaces every gradient by zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.zeros_like(grad)


def _nan_masked(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    h, *c = (lstm if kind == "LSTM" else gru)(module, x, state, suffix)
    return (h + 0 * torch.sqrt(0 * _Masked.apply(h)), *c)  # √ has no slope at 0


for _like, _factory in stepping(_nan_masked, (*LSTMS, *GRUS)):
    _models = "a NaN of the backward pass that is replaced by zero"
    register("masked-nan", _like, _factory, "gradients", _models)
