"""Adapters like a declared kind: its own weights are the parts of the expressions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gatewise as gw
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import plans
from gatewise.properties.subjects.capabilities import SubjectError
from gatewise.properties.subjects.loading import as_subject
from gatewise.reference import published as published


class Peepholes(nn.Module):
    """A layer: one matrix on [x, h] (in, out), gates f i o g, three vectors, states (c, h)."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1) -> None:
        super().__init__()
        self.size = hidden_size
        self.layers = nn.ModuleList()
        for index in range(num_layers):
            wide = (input_size, hidden_size)[index > 0] + hidden_size
            layer = nn.Module()
            for name, shape in {"K": (wide, 4 * self.size), "b": (4 * self.size,)}.items():
                layer.register_parameter(name, nn.Parameter(torch.zeros(shape)))
            for gate in "ifo":
                layer.register_parameter(f"p_{gate}", nn.Parameter(torch.zeros(self.size)))
            layer.register_parameter("scale", nn.Parameter(torch.ones(1)))
            self.layers.append(layer)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """x (T, B, I) → output (T, B, H), (c, h), each (L, B, H)."""
        if state is None:
            state = (x.new_zeros(len(self.layers), x.shape[1], self.size),) * 2
        finals = []
        for layer, c, h in zip(self.layers, *state, strict=True):
            outputs = []
            for x_t in x:
                a = torch.cat([x_t, h], -1) @ layer.K + layer.b
                f, i, o, g = a.chunk(4, -1)
                i, f = torch.sigmoid(i + layer.p_i * c), torch.sigmoid(f + layer.p_f * c)
                c = f * c + i * torch.tanh(g)
                h = torch.sigmoid(o + layer.p_o * c) * torch.tanh(c)
                outputs.append(h)
            x = torch.stack(outputs)
            finals.append((c, h))
        return x, tuple(torch.stack(s) for s in zip(*finals, strict=True))


PEEPHOLES: dict[str, Any] = {
    "like": "PeepholeLSTM",
    "weights": {
        "layers.{layer}.K": "weight_ih|weight_hh",
        "layers.{layer}.b": "bias",
        **{f"layers.{{layer}}.p_{g}": f"peephole.{k}" for k, g in enumerate("ifo")},
    },
    "gates": "fiog",
    "transposed": ("layers.{layer}.K",),
    "state": "ch",
    "ignored": ("layers.{layer}.scale",),
    "unsupported": {"packed": "tensors alone", "unbatched": "three dimensions alone"},
}


def falsified(adapter: gw.Adapter, *families: str, precision: str = "float32") -> dict[str, str]:
    """Property → message of what does not hold, at the profile quick."""
    found = plans([as_subject(adapter, name="own")], ["cpu"], [precision])
    records = [run(p, profile="quick") for p in found if p.prop.family in families or not families]
    assert sum(r.comparisons for r in records) > 0
    return {r.name: r.message for r in records if not r.passed}


def test_a_layer_of_a_declared_kind_with_its_own_conventions_is_right() -> None:
    assert falsified(gw.Adapter(Peepholes, **PEEPHOLES)) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"gates": "ifog"},
        {"state": "hc"},
        {
            "weights": {
                **PEEPHOLES["weights"],
                "layers.{layer}.p_i": "peephole.1",
                "layers.{layer}.p_f": "peephole.0",
            }
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_adapter_that_is_wrong_about_it_is_falsified(change: dict[str, Any]) -> None:
    adapter = gw.Adapter(Peepholes, **{**PEEPHOLES, **change})
    assert "equals_reference" in falsified(adapter, "agreement")


class Cell(nn.Module):
    """A cell of the same kind with the kind's own names, and without biases."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        H = hidden_size
        for name, shape in {
            "weight_ih": (4 * H, input_size),
            "weight_hh": (4 * H, H),
            "peephole": (3, H),
        }.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """x (B, I) → h, c, each (B, H)."""
        h, c = (x.new_zeros(*x.shape[:-1], self.peephole.shape[1]),) * 2 if state is None else state
        a = x @ self.weight_ih.T + h @ self.weight_hh.T
        i, f, g, o = a.chunk(4, -1)
        i = torch.sigmoid(i + self.peephole[0] * c)
        f = torch.sigmoid(f + self.peephole[1] * c)
        c = f * c + i * torch.tanh(g)
        return torch.sigmoid(o + self.peephole[2] * c) * torch.tanh(c), c


def test_a_cell_without_biases() -> None:
    weights = {n: n for n in ("weight_ih", "weight_hh", "peephole")}
    adapter = gw.Adapter(Cell, "PeepholeLSTMCell", weights=weights)
    assert adapter.form == {"bias": False}
    assert falsified(adapter, "agreement", "gradients", "parameters") == {}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"weights": {"K": "weight_ih|weight_hh"}}, "weights= leaves out peephole$"),
        (
            {"weights": {"K": "weight_ih|weight_hh", "p": "peephole.0;peephole.1"}},
            "weights= leaves out peephole.2$",
        ),
        (
            {"weights": {"K": "weight_ih|weight_hh", "p": "peephole;peephole.1"}},
            "weights= holds peephole twice$",
        ),
        (
            {"weights": {"K": "weight_ih|weight_hh", "p": "peephole.3"}},
            "gate '3' of peephole is not",
        ),
        ({"weights": {"K": "weight_ih|bias_hh"}}, "'bias_hh' is not one of weight_ih, weight_hh"),
        ({"gates": "fio"}, "expected each of the 4 letters i f g o once"),
        ({"transposed": ("K",)}, "transposed= names 'K'; expected True, or some of layers"),
        ({"ignored": ()}, "leaves out the parameter 'layers.0.scale'"),
        ({"like": "MyKind"}, "like='MyKind': expected one of 'RNNCell'"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_what_cannot_be_is_one_line(change: dict[str, Any], line: str) -> None:
    with pytest.raises(SubjectError, match=line):
        gw.Adapter(Peepholes, **{**PEEPHOLES, **change})


def test_published_kinds_are_there_without_another_import() -> None:
    script = """
import gatewise as gw

def step(x, h, c, W, U, b): ...

weights = {"W": "weight_ih", "U": "weight_hh", "b": "bias"}
print(gw.Adapter(step, like="ForgetOneLSTMCell", weights=weights, function=True).kind)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("ForgetOneLSTM\n", 0), ended.stderr
