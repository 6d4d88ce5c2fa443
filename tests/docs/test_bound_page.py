"""docs/the-bound.md: the numbers of the example are those of the reference."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.oracle import expected

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "the-bound.md").read_text(encoding="utf-8")


def test_the_bound_by_hand_is_the_bound_of_the_reference() -> None:
    weights = {"weight_ih": np.array([[0.5]]), "weight_hh": np.array([[-0.25]])}
    case = Case("RNN", cell=True, bias=False)
    ball = expected(case, x=np.array([[1.5]]), state=[np.array([[0.5]])], weights=weights)["h"]
    value, radius = float(ball.v[0, 0]), float(ball.radius[0, 0])
    assert f"{value:.8f}" in PAGE
    slope, own = re.findall(r"(0\.\d{4}) · 2\.625 u \+ (\d\.\d+) u", PAGE)[0]
    assert f"{1 - value**2:.4f}" == slope
    assert f"{max(4.14, 8 * value):.3f}" == own
    stated = re.search(r"= (\d\.\d+) u = (\d\.\d+)·10⁻⁷", PAGE)
    assert stated is not None
    assert f"{radius / 2**-24:.3f}" == stated[1]
    assert f"{radius / 1e-7:.2f}" == stated[2]
    assert f"between {value - radius:.7f} and {value + radius:.7f}" in PAGE
