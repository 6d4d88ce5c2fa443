"""A value that a form uses twice gets its adjoint in parts, in any order, within its ball."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.reference.activations import blend, sigmoid
from gatewise.reference.ball import exact
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.functions import silu, softplus
from gatewise.reference.tape import gradients
from tests.reference.test_ball import SIMULATED, M, Machine, N, ratio

#: Arguments of a machine, an upstream gradient d, and which argument → the parts of its adjoint.
Parts = Callable[[Machine, dict[str, Array], Array], list[Array]]


def of_blend_z(m: Machine, a: dict[str, Array], d: Array) -> list[Array]:
    """z∘kept + (1−z)∘new: d∘kept, and −d∘new."""
    return [m.store(d * a["kept"]), -m.store(d * a["new"])]


def of_blend_new(m: Machine, a: dict[str, Array], d: Array) -> list[Array]:
    """new + z∘(kept − new): d, and −d∘z."""
    return [d, -m.store(d * a["z"])]


def of_blend_kept(m: Machine, a: dict[str, Array], d: Array) -> list[Array]:
    """kept − (1−z)∘(kept − new): d, and −d∘(1−z)."""
    return [d, -m.store(d * m.store(1 - a["z"]))]


def of_square(m: Machine, a: dict[str, Array], d: Array) -> list[Array]:
    """x∘x: d∘x twice."""
    return [m.store(d * a["z"])] * 2


def of_silu(m: Machine, a: dict[str, Array], d: Array) -> list[Array]:
    """x∘σ(x): d∘σ, and (d∘x)∘(σ∘(1−σ))."""
    s = m.store(sigmoid(a["z"]))
    return [m.store(d * s), m.store(m.store(d * a["z"]) * m.store(s * m.store(1 - s)))]


def of_softplus(m: Machine, a: dict[str, Array], d: Array) -> list[Array]:
    """x + log(1+e⁻ˣ): d, and −d∘e⁻ˣ/(1+e⁻ˣ)."""
    e = m.store(np.exp(-a["z"]))
    return [d, -m.store(d * m.store(e / m.store(1 + e)))]


FORMS: dict[str, tuple[Callable[[Any], Any], str, Parts]] = {
    "z of a blend": (lambda a: blend(a["z"], a["kept"], a["new"]), "z", of_blend_z),
    "new of a blend": (lambda a: blend(a["z"], a["kept"], a["new"]), "new", of_blend_new),
    "kept of a blend": (lambda a: blend(a["z"], a["kept"], a["new"]), "kept", of_blend_kept),
    "square": (lambda a: np.square(a["z"]), "z", of_square),
    "silu": (lambda a: silu(a["z"]), "z", of_silu),
    "softplus": (lambda a: softplus(a["z"]), "z", of_softplus),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SIMULATED)
def test_the_parts_of_an_adjoint_may_be_added_in_any_order(name: str, form: str) -> None:
    step, leaf, parts = FORMS[form]
    worst = 0.0
    for seed in range(60):
        m = Machine(PRECISIONS[name], seed)
        a = {"z": m.draw(N, M), "kept": m.draw(N, M)}
        if "blend" in form:  # a mask or a gate, and two values that nearly cancel
            a["z"] = np.abs(a["z"]) % 1.0
        a["new"] = m.store(a["kept"] * (1 + m.draw(N, M, scale=0.01)))
        outside, d = m.draw(N, M, scale=(1.0, 4.0, 30.0)[seed % 3]), m.draw(N, M)
        upstream = [exact(outside, m.p), exact(d, m.p)]
        named = {n: exact(v, m.p) for n, v in a.items()}
        ball = gradients(lambda t: [t[leaf], step(t)], named, upstream)[1][leaf]
        own = [outside, *parts(m, a, d)]
        for _ in range(8):
            first, second, third = (own[k] for k in m.rng.permutation(3))
            worst = max(worst, ratio(ball, m.store(m.store(first + second) + third)))
    print(f"{name}, {form}: error/radius {worst:.3f}")
    assert 0.01 < worst <= 1
