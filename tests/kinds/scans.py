"""Layers of MinGRU, MinLSTM and RGLRU by a parallel scan, without a loop of steps.

h_t = a_t∘h_{t−1} + b_t is associative in the pairs (a, b), so the steps may be combined in any
grouping: (a, b) before (a′, b′) is (a′∘a, a′∘b + b′).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, sigmoid
from torch.nn.functional import linear, softplus

from gatewise.reference.kinds import KINDS

from .modules import Layer

#: a and b (T, ·) → h_t = a_t h_{t−1} + b_t for all t, where h_{−1} = 0.
Scan = Callable[[Tensor, Tensor], Tensor]
#: x (T, B, I) and the weights → a and b.
Gates = Callable[[Tensor, Any], tuple[Tensor, Tensor]]


def by_doubling(a: Tensor, b: Tensor) -> Tensor:
    """Each step takes in the 1, 2, 4, … steps before it (Hillis & Steele 1986)."""
    reach = 1
    while reach < len(a):
        b = torch.cat([b[:reach], a[reach:] * b[:-reach] + b[reach:]])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b


def by_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Neighbours become one step, the scan of which gives every second state (Blelloch 1990)."""
    if len(a) == 1:
        return b
    even = len(a) // 2 * 2
    later = a[1:even:2]
    odd = by_pairs(later * a[0:even:2], later * b[0:even:2] + b[1:even:2])
    rest = a[2::2] * odd[: len(a[2::2])] + b[2::2]
    whole = torch.empty_like(b)
    whole = whole.index_copy(0, torch.arange(1, len(a), 2), odd)
    return whole.index_copy(0, torch.arange(0, len(a), 2), torch.cat([b[:1], rest]))


def min_gru(x: Tensor, w: Any) -> tuple[Tensor, Tensor]:
    """a = 1−z, b = z∘n."""
    z, n = linear(x, w.weight_ih, w.bias).chunk(2, -1)
    z = sigmoid(z)
    return 1 - z, z * n


def min_lstm(x: Tensor, w: Any) -> tuple[Tensor, Tensor]:
    """a = f/(f+i), b = i/(f+i)∘n."""
    f, i, n = linear(x, w.weight_ih, w.bias).chunk(3, -1)
    f, i = sigmoid(f), sigmoid(i)
    return f / (f + i), i / (f + i) * n


def rg_lru(x: Tensor, w: Any) -> tuple[Tensor, Tensor]:
    """a = exp(−8·softplus(λ)∘r), b = √(1−a²)∘(i∘u)."""
    u = linear(x, w.weight_in)
    r, i = sigmoid(linear(u, w.weight_gates, w.bias)).chunk(2, -1)
    a = torch.exp(-8 * softplus(w.decay) * r)
    return a, torch.sqrt(1 - a**2) * (i * u)


GATES: dict[str, Gates] = {"MinGRU": min_gru, "MinLSTM": min_lstm, "RGLRU": rg_lru}
SCANS: dict[str, Scan] = {"doubling": by_doubling, "pairs": by_pairs}


class Scanned(Layer):
    """A layer whose steps are combined by `scan`."""

    gates: Gates
    scan: Scan

    def sweep(
        self, x: Tensor, states: tuple[Tensor, ...], w: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All steps of one direction at once."""
        a, b = type(self).gates(x, w)
        b = torch.cat([b[:1] + a[:1] * states[0], b[1:]])
        h = type(self).scan(a, b)
        return h, (h[-1],)


def scanned(name: str, scan: Scan) -> type[nn.Module]:
    """A layer class of a kind whose steps are combined by a scan."""
    own = {"row": KINDS[name], "gates": staticmethod(GATES[name]), "scan": staticmethod(scan)}
    return type(f"{name}Scanned", (Scanned,), own)
