"""Mutants of what a graph saves, each of which breaks one promise of autograd and keeps the others.

Second derivatives stay right: where a backward pass records its own graph, it reads what autograd
saved as it should.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .compiled import reweighed
from .gate_math import State
from .graphs import by_operands, finish, gradients
from .registry import CELLS, held, mutant, register, stepping


class _SavedByData(torch.autograd.Function):
    """x Wᵀ that saves x.data: no version counter tells that x was overwritten."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, copy: Tensor) -> Tensor:
        ctx.save_for_backward(x.data, w, copy)
        return x @ w.t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, w, copy = ctx.saved_tensors
        return *by_operands(grad, copy if torch.is_grad_enabled() else x, w), None


class _OwnVersions(torch.autograd.Function):
    """x Wᵀ that keeps an alias of x on ctx, and checks its version: no hook sees it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, copy: Tensor) -> Tensor:
        ctx.x = x.detach()
        ctx.version = ctx.x._version
        ctx.save_for_backward(w, copy)
        return x @ w.t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        w, copy = ctx.saved_tensors
        if ctx.x._version != ctx.version:
            raise RuntimeError("a state was modified after the forward pass")
        return *by_operands(grad, copy if torch.is_grad_enabled() else ctx.x, w), None


def _product(function: Any) -> Any:
    def step(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
        weight = getattr(module, f"weight_hh{suffix}")
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return finish(kind, module, x, state[0] @ weight.t(), state, suffix)
        a = function.apply(state[0], weight, state[0].clone())
        return finish(kind, module, x, a, state, suffix)

    return step


#: A GRU's state is saved once more, by z∘h, whose version autograd checks.
_ROWS = (
    (_SavedByData, ("RNNCell",), "state-saved-by-data", ".data hides a change from its version"),
    (_OwnVersions, CELLS, "state-out-of-sight-of-hooks", "a kernel that looks after versions"),
)
for _function, _kinds, _name, _models in _ROWS:
    for _like, _factory in stepping(_product(_function), _kinds):
        register(_name, _like, _factory, "gradients", _models)


class _NeverFreed(torch.autograd.Function):
    """A call of a cell whose backward pass reads copies on ctx, which no backward pass frees."""

    @staticmethod
    def forward(ctx: Any, call: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.call = call
        ctx.copies = [t.detach().clone().requires_grad_(t.requires_grad) for t in tensors]
        ctx.save_for_backward(*tensors)
        return tuple(t.detach() for t in call(*tensors))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        second = torch.is_grad_enabled()
        taken = [t.view_as(t) for t in ctx.saved_tensors] if second else ctx.copies
        with torch.enable_grad():
            found = ctx.call(*taken)
        return None, *gradients(found, taken, grads, second)


@mutant("copies-never-freed", "gradients", "copies that outlive the graph", CELLS)
def _(base: Any) -> type:
    lstm = base.__name__ == "LSTMCell"

    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            weights, states = held(self), () if hx is None else hx if lstm else (hx,)
            names, count = list(weights), len(states)  # `call` must keep no argument alive

            def call(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
                own = dict(zip(names, rest[count:], strict=True))
                given = rest[:count] if lstm else rest[0]
                found = reweighed(base, self, own, x, given if count else None)
                return found if lstm else (found,)

            if not torch.is_grad_enabled() or torch.compiler.is_compiling():
                return super().forward(input, hx)
            found = _NeverFreed.apply(call, input, *states, *weights.values())
            return found if lstm else found[0]

    return Mutant
