"""Radii of the tape against torch.autograd, in low precision, of steps written in two orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.reference import concat_cells
from gatewise.reference.activations import sigmoid
from gatewise.reference.ball import exact
from gatewise.reference.concat_backward import tag_backward
from gatewise.reference.formats import PRECISIONS
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from gatewise.reference.tagger import tagger_weight_shapes
from gatewise.reference.tape import gradients
from gatewise.reference.unroll import layer
from tests.reference.test_backward import DTYPES, torch_layer

T, B, I, H, O = 4, 3, 2, 3, 4  # noqa: E741
LENGTHS = (2, 4, 3)
Named = Mapping[str, Any]
Formula = Callable[[Named], dict[str, Any]]
LOW = ("float32", "bfloat16")


def worst_ratio(
    precision: str,
    shapes: Mapping[str, tuple[int, ...]],
    formula: Formula,
    subjects: Sequence[Formula],
    seeds: range,
) -> tuple[float, int]:
    """The largest error / radius of torch's gradients, and the number of comparisons."""
    p, dtype, worst, compared = PRECISIONS[precision], DTYPES[precision], 0.0, 0
    for seed in seeds:
        rng, scale = np.random.RandomState(seed), (0.3, 1.0, 3.0)[seed % 3]
        a = {n: p.storage.round(scale * rng.standard_normal(s)) for n, s in shapes.items()}
        upstream = {n: p.storage.round(rng.standard_normal(r.shape)) for n, r in formula(a).items()}
        want = gradients(
            lambda t: list(formula(t).values()),
            {n: exact(v, p) for n, v in a.items()},
            [exact(d, p) for d in upstream.values()],
        )[1]
        for subject in subjects:
            leaves = {n: torch.tensor(v, dtype=dtype, requires_grad=True) for n, v in a.items()}
            results = subject(leaves)
            outside = [torch.tensor(d, dtype=dtype) for d in upstream.values()]
            got = torch.autograd.grad(
                [results[n] for n in upstream], list(leaves.values()), outside, allow_unused=True
            )
            for name, value in zip(leaves, got, strict=True):
                error, radius = np.abs(_array(value, want[name]) - want[name].v), want[name].radius
                assert (error[radius == 0] == 0).all(), name
                ratio = error[radius > 0] / radius[radius > 0]
                worst, compared = max(worst, float(ratio.max(initial=0.0))), compared + error.size
                assert worst <= 1, (name, seed)
    return worst, compared


def _array(value: Any, like: Any) -> Any:
    return np.zeros(like.shape) if value is None else value.double().numpy()


# ---------------------------------------------------------------------- layers of torch.nn's kinds


def batched(o: Options, a: Named) -> dict[str, Any]:
    """One layer in one direction, all sequences at once, all gates in one product."""
    w = {n.removesuffix("_l0"): v for n, v in a.items()}
    h, c, outputs = w["h_0"][0], w["c_0"][0] if "c_0" in w else None, []
    shares = w["input"] @ w["weight_ih"].T + w["bias_ih"]
    for t in range(T):
        rows = (torch.tensor(LENGTHS) > t)[:, None]
        x, before = shares[t], h
        if o.kind == "LSTM":
            i, f, g, q = (x + (h @ w["weight_hh"].T + w["bias_hh"])).chunk(4, -1)
            new = torch.sigmoid(i) * torch.tanh(g) + torch.sigmoid(f) * c
            h = torch.sigmoid(q) * torch.tanh(new)
            h = h @ w["weight_hr"].T if o.proj_size else h
            c = torch.where(rows, new, c)
        elif o.kind == "GRU":
            x_r, x_z, x_n = x.chunk(3, -1)
            h_r, h_z, h_n = (h @ w["weight_hh"].T + w["bias_hh"]).chunk(3, -1)
            z, n = torch.sigmoid(x_z + h_z), torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
            h = n + z * (h - n)
        else:
            h = torch.tanh(x + h @ w["weight_hh"].T + w["bias_hh"])
        outputs.append(torch.where(rows, h, 0.0))
        h = torch.where(rows, h, before)
    results = {"output": torch.stack(outputs), "h_n": h[None]}
    return results | ({"c_n": c[None]} if c is not None else {})


