"""The command `gatewise new-kind`: a file to start from, for a cell that torch.nn does not have."""

from __future__ import annotations

import argparse
import keyword
import sys
from pathlib import Path
from typing import Any

from .statuses import GOOD, USAGE

_TEXT = '''"""{name}: its equations, and a module of it in PyTorch.

Run: gatewise check {file}:My{name} --like {name}Cell
"""

import torch
from torch import nn

import gatewise as gw


# Shapes are in I, the width of the input, and H, the hidden size.
@gw.kind(
    weights={{"weight_ih": "2H I", "weight_hh": "2H H", "bias": "2H"}}, states="h", gates="z n"
)
def {name}(np, x, h, w):
    """The equations, in NumPy: x (B, I) and h (B, H) -> the output, and the new states."""
    a = x @ w.weight_ih.T + h @ w.weight_hh.T + w.bias
    z, n = np.split(a, 2, axis=-1)
    z, n = gw.sigmoid(z), np.tanh(n)
    h = gw.blend(z, h, n)  # z * h + (1 - z) * n, in any of its forms
    return h, (h,)


class My{name}(nn.Module):
    """Put your own code here.  Parameters have the names above; a layer's end with _l0."""

    def __init__(self, input_size, hidden_size, bias=True):
        super().__init__()
        self.weight_ih = nn.Parameter(0.1 * torch.randn(2 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(0.1 * torch.randn(2 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(2 * hidden_size)) if bias else None

    def forward(self, input, hx=None):
        if hx is None:
            hx = input.new_zeros(*input.shape[:-1], self.weight_hh.shape[1])
        a = input @ self.weight_ih.T + hx @ self.weight_hh.T
        a = a if self.bias is None else a + self.bias
        z, n = a.chunk(2, -1)
        n = torch.tanh(n)
        return n + torch.sigmoid(z) * (hx - n)
'''


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "new-kind",
        help="write a file with a kind of your own to start from",
        description="Writes NAME.py in small letters, with a kind that a step in NumPy declares, "
        "and a right module of it. The file is not written over an old one.",
    )
    parser.add_argument("name", metavar="NAME", help="the name of the kind, such as PeepholeLSTM")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write the file; returns the exit status."""
    name, path = given.name, Path(f"{given.name.lower()}.py")
    problem = ""
    if not name.isidentifier() or keyword.iskeyword(name):
        problem = f"{name!r} is no name of a function; expected such as PeepholeLSTM"
    elif path.exists():
        problem = f"{path} exists; expected another name, or no such file"
    else:
        try:
            path.write_text(_TEXT.format(name=name, file=path), encoding="utf-8")
        except OSError as error:
            problem = f"{path}: {error.strerror or error}"
    if problem:
        print(f"gatewise new-kind: {problem}", file=sys.stderr)
        return USAGE
    print(f"wrote {path}; now gatewise check {path}:My{name} --like {name}Cell")
    return GOOD
