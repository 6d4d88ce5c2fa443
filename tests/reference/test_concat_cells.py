"""Cells on [x, h]: against equations written a second time with scalars of 50 digits, and ONNX."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check, Mismatch, agree
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.reference.ball import Ball, exact
from gatewise.reference.concat_cells import (
    gate_count,
    gate_layers,
    step,
    weight_shapes,
)
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.steps import cell
from tests.reference.test_log_softmax import by_digits
from tests.reference.test_mpmath import Row, logistic, product, row, worst_ratio
from tests.reference.test_onnx import H, I, evaluate

P = PRECISIONS["float64"]
B, O = 2, 5  # noqa: E741
CONCAT_KINDS = [name for name, kind in KINDS.items() if kind.concat]
SUBJECTS = {s.kind: s for s in BUILTIN.values() if s.kind in CONCAT_KINDS}


@pytest.fixture(autouse=True)
def fifty_digits() -> Any:
    with mpmath.workdps(50):
        yield


def draw(kind: str, seed: int) -> tuple[dict[str, Array], Array, tuple[Array, ...]]:
    rng = np.random.RandomState(seed)
    w = {n: rng.standard_normal(s) for n, s in weight_shapes(kind, I, H, O).items()}
    parts = 2 if KINDS[kind].base == "LSTM" else 1
    scale = 10.0 ** rng.uniform(-2, 1)
    return (
        w,
        scale * rng.standard_normal((B, I)),
        tuple(rng.standard_normal((B, H)) for _ in range(parts)),
    )


def scalars(kind: str, w: dict[str, Array], x: Row, h: Row, *c: Row) -> dict[str, Row]:
    """One row of one step, a gate at a time."""
    a = [product(w[f"{n}.weight"], x + h, w[f"{n}.bias"]) for n in gate_layers(kind)]
    if kind == "SharedRNN":
        return {"h": a[0], "logits": product(w["i2o.weight"], x + h, w["i2o.bias"])}
    found: dict[str, Row] = {}
    if KINDS[kind].base == "RNN":
        new = [mpmath.tanh(v) for v in a[0]]
    elif KINDS[kind].base == "LSTM":
        i, f, o = ([logistic(v) for v in a[k]] for k in (0, 1, 3))
        found["c"] = [f[k] * c[0][k] + i[k] * mpmath.tanh(a[2][k]) for k in range(H)]
        new = [o[k] * mpmath.tanh(found["c"][k]) for k in range(H)]
    else:
        r, z = ([logistic(v) for v in a[k]] for k in (0, 1))
        name = gate_layers(kind)[2]
        seen = x + [r[k] * h[k] for k in range(H)]
        n = [mpmath.tanh(v) for v in product(w[f"{name}.weight"], seen, w[f"{name}.bias"])]
        new = [(1 - z[k]) * h[k] + z[k] * n[k] for k in range(H)]
    return {"h": new, "logits": product(w["output.weight"], new, w["output.bias"]), **found}


@pytest.mark.parametrize("kind", CONCAT_KINDS)
def test_a_step_lies_within_its_float64_ball(kind: str) -> None:
    ratios = []
    for seed in range(8):
        w, x, state = draw(kind, seed)
        balls = step(kind, w, exact(x, P), tuple(exact(s, P) for s in state))
        rows = [scalars(kind, w, row(x[k]), *(row(s[k]) for s in state)) for k in range(B)]
        for name in balls:
            want = [r["logits"] if name == "output" else r[name] for r in rows]
            if name == "output":
                want = [by_digits(np.array(r, dtype=object)) for r in want]
            ratios.append(worst_ratio(balls[name], want))
        values = step(kind, w, x, state)
        assert all(np.array_equal(values[n], balls[n].v) for n in balls)
    assert 0 < max(ratios) <= 0.5  # the ball holds a subject's error beside the reference's


@pytest.mark.parametrize("kind", CONCAT_KINDS)
def test_counts_are_those_of_an_rnn_times_the_layers_of_its_own(kind: str) -> None:
    layers = 1 if KINDS[kind].shared else len(KINDS[kind].gates)
    assert gate_count(kind, 3, 4) == layers * ((3 + 4) * 4 + 4)


def torchs(kind: str, w: dict[str, Array], negated: tuple[int, ...] = ()) -> dict[str, Array]:
    """The gates' weights by torch.nn's names for one layer, with a second bias of zeros."""
    blocks = [
        np.column_stack([w[f"{n}.weight"], w[f"{n}.bias"]]) * (-1.0 if k in negated else 1.0)
        for k, n in enumerate(gate_layers(kind))
    ]
    whole = np.concatenate(blocks)
    return {
        "weight_ih_l0": whole[:, :I].copy(),
        "weight_hh_l0": whole[:, I:-1].copy(),
        "bias_ih_l0": whole[:, -1].copy(),
        "bias_hh_l0": np.zeros(len(whole)),
    }


def as_onnx(kind: str, w: dict[str, Array], **options: Any) -> tuple[Options, dict[str, Array]]:
    """ONNX's operator that the cell is, and its weights: a GRU's z is inverted."""
    negated = (1,) if KINDS[kind].base == "GRU" else ()
    return Options(KINDS[kind].base, I, H, **options), torchs(kind, w, negated)


def compare(kind: str, seed: int, **options: Any) -> float:
    """The largest error / bound of five steps: the reference's and the subject's against ONNX."""
    w, _, state = draw(kind, seed)
    xs = np.random.RandomState(100 + seed).standard_normal((5, B, I))
    operator, weights = as_onnx(kind, w, **options)
    _, *finals = evaluate(operator, weights, xs, [s[None] for s in state], "forward")
    case = Case(kind, True, I, H, output_size=O, batch=B, precision="float64")
    subject, check = SUBJECTS[kind], Check()
    module = subject.build(case, w)
    balls: tuple[Ball, ...] = tuple(exact(s, P) for s in state)
    theirs, names = balls, ("h", "c")[: len(state)]
    by_name = {n.removesuffix("_l0"): v for n, v in weights.items()}
    for x in xs:
        results = step(kind, w, exact(x, P), balls)
        balls = tuple(results[n] for n in names)
        theirs = tuple(cell(operator, by_name, exact(x, P), theirs).values())
        got = subject.run(case, module, x=x, state=state)
        state = tuple(got[n].numpy() for n in names)
    for k, name in enumerate(names):
        # ONNX's evaluator computes its own form, which the reference's ball of that form bounds.
        agree(check, f"reference: {name}", finals[k][0], balls[k].v, theirs[k], balls[k])
        agree(check, f"subject: {name}", finals[k][0], state[k], theirs[k], balls[k])
    return check.worst


ON_ONNX = [k for k in CONCAT_KINDS if k != "SharedRNN"]


@pytest.mark.parametrize("kind", ON_ONNX)
def test_the_cell_is_onnxs_operator_over_a_sequence(kind: str) -> None:
    """The GRU with linear_before_reset=0 and z inverted, the LSTM with the one block repeated."""
    options = {"reset_after": False} if KINDS[kind].base == "GRU" else {}
    assert 0 < max(compare(kind, seed, **options) for seed in range(6)) <= 1


@pytest.mark.parametrize("kind", ["SharedGRU", "IndependentGRU"])
def test_the_gru_is_not_onnxs_with_the_reset_after_the_product(kind: str) -> None:
    with pytest.raises(Mismatch, match="reference: h"):
        compare(kind, 0, reset_after=True)


@pytest.mark.parametrize("kind", ["SharedGRU", "IndependentGRU"])
def test_the_gru_is_not_onnxs_with_z_as_it_stands(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(kind: str, w: dict[str, Array], **options: Any) -> tuple[Options, dict[str, Array]]:
        return Options("GRU", I, H, **options), torchs(kind, w)

    monkeypatch.setattr(f"{__name__}.as_onnx", plain)
    with pytest.raises(Mismatch, match="reference: h"):
        compare(kind, 0, reset_after=False)


def test_the_rnn_without_tanh_is_not_onnxs() -> None:
    with pytest.raises(Mismatch, match="reference: h"):
        compare("SharedRNN", 0)