def layer_problem(kind: str) -> tuple[dict[str, tuple[int, ...]], Formula, list[Formula]]:
    """Shapes, the reference's forward formula, and torch's two forms of it."""
    o = Options(kind.removesuffix("P"), I, H, proj_size=2 * kind.endswith("P"))
    shapes: dict[str, tuple[int, ...]] = {"input": (T, B, I), "h_0": (1, B, o.state_size)}
    shapes |= ({"c_0": (1, B, H)} if o.kind == "LSTM" else {}) | weight_shapes(o)

    def formula(a: Named) -> dict[str, Any]:
        w = {n: a[n] for n in weight_shapes(o)}
        state = [a[n] for n in ("h_0", "c_0") if n in a]
        return layer(o, w, a["input"], state, LENGTHS).named()

    return shapes, formula, [lambda a: torch_layer(o, a, LENGTHS), lambda a: batched(o, a)]


# ---------------------------------------------------------------------- a step of its own

#: Peephole weights (H,), and a weight (H,) that the output is scaled by, on one factor chain.
PEEPHOLE = {
    "input": (T, B, I),
    "h": (B, H),
    "c": (B, H),
    "W": (I + H, 4 * H),
    "b": (4 * H,),
    "p_i": (H,),
    "p_o": (H,),
    "scale": (H,),
}


def peephole(a: Named) -> dict[str, Any]:
    """An LSTM with peepholes, and a scaled, gated output; plain NumPy."""
    h, c, total = a["h"], a["c"], None
    for t in range(T):
        gates = np.concatenate([a["input"][t], h], axis=-1) @ a["W"] + a["b"]
        i, f, g, o = np.split(gates, 4, axis=-1)
        new = sigmoid(f) * c + sigmoid(i + a["p_i"] * c) * np.tanh(g)
        m = sigmoid(o + a["p_o"] * new) * np.tanh(new) * a["scale"] * np.tanh(g)
        runs = (t < np.array(LENGTHS))[:, None]
        h, c = np.where(runs, m, h), np.where(runs, new, c)
        total = m if total is None else total + m
    return {"h": h, "c": c, "total": total}


def torch_peephole(a: Named, other: bool) -> dict[str, Any]:
    """The same, or the products in another order, each gate and each input by itself."""
    h, c, outputs = a["h"], a["c"], []
    for t in range(T):
        x = a["input"][t]
        if other:
            pairs = zip(a["W"].chunk(4, 1), a["b"].chunk(4), strict=True)
            i, f, g, o = (h @ w[I:] + (x @ w[:I] + b) for w, b in pairs)
        else:
            i, f, g, o = (torch.cat([x, h], -1) @ a["W"] + a["b"]).chunk(4, -1)
        new = torch.tanh(g) * torch.sigmoid(i + a["p_i"] * c) + torch.sigmoid(f) * c
        factors = [torch.sigmoid(o + a["p_o"] * new), torch.tanh(new), a["scale"], torch.tanh(g)]
        m = factors.pop() if other else factors.pop(0)
        while factors:
            m = factors.pop() * m if other else m * factors.pop(0)
        runs = (t < torch.tensor(LENGTHS))[:, None]
        h, c = torch.where(runs, m, h), torch.where(runs, new, c)
        outputs.append(m)
    total = sum(reversed(outputs[:-1]), outputs[-1]) if other else torch.stack(outputs).sum(0)
    return {"h": h, "c": c, "total": total}


# ---------------------------------------------------------------------- cells on [x, h], tagger


def concat_problem(kind: str) -> tuple[dict[str, tuple[int, ...]], Formula, list[Formula]]:
    """A cell on [x, h]; torch joins [x, h], or splits each weight."""
    shapes: dict[str, tuple[int, ...]] = {"input": (B, I), "h_0": (B, H)}
    shapes |= {"c_0": (B, H)} if "LSTM" in kind else {}
    weights = concat_cells.weight_shapes(kind, I, H, O)
    starts = [n for n in ("h_0", "c_0") if n in shapes]

    def formula(a: Named) -> dict[str, Any]:
        w = {n: a[n] for n in weights}
        return concat_cells.step(kind, w, a["input"], tuple(a[n] for n in starts))

    return (
        shapes | weights,
        formula,
        [
            lambda a: torch_concat(kind, a, False),
            lambda a: torch_concat(kind, a, True),
        ],
    )


