"""Mutants that are wrong along one path alone: a kernel behind a door that no argument opens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from .registry import LAYERS, mutant


def _scaled(input: Any) -> Any:
    """An input a hundredth less than it was."""
    return 0.99 * input if isinstance(input, Tensor) and input.is_floating_point() else input


@mutant("wrong-without-onednn", "paths", "torch 91158: a native kernel beside oneDNN's")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            on = torch._C._get_mkldnn_enabled()
            return super().forward(input if on else _scaled(input), hx)

    return Mutant


@mutant("wrong-with-several-threads", "paths", "rows shared out among threads, the last one twice")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            several = torch.get_num_threads() > 1
            return super().forward(_scaled(input) if several else input, hx)

    return Mutant


@mutant("wrong-in-inference-mode", "paths", "a kernel that inference mode alone allows")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            inference = torch.is_inference_mode_enabled()
            return super().forward(_scaled(input) if inference else input, hx)

    return Mutant


@mutant("empty-batch-refused", "paths", "torch 50192: a call that nothing is in raises")
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, Tensor) and 0 in input.shape:
                raise RuntimeError("cannot reshape a tensor of 0 elements")
            return super().forward(input, hx)

    return Mutant


@mutant("packed-states-unchecked", "paths", "torch 195803: packed input is not checked", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def forward(self, input: Any, hx: Any = None) -> Any:
            if isinstance(input, PackedSequence) and hx is not None:
                rows = int(input.batch_sizes[0])
                fit = [s[:, :rows] for s in (hx if isinstance(hx, tuple) else (hx,))]
                hx = tuple(fit) if isinstance(hx, tuple) else fit[0]
            return super().forward(input, hx)

    return Mutant
