"""Names, shapes and counts of weights against torch.nn's modules, for every option."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from gatewise.reference.kinds import KINDS as ALL
from gatewise.reference.options import Options
from gatewise.reference.parameters import count, projection_departure, weight_shapes

KINDS = ("RNN", "LSTM", "GRU")
SIZES = [(1, 1), (3, 4), (7, 2)]
LAYERS = [
    Options(kind, i, h, n, bias=bias, bidirectional=both)
    for kind, (i, h), n, bias, both in product(
        KINDS, SIZES, (1, 2, 3), (True, False), (True, False)
    )
]
PROJECTED = [
    Options("LSTM", i, h, n, bidirectional=both, proj_size=p)
    for i, h in [(3, 4), (2, 5)]
    for p in range(1, h)
    for n in (1, 2, 3)
    for both in (True, False)
]


def torch_module(o: Options) -> torch.nn.Module:
    if o.cell:
        return getattr(torch.nn, f"{o.kind}Cell")(o.input_size, o.hidden_size, o.bias)
    options = {"bias": o.bias, "bidirectional": o.bidirectional}
    if o.proj_size:
        options["proj_size"] = o.proj_size
    return getattr(torch.nn, o.kind)(o.input_size, o.hidden_size, o.num_layers, **options)


CELLS = [
    Options(k, i, h, bias=b, cell=True) for k in KINDS for i, h in SIZES for b in (True, False)
]


@pytest.mark.parametrize("options", LAYERS + PROJECTED + CELLS, ids=str)
def test_names_shapes_and_counts_are_torchs(options: Options) -> None:
    own = {n: tuple(p.shape) for n, p in torch_module(options).named_parameters()}
    assert list(weight_shapes(options).items()) == list(own.items())
    assert count(options) == sum(p.numel() for p in torch_module(options).parameters())


def rnn_beside(o: Options) -> int:
    return count(Options("RNN", o.input_size, o.hidden_size, o.num_layers, o.bias, o.bidirectional))


@pytest.mark.parametrize("options", LAYERS, ids=str)
def test_four_and_three_times_an_rnn(options: Options) -> None:
    assert count(options) == len(ALL[options.kind].gates) * rnn_beside(options)
    assert projection_departure(options) == 0


@pytest.mark.parametrize("options", PROJECTED, ids=str)
def test_a_projection_departs_by_exactly_this_much(options: Options) -> None:
    assert count(options) - 4 * rnn_beside(options) == projection_departure(options)


@pytest.mark.parametrize("end", ["ih", "hh"])
def test_one_bias_leaves_the_other_out(end: str) -> None:
    one = Options("GRU", 3, 2, biases=(end,))
    both = weight_shapes(Options("GRU", 3, 2))
    kept = {n: s for n, s in both.items() if not n.startswith("bias") or f"_{end}" in n}
    assert weight_shapes(one) == kept
    assert count(one) == count(Options("GRU", 3, 2)) - 6
    assert weight_shapes(Options("GRU", 3, 2, bias=False, biases=(end,))) == weight_shapes(
        Options("GRU", 3, 2, bias=False)
    )