def torch_concat(kind: str, a: Named, split: bool) -> dict[str, Any]:
    """One step of a cell on [x, h]."""
    x, h = a["input"], a["h_0"]

    def linear(name: str, left: Any, right: Any) -> Any:
        w, b = a[f"{name}.weight"], a[f"{name}.bias"]
        if split:
            return right @ w[:, I:].T + (left @ w[:, :I].T + b)
        return torch.nn.functional.linear(torch.cat([left, right], -1), w, b)

    def out(h: Any) -> Any:
        logits = torch.nn.functional.linear(h, a["output.weight"], a["output.bias"])
        return torch.log_softmax(logits, -1)

    layers = concat_cells.gate_layers(kind)
    if layers == ("i2h",):
        return {"output": torch.log_softmax(linear("i2o", x, h), -1), "h": linear("i2h", x, h)}
    if "GRU" in kind:
        r, z = (torch.sigmoid(linear(name, x, h)) for name in layers[:2])
        n = torch.tanh(linear(layers[2], x, r * h))
        h = n + (1 - z) * (h - n) if split else (1 - z) * h + z * n
        return {"output": out(h), "h": h}
    if "LSTM" in kind:
        i, f, g, o = (linear(name, x, h) for name in layers)
        c = torch.sigmoid(f) * a["c_0"] + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return {"output": out(h), "h": h, "c": c}
    h = torch.tanh(linear(layers[0], x, h))
    return {"output": out(h), "h": h}


CONCAT = [f"{form}{kind}" for form in ("Shared", "Independent") for kind in ("RNN", "LSTM", "GRU")]
STEPS: dict[str, tuple[dict[str, tuple[int, ...]], Formula, list[Formula]]] = {
    **{kind: layer_problem(kind) for kind in ("RNN", "LSTM", "LSTMP", "GRU")},
    "peephole": (
        PEEPHOLE,
        peephole,
        [lambda a: torch_peephole(a, False), lambda a: torch_peephole(a, True)],
    ),
    **{kind: concat_problem(kind) for kind in CONCAT},
}


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", STEPS)
def test_autograd_in_two_orders_stays_in_the_ball(name: str, precision: str) -> None:
    worst, compared = worst_ratio(precision, *STEPS[name], range(6))
    print(f"{name}, {precision}: {compared} comparisons, error/radius {worst:.3f}")
    assert 0.01 < worst <= 1


@pytest.mark.parametrize("precision", LOW)
def test_the_tagger_of_torch_stays_in_the_ball(precision: str) -> None:
    p, dtype, ids, worst = PRECISIONS[precision], DTYPES[precision], np.array([3, 0, 3, 1]), 0.0
    for seed in range(6):
        rng = np.random.RandomState(seed)
        shapes = tagger_weight_shapes(I, H, 5, O)
        a = {n: p.storage.round(rng.standard_normal(s)) for n, s in shapes.items()}
        d = p.storage.round(rng.standard_normal((4, O)))
        want = tag_backward({n: exact(v, p) for n, v in a.items()}, ids, {"output": exact(d, p)})
        leaves = {n: torch.tensor(v, dtype=dtype, requires_grad=True) for n, v in a.items()}
        words = torch.nn.functional.embedding(torch.tensor(ids), leaves["word_embeddings.weight"])
        flat = {n.removeprefix("lstm."): v for n, v in leaves.items() if n.startswith("lstm.")}
        h, c, rows = torch.zeros(H, dtype=dtype), torch.zeros(H, dtype=dtype), []
        for x in words:
            gates = flat["weight_ih_l0"] @ x + flat["bias_ih_l0"]
            i, f, g, o = (gates + flat["weight_hh_l0"] @ h + flat["bias_hh_l0"]).chunk(4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            rows.append(h)
        logits = torch.stack(rows) @ leaves["hidden2tag.weight"].T + leaves["hidden2tag.bias"]
        loss = torch.log_softmax(logits, -1)
        got = torch.autograd.grad(loss, list(leaves.values()), torch.tensor(d, dtype=dtype))
        for name, value in zip(leaves, got, strict=True):
            error, radius = np.abs(value.double().numpy() - want[name].v), want[name].radius
            assert (error <= radius).all(), name
            worst = max(worst, float((error[radius > 0] / radius[radius > 0]).max()))
    assert 0.01 < worst <= 1
