"""An LSTM with peepholes: its kind as the page docs/kinds.md declares it, and a module of it.

The module has a hook for each fault that test_peephole.py plants.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import gatewise as gw

Pair = tuple[Tensor, Tensor]


@gw.kind(
    weights={"weight_ih": "4H I", "weight_hh": "4H H", "peephole": "3 H", "bias": "4H"},
    states="h c",
    gates="i f g o",
)
def TestedPeephole(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """Gers & Schmidhuber 2000: the gates see the cell."""
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    i, f, g, o = np.split(a, 4, axis=-1)
    i = gw.sigmoid(i + w.peephole[0] * c)
    f = gw.sigmoid(f + w.peephole[1] * c)
    c = f * c + i * np.tanh(g)
    o = gw.sigmoid(o + w.peephole[2] * c)
    h = o * np.tanh(c)
    return h, (h, c)


class Peephole(nn.Module):
    """One step, as a cell and as a part of a layer."""

    def new(self, a: Tensor, p: Tensor, c: Tensor) -> Pair:
        """The new states from the sums of the gates."""
        i, f, g, o = self.order(a)
        i = torch.sigmoid(i + p[0] * self.seen(c))
        f = torch.sigmoid(f + p[1] * self.seen(c))
        after = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + p[2] * self.seen_by_o(c, after))
        return o * torch.tanh(after), after

    def order(self, a: Tensor) -> tuple[Tensor, ...]:
        """The sums of i, f, g, o."""
        return a.chunk(4, -1)

    def seen(self, c: Tensor) -> Tensor:
        """What i and f see of the old cell state."""
        return c

    def seen_by_o(self, before: Tensor, after: Tensor) -> Tensor:
        """What o sees of the cell states."""
        return after

    def sums(self, x: Tensor, h: Tensor, end: str) -> Tensor:
        """The sums of all gates without the peepholes."""
        linear = nn.functional.linear
        share = linear(x, self.own("weight_ih", end), self.own("bias", end))
        return share + linear(h, self.own("weight_hh", end))

    def own(self, name: str, end: str) -> Any:
        """A parameter of one direction; None for a bias that there is not."""
        return getattr(self, f"{name}{end}", None)

    def peepholes(self, end: str) -> Tensor:
        """The weights of the peepholes."""
        found: Tensor = self.own("peephole", end)
        return found

    def add(self, end: str, width: int, size: int, bias: bool) -> None:
        """The parameters of one direction."""
        shapes = {"weight_ih": (4 * size, width), "weight_hh": (4 * size, size)}
        shapes["peephole"] = (3, size)
        if bias:
            shapes["bias"] = (4 * size,)  # type: ignore[assignment]
        for name, shape in shapes.items():
            edge = size**-0.5
            p = nn.Parameter(torch.empty(shape).uniform_(-edge, edge))
            self.register_parameter(f"{name}{end}", p)


class PeepholeCell(Peephole):
    """The cell."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.add("", input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Pair | None = None) -> Pair:
        zeros = input.new_zeros(*input.shape[:-1], self.hidden_size)
        h, c = (zeros, zeros) if hx is None else hx
        return self.new(self.sums(input, h, ""), self.peepholes(""), c)


class PeepholeLayer(Peephole):
    """The layer, without dropout and packed sequences."""

    gatewise_unsupported: ClassVar = {"packed": "it takes tensors alone"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.hidden_size, self.batch_first = hidden_size, batch_first
        self.ends = [
            f"_l{k}{end}"
            for k in range(num_layers)
            for end in ("", "_reverse")[: 1 + bidirectional]
        ]
        self.directions = 1 + bidirectional
        for index, end in enumerate(self.ends):
            first = index < self.directions
            width = input_size if first else self.directions * hidden_size
            self.add(end, width, hidden_size, bias)

    def forward(self, input: Tensor, hx: Pair | None = None) -> tuple[Tensor, Pair]:
        unbatched = input.dim() == 2
        x = input.unsqueeze(1) if unbatched else input
        x = x.transpose(0, 1) if self.batch_first and not unbatched else x
        zeros = x.new_zeros(len(self.ends), x.shape[1], self.hidden_size)
        given = (zeros, zeros) if hx is None else hx
        starts = [s.unsqueeze(1) if s.dim() == 2 else s for s in given]
        halves: list[Tensor] = []
        finals: list[Pair] = []
        for index, end in enumerate(self.ends):
            h, c, steps = starts[0][index], starts[1][index], []
            order = range(x.shape[0])[:: -1 if index % self.directions else 1]
            for t in order:
                h, c = self.new(self.sums(x[t], h, end), self.peepholes(end), c)
                steps.append(h)
            finals.append((h, c))
            halves.append(torch.stack(steps[:: -1 if index % self.directions else 1]))
            if len(halves) == self.directions:
                x, halves = torch.cat(halves, -1), []
        h_n, c_n = (torch.stack(s) for s in zip(*finals, strict=True))
        if unbatched:
            return x.squeeze(1), (h_n.squeeze(1), c_n.squeeze(1))
        return x.transpose(0, 1) if self.batch_first else x, (h_n, c_n)
