"""An LSTM with peepholes: its kind as the page docs/kinds.md declares it, and a module of it.

The module has a hook for each fault that test_peephole.py plants.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

import gatewise as gw

from .modules import Cell, Layer

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


class Peephole:
    """One step of a cell or a layer, in parts."""

    def advance(self, x: Tensor, states: tuple[Tensor, ...], w: Any) -> tuple[Tensor, Pair]:
        """The output and the new states."""
        h, c = states
        i, f, g, o = self.order(self.sums(x, h, w))
        p = self.peepholes(w)
        i = torch.sigmoid(i + p[0] * self.seen(c))
        f = torch.sigmoid(f + p[1] * self.seen(c))
        after = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + p[2] * self.seen_by_o(c, after))
        h = o * torch.tanh(after)
        return h, (h, after)

    def order(self, a: Tensor) -> tuple[Tensor, ...]:
        """The sums of i, f, g, o."""
        return a.chunk(4, -1)

    def seen(self, c: Tensor) -> Tensor:
        """What i and f see of the old cell state."""
        return c

    def seen_by_o(self, before: Tensor, after: Tensor) -> Tensor:
        """What o sees of the cell states."""
        return after

    def sums(self, x: Tensor, h: Tensor, w: Any) -> Tensor:
        """The sums of all gates without the peepholes."""
        return linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)

    def peepholes(self, w: Any) -> Tensor:
        """The weights of the peepholes."""
        found: Tensor = w.peephole
        return found


class PeepholeCell(Peephole, Cell):
    """The cell."""

    row = TestedPeephole


class PeepholeLayer(Peephole, Layer):
    """The layer, without dropout and packed sequences."""

    row = TestedPeephole
