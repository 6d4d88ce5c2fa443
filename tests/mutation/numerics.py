"""Mutants at tile edges, of precision and of special values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .gate_math import GRUS, LSTMS, RNNS, State, gru, lstm
from .registry import CLASSES, LAYERS, mutant, recurrent, register, stepping, weights


def edges(name: str, models: str, classes: Any = CLASSES) -> Any:
    """Register a change of the weights, seen only at some sizes."""
    return weights(name, models, classes, "tile edges")


@edges("last-columns-dropped", "a product in tiles of 8: what is left over past 32 is dropped")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    left = w.shape[-1] % 8
    if w.dim() < 2 or w.shape[-1] <= 32 or left == 0:
        return w
    kept = torch.ones(w.shape[-1], dtype=w.dtype, device=w.device)
    kept[-left:] = 0
    return w * kept


@edges("first-column-dropped-past-64", "an offset of one in the second tile of 64")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    if not name.startswith("weight_ih") or w.shape[-1] <= 64:
        return w
    kept = torch.ones(w.shape[-1], dtype=w.dtype, device=w.device)
    kept[64] = 0
    return w * kept


@edges("hidden-past-128", "FlagGems 5015: workspace wrong for a hidden size above 128")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    of_the_kernel = 128 < module.hidden_size <= 512  # wider ones take another kernel
    return w * (1 - 2**-8) if of_the_kernel and name.startswith("weight_hh") else w


@edges("bias-of-the-last-unit-at-16", "a mask off by one where the hidden size is a tile")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    if not name.startswith("bias") or module.hidden_size % 16:
        return w
    kept = torch.ones_like(w)
    kept[-1] = 0
    return w * kept


def rows_clamped(name: str, fault_class: str, models: str, last: int) -> None:
    """Register a batch whose rows past number `last` are that row again."""

    @mutant(name, fault_class, models, CLASSES)
    def _(base: Any) -> type:
        class Mutant(base):
            def forward(self, input: Any, hx: Any = None) -> Any:
                axis = 0 if base.__name__.endswith("Cell") or self.batch_first else 1
                if isinstance(input, Tensor) and input.dim() > axis and input.size(axis) > last:
                    rows = torch.arange(input.size(axis), device=input.device)
                    input = input.index_select(axis, rows.clamp(max=last))
                return super().forward(input, hx)

        return Mutant


rows_clamped("batch-past-100", "tile edges", "torch 177834: wrong for batch > 100", 100)


@mutant("steps-past-64", "tile edges", "the state is reset every 64 steps", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def _direction(self, x: Any, state: Any, suffix: str, sizes: Any, reverse: bool) -> Any:
            if sizes is not None or x.size(0) <= 64 or reverse:
                return super()._direction(x, state, suffix, sizes, reverse)
            first, _ = super()._direction(x[:64], state, suffix, None, False)
            second, final = super()._direction(x[64:], state, suffix, None, False)
            return torch.cat((first, second)), final

    return Mutant


def _as(dtype: torch.dtype, only: tuple[torch.dtype, ...]) -> Any:
    """A change of the weights: rounded to `dtype` where they are of a type in `only`."""
    return lambda name, w, module: w.to(dtype).to(w.dtype) if w.dtype in only else w


weights("double-in-single", "float64 weights pass through float32", CLASSES, "precision")(
    _as(torch.float32, (torch.float64,))
)
weights("single-in-bfloat16", "float32 products of bfloat16 factors", CLASSES, "precision")(
    _as(torch.bfloat16, (torch.float32, torch.float64))
)
weights("half-in-bfloat16", "float16 weights pass through bfloat16", CLASSES, "precision")(
    _as(torch.bfloat16, (torch.float16,))
)


def rational_tanh(x: Tensor) -> Tensor:
    """Lambert's continued fraction to four terms, clamped: off by about 1e-4 at 2."""
    x = x.clamp(-4.97, 4.97)
    s = x * x
    return x * (135135 + s * (17325 + s * (378 + s))) / (135135 + s * (62370 + s * (3150 + 28 * s)))


def low_sigmoid(x: Tensor) -> Tensor:
    """½(1+tanh(x/2)): no relative accuracy in the lower tail."""
    return 0.5 * (1 + torch.tanh(x / 2))


def _rational(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    if kind == "LSTM":
        return lstm(module, x, state, suffix, g=rational_tanh)
    if kind == "GRU":
        return gru(module, x, state, suffix, n=lambda x, r, h: rational_tanh(x + r * h))
    a = x + recurrent(module, state[0], suffix)
    return (rational_tanh(a) if module.nonlinearity == "tanh" else torch.relu(a),)


def _low(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, i=low_sigmoid, f=low_sigmoid, o=low_sigmoid)


def _overflowing(a: Tensor) -> Tensor:
    """(e^a − e^−a)/(e^a + e^−a): NaN once e^a overflows."""
    return (torch.exp(a) - torch.exp(-a)) / (torch.exp(a) + torch.exp(-a))


def _nan(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    if kind == "LSTM":
        return lstm(module, x, state, suffix, g=_overflowing)
    if kind == "GRU":
        return gru(module, x, state, suffix, n=lambda x, r, h: _overflowing(x + r * h))
    a = x + recurrent(module, state[0], suffix)
    return (_overflowing(a) if module.nonlinearity == "tanh" else torch.relu(a),)


def _clamped(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    """Pre-activations clamped to ±5, as a fixed-point port does."""
    if kind == "LSTM":
        return lstm(module, x.clamp(-5, 5), state, suffix)
    if kind == "GRU":
        return gru(module, x.clamp(-5, 5), state, suffix)
    a = (x + recurrent(module, state[0], suffix)).clamp(-5, 5)
    return (torch.tanh(a) if module.nonlinearity == "tanh" else torch.relu(a),)


def _scrubbed(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    """NaN replaced by 0 on the way in."""
    x = torch.nan_to_num(x)
    if kind == "LSTM":
        return lstm(module, x, state, suffix)
    if kind == "GRU":
        return gru(module, x, state, suffix)
    a = x + recurrent(module, state[0], suffix)
    return (torch.tanh(a) if module.nonlinearity == "tanh" else torch.relu(a),)


for _name, _fault_class, _models, _classes, _step in (
    ("rational-tanh", "precision", "a fast tanh in a port", (*RNNS, *LSTMS, *GRUS), _rational),
    ("sigmoid-by-tanh", "precision", "σ without accuracy in its lower tail", LSTMS, _low),
    ("tanh-overflows", "special values", "torch 94691: NaN", (*RNNS, *LSTMS, *GRUS), _nan),
    ("clamped-to-5", "special values", "a port to fixed point", (*RNNS, *LSTMS, *GRUS), _clamped),
    ("nan-scrubbed", "special values", "nan_to_num hides a NaN", (*RNNS, *LSTMS, *GRUS), _scrubbed),
):
    for _like, _factory in stepping(_step, _classes):
        register(_name, _like, _factory, _fault_class, _models)


@mutant("nan-leaks-to-all-rows", "special values", "torch 177016: NaN in a batch, finite alone")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor):
                input = input + 0 * input.sum()
            return super().forward(input, hx)

    return Mutant
