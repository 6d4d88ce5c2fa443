"""Modules of other packages, held under the names that a declared kind gives to their weights.

An `Adapter` does this for the classes of torch.nn; `Held` does it for kinds that a file of this
folder declares with `gatewise.kind`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: What a held module cannot be asked for.
HELD = {
    "traced_module_equals_reference": "torch.jit cannot trace functional_call",
    "traced_module_takes_any_size": "torch.jit cannot trace functional_call",
    "onnx_torchscript_equals_reference": "torch.jit cannot trace functional_call",
    "onnx_torchscript_takes_any_size": "torch.jit cannot trace functional_call",
    "two_threads_get_the_same_bits": "it holds the weights of one call, in one thread",
}


class Held(nn.Module):
    """A module `own` that computes, and parameters with the names of a declared kind.

    `weights` maps a name of the kind to own names, whose tensors lie one below the other in it.  An
    own name that ends with `.T` is a matrix (in, out), and one that ends with `.flat` is a vector
    that is held as a matrix of one row.  Each call puts the parameters into the own
    module by differentiable operations.

    Raises `KeyError` for an own name that `own` does not have, and `ValueError` for a parameter of
    `own` that is neither mapped nor `ignored`.
    """

    def __init__(
        self, own: nn.Module, weights: Mapping[str, Sequence[str]], ignored: Sequence[str] = ()
    ) -> None:
        super().__init__()
        # In a tuple the own module is no submodule, so its parameters are not listed here.
        self.held = (own,)
        self.weights = {name: tuple(parts) for name, parts in weights.items()}
        there = dict(own.named_parameters())
        self.shapes = {name: p.shape for name, p in there.items()}
        mapped = {_bare(part) for parts in self.weights.values() for part in parts}
        left = sorted(set(there) - mapped - set(ignored))
        if left:
            raise ValueError(f"{type(own).__name__} has {left[0]!r}: map it, or name it ignored")
        for name, parts in self.weights.items():
            pieces = [_turned(part, there[_bare(part)]) for part in parts]
            self.register_parameter(name, nn.Parameter(torch.cat(pieces).detach().clone()))

    def run(self, *arguments: Any, **named: Any) -> Any:
        """What the own module returns, with the weights that are here."""
        swaps = {}
        for name, parts in self.weights.items():
            for part, piece in zip(parts, getattr(self, name).chunk(len(parts)), strict=True):
                swaps[_bare(part)] = _turned(part, piece).reshape(self.shapes[_bare(part)])
        return torch.func.functional_call(self.held[0], swaps, arguments, named)

    def train(self, mode: bool = True) -> Held:
        """Set the mode here and of the own module."""
        self.held[0].train(mode)
        return super().train(mode)

    def _apply(self, fn: Any, *arguments: Any, **named: Any) -> Any:
        self.held[0]._apply(fn, *arguments, **named)  # type: ignore[no-untyped-call]
        return super()._apply(fn, *arguments, **named)  # type: ignore[no-untyped-call]


def _bare(part: str) -> str:
    return part.removesuffix(".T").removesuffix(".flat")


def _turned(part: str, tensor: Tensor) -> Tensor:
    flat = tensor.flatten() if part.endswith(".flat") else tensor
    return flat.T if part.endswith(".T") else flat
