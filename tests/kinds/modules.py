"""PyTorch modules of declared kinds, from a step in PyTorch: a cell and a layer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gatewise.reference.kinds import Kind

#: step(x, states, w) → output, new states.
Step = Callable[[Tensor, tuple[Tensor, ...], Any], tuple[Tensor, tuple[Tensor, ...]]]


class _Module(nn.Module):
    row: ClassVar[Kind]

    def advance(
        self, x: Tensor, states: tuple[Tensor, ...], w: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: the output and the new states."""
        raise NotImplementedError

    def add(self, end: str, width: int, size: int, bias: bool) -> None:
        """The parameters of one direction."""
        for name, shape in self.row.shapes.items():
            if bias or not name.startswith("bias"):
                edge = max(size, 1) ** -0.5
                own = torch.empty(shape.of({"I": width, "H": size})).uniform_(-edge, edge)
                self.register_parameter(f"{name}{end}", nn.Parameter(own))

    def weights(self, end: str, size: int, width: int) -> Any:
        """The weights of one direction; a bias that is left out is zero."""
        found = {name: getattr(self, f"{name}{end}", None) for name in self.row.shapes}
        some = next(p for p in found.values() if p is not None)
        for name, shape in self.row.shapes.items():
            if found[name] is None:
                found[name] = some.new_zeros(shape.of({"I": width, "H": size}))
        return SimpleNamespace(**found)


class Cell(_Module):
    """A cell with torch.nn's constructor."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.sizes = input_size, hidden_size
        self.add("", input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        width, size = self.sizes
        zeros = input.new_zeros(*input.shape[:-1], size)
        states = hx if isinstance(hx, tuple) else (hx,)
        if hx is None:
            states = (zeros,) * len(self.row.states)
        output, new = self.advance(input, states, self.weights("", size, width))
        given = new if len(new) > 1 else new[0]
        return given if self.row.output < len(new) else (output, given)


class Layer(_Module):
    """A layer with torch.nn's constructor; it takes tensors alone."""

    gatewise_unsupported: ClassVar = {"packed": "it takes tensors alone"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.hidden_size, self.batch_first, self.dropout = hidden_size, batch_first, dropout
        ways = ("", "_reverse")[: 1 + bidirectional]
        self.ends = [f"_l{k}{end}" for k in range(num_layers) for end in ways]
        self.directions = len(ways)
        self.widths = [
            input_size if k < len(ways) else len(ways) * hidden_size for k in range(len(self.ends))
        ]
        for end, width in zip(self.ends, self.widths, strict=True):
            self.add(end, width, hidden_size, bias)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        unbatched = input.dim() == 2
        x = input.unsqueeze(1) if unbatched else input
        x = x.transpose(0, 1) if self.batch_first and not unbatched else x
        zeros = x.new_zeros(len(self.ends), x.shape[1], self.hidden_size)
        given = hx if isinstance(hx, tuple) else (hx,)
        if hx is None:
            given = (zeros,) * len(self.row.states)
        starts = [s.unsqueeze(1) if s.dim() == 2 else s for s in given]
        halves: list[Tensor] = []
        finals = []
        for index, end in enumerate(self.ends):
            w = self.weights(end, self.hidden_size, self.widths[index])
            reverse = index % self.directions
            states = tuple(s[index] for s in starts)
            outputs, states = self.sweep(x.flip(0) if reverse else x, states, w)
            finals.append(states)
            halves.append(outputs.flip(0) if reverse else outputs)
            if len(halves) == self.directions:
                x, halves = torch.cat(halves, -1), []
                x = self.between(x) if index + 1 < len(self.ends) else x
        ended = tuple(torch.stack(s) for s in zip(*finals, strict=True))
        if unbatched:
            x, ended = x.squeeze(1), tuple(s.squeeze(1) for s in ended)
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, ended if len(ended) > 1 else ended[0]

    def between(self, x: Tensor) -> Tensor:
        """What the next layer reads of the output of a layer."""
        return torch.dropout(x, self.dropout, self.training)

    def sweep(
        self, x: Tensor, states: tuple[Tensor, ...], w: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All steps of one direction, in order: the outputs (T, B, H), and the last states."""
        steps = []
        for t in range(x.shape[0]):
            output, states = self.advance(x[t], states, w)
            steps.append(output)
        return torch.stack(steps), states


def cell_of(kind: Kind, step: Step, name: str) -> type[nn.Module]:
    """A cell class of a kind, from its step in PyTorch."""
    return type(name, (Cell,), {"row": kind, "advance": lambda self, x, s, w: step(x, s, w)})


def layer_of(kind: Kind, step: Step, name: str) -> type[nn.Module]:
    """A layer class of a kind, from its step in PyTorch."""
    return type(name, (Layer,), {"row": kind, "advance": lambda self, x, s, w: step(x, s, w)})
