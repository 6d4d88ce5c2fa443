"""Claims that stand beside a step: they are run like any other, and a bad one is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.own import NAME
from gatewise.reference.declared import DeclarationError
from gatewise.reference.kinds import KINDS
from gatewise.reference.published import linear_recurrences

#: A kind with a claim, a right module, and one that forgets its state where x is all zeros.
FILE = '''
import numpy as np
import torch
import gatewise as gw

@gw.kind(weights={"weight_ih": "2H I", "bias": "2H"}, gates="z n")
def Leaky(np, x, h, w):
    z, n = np.split(x @ w.weight_ih.T + w.bias, 2, axis=-1)
    h = gw.blend(gw.sigmoid(z), h, np.tanh(n))
    return h, (h,)

@gw.claim(Leaky, "|h'| <= max(|h|, 1)")
def leaky_state_is_bounded(subject, case, check):
    """A new state is never larger than the old one and 1."""
    got = subject.run(case)["h"].double().numpy()
    most = np.maximum(np.abs(case.state_arrays[0]), 1.0)
    check.between("h", got, -most, most, gw.expected(case)["h"].radius)

class Cell(torch.nn.Module):
    factor = 1.0
    def __init__(self, input_size, hidden_size, bias=True):
        super().__init__()
        self.weight_ih = torch.nn.Parameter(torch.zeros(2 * hidden_size, input_size))
        self.bias = torch.nn.Parameter(torch.zeros(2 * hidden_size)) if bias else None
    def forward(self, x, hx=None):
        z, n = torch.nn.functional.linear(x, self.weight_ih, self.bias).chunk(2, -1)
        hx = torch.zeros_like(n) if hx is None else hx
        z = torch.sigmoid(z)
        return self.factor * (z * hx + (1 - z) * torch.tanh(n))

class Grows(Cell):
    factor = 3.0
'''


def check(folder: Path, *arguments: str) -> Any:
    """`gatewise check` in a folder, on two processes."""
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", *arguments]
    options = ["--like", "LeakyCell", "--family", NAME, "--profile", "quick", "--jobs", "2"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


def test_a_claim_beside_a_step_is_checked(tmp_path: Path) -> None:
    (tmp_path / "leaky.py").write_text(FILE, encoding="utf-8")
    right = check(tmp_path, "leaky.py:Cell")
    assert right.returncode == 0, right.stdout + right.stderr
    assert "values: right, 2 of 2" in right.stdout
    wrong = check(tmp_path, "leaky.py:Grows", "--report", "out")
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "leaky_state_is_bounded" in wrong.stdout
    assert NAME in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def claim_of(kind: Any, name: str = "it_is", sentence: str = "It is.", **stated: Any) -> None:
    """Add a claim with these, and remove it again."""

    def function(subject: Any, case: Any, check: Any) -> None:
        """"""

    function.__name__, function.__doc__ = name, sentence
    try:
        gw.claim(kind, "1 = 1", **stated)(function)
    finally:
        if CATALOGUE[name].family == NAME if name in CATALOGUE else False:
            del CATALOGUE[name]


def test_a_claim_that_cannot_be_is_one_line() -> None:
    kind = linear_recurrences.SRU
    claim_of(kind)
    for given, line in (
        ({"kind": KINDS["LSTM"]}, "is no declared kind; expected what gatewise.kind returns"),
        ({"kind": "SRU"}, "'SRU' is no declared kind"),
        ({"kind": kind, "sentence": ""}, "expected a docstring"),
        ({"kind": kind, "name": "time_split"}, "the family composition has a property of this"),
        ({"kind": kind, "hidden": 3}, "'hidden' is no field of Property and no constraint"),
        ({"kind": kind, "level": "all"}, "level='all': expected one of values, contract"),
    ):
        with pytest.raises(DeclarationError, match=line):
            claim_of(**given)

    def other(subject: Any, case: Any) -> None:
        """It is."""

    with pytest.raises(DeclarationError, match="expected the arguments subject, case, check"):
        gw.claim(kind, "1 = 1")(other)
