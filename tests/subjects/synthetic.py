"""Right cells in every convention: gate order, matrices, biases and forms of the GRU are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Synthetic(nn.Module):
    """An RNN, LSTM or GRU of one layer, or one step of it, as its options say.

    `form` is "stacked" (W, U), "joined" (one matrix on [x, h]) or "apart" (one of each for every
    gate); `biases` are 0, 1 or 2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kind: str,
        order: str,
        transposed: bool = False,
        biases: int = 2,
        reset_after: bool = True,
        update_keeps: bool = True,
        cell: bool = False,
        form: str = "stacked",
        batch_major: bool = False,
        states: str = "hc",
    ) -> None:
        super().__init__()
        self.kind, self.order, self.hidden_size = kind, order, hidden_size
        self.transposed, self.reset_after, self.update_keeps = transposed, reset_after, update_keeps
        self.cell, self.form, self.batch_major, self.states = cell, form, batch_major, states
        rows = [("", len(order) * hidden_size)]
        if form == "apart":
            rows = [(f"_{gate}", hidden_size) for gate in order]
        widths = {"W": input_size, "U": hidden_size}
        if form == "joined":
            widths = {"W": input_size + hidden_size}
        for end, height in rows:
            for name, width in widths.items():
                shape = (width, height) if transposed else (height, width)
                self.register_parameter(name + end, nn.Parameter(torch.zeros(shape)))
            for name in ("b", "d")[:biases]:
                self.register_parameter(name + end, nn.Parameter(torch.zeros(height)))
        self.biases = biases

    def gates(self, name: str, of: Tensor) -> dict[str, Tensor]:
        """A product of each gate with `of`, by the gate's letter."""
        if self.form == "apart":
            matrices = {g: getattr(self, f"{name}_{g}") for g in self.order}
            return {g: of @ (w if self.transposed else w.T) for g, w in matrices.items()}
        w = getattr(self, name) if self.form == "stacked" else self.columns(name)
        whole = of @ (w if self.transposed else w.T)
        return dict(zip(self.order, whole.split(self.hidden_size, -1), strict=True))

    def columns(self, name: str) -> Tensor:
        """The part of the joined matrix that belongs to x (W) or to h (U)."""
        split = self.W.shape[0 if self.transposed else 1] - self.hidden_size
        part = slice(0, split) if name == "W" else slice(split, None)
        return self.W[part] if self.transposed else self.W[:, part]

    def bias(self, name: str) -> dict[str, Tensor | float]:
        """A bias of each gate by its letter; 0 where there is none."""
        if (name == "b" and self.biases < 1) or (name == "d" and self.biases < 2):
            return dict.fromkeys(self.order, 0.0)
        if self.form == "apart":
            return {g: getattr(self, f"{name}_{g}") for g in self.order}
        parts = getattr(self, name).split(self.hidden_size)
        return dict(zip(self.order, parts, strict=True))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state, written from the equations."""
        h = state[0]
        b, d, a, u = self.bias("b"), self.bias("d"), self.gates("W", x), self.gates("U", h)
        if self.kind == "RNN":
            return (torch.tanh(a["h"] + b["h"] + u["h"] + d["h"]),)
        if self.kind == "LSTM":
            s = {k: a[k] + b[k] + u[k] + d[k] for k in "ifgo"}
            c = torch.sigmoid(s["f"]) * state[1] + torch.sigmoid(s["i"]) * torch.tanh(s["g"])
            return torch.sigmoid(s["o"]) * torch.tanh(c), c
        r, z = (torch.sigmoid(a[k] + b[k] + u[k] + d[k]) for k in "rz")
        if self.reset_after:
            n = torch.tanh(a["n"] + b["n"] + r * (u["n"] + d["n"]))
        else:
            n = torch.tanh(a["n"] + b["n"] + self.gates("U", r * h)["n"] + d["n"])
        return (z * h + (1 - z) * n if self.update_keeps else z * n + (1 - z) * h,)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """As torch.nn's modules, but for what the options say."""
        turned = self.states == "ch" and self.kind == "LSTM"
        pair = state if isinstance(state, tuple) else (state,)
        now = tuple(reversed(pair)) if turned else pair
        if self.cell:
            new = self.step(x, now)
            new = tuple(reversed(new)) if turned else new
            return new if self.kind == "LSTM" else new[0]
        now = tuple(s[0] for s in now)
        outputs = []
        for x_t in x.unbind(1 if self.batch_major else 0):
            now = self.step(x_t, now)
            outputs.append(now[0])
        last = tuple(s[None] for s in now)
        last = tuple(reversed(last)) if turned else last
        output = torch.stack(outputs, 1 if self.batch_major else 0)
        return output, last if self.kind == "LSTM" else last[0]


def synthetic(**options: Any) -> Callable[[int, int], Synthetic]:
    """A factory called with the sizes alone."""

    def made(input_size: int, hidden_size: int) -> Synthetic:
        return Synthetic(input_size, hidden_size, **options)

    return made
