"""The reference against ONNX's ReferenceEvaluator: RNN, LSTM and GRU by a package of others.

ONNX stacks the gates i o f c (LSTM) and z r h (GRU); both linear_before_reset forms of GRU are
run.  The evaluator computes in the type it is given, here float64: its result and the reference's
are two correct computations, and the ball's charge covers both.  It offers no Relu, which
test_mpmath.py covers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.reference.ball import exact
from gatewise.reference.formats import PRECISIONS, Array
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from gatewise.reference.unroll import layer

P = PRECISIONS["float64"]
T, B, I, H = 5, 3, 2, 4  # noqa: E741

#: Rows of torch's order of gates, in ONNX's order.
ORDER = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def stacked(kind: str, w: Array, order: tuple[int, ...] | None = None) -> Array:
    """Torch's rows in ONNX's order of gates."""
    blocks = np.split(w, len(ORDER[kind]))
    return np.concatenate([blocks[k] for k in (order or ORDER[kind])])


def evaluate(
    options: Options,
    w: dict[str, Array],
    x: Array,
    state: list[Array],
    direction: str,
    order: tuple[int, ...] | None = None,
) -> list[Array]:
    """Y (T, D, B, H), Y_h (D, B, H) and Y_c where there is one, by ONNX's operator."""
    kind = options.kind
    ends = {"forward": ("",), "reverse": ("",), "bidirectional": ("", "_reverse")}[direction]
    pick = lambda name: np.stack(  # noqa: E731
        [stacked(kind, w[f"{name}_l0{end}"], order) for end in ends]
    )
    bias = np.concatenate([pick("bias_ih"), pick("bias_hh")], axis=-1)
    feeds = {"X": x, "W": pick("weight_ih"), "R": pick("weight_hh"), "B": bias, "h": state[0]}
    names = ["X", "W", "R", "B", "", "h"]
    outputs = ["Y", "Y_h"]
    attributes: dict[str, Any] = {"hidden_size": H, "direction": direction}
    if kind == "LSTM":
        feeds["c"] = state[1]
        names.append("c")
        outputs.append("Y_c")
    if kind == "GRU":
        attributes["linear_before_reset"] = int(options.reset_after)
    if kind == "RNN":
        attributes["activations"] = ["Tanh"] * len(ends)
    node = helper.make_node(kind, names, outputs, **attributes)
    info = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in feeds]
    out = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in outputs]
    model = helper.make_model(helper.make_graph([node], "one", info, out))
    return [np.asarray(r) for r in ReferenceEvaluator(model).run(None, feeds)]


FORMS = {
    "RNN": Options("RNN", I, H),
    "LSTM": Options("LSTM", I, H),
    "GRU-reset-after": Options("GRU", I, H),
    "GRU-reset-before": Options("GRU", I, H, reset_after=False),
}


def draw(options: Options, seed: int) -> tuple[dict[str, Array], Array, list[Array]]:
    rng = np.random.RandomState(seed)
    w = {n: rng.standard_normal(s) for n, s in weight_shapes(options).items()}
    x = rng.standard_normal((T, B, I))
    parts = 2 if options.kind == "LSTM" else 1
    return w, x, [rng.standard_normal((options.directions, B, H)) for _ in range(parts)]


def compare(options: Options, direction: str, seed: int, order: Any = None) -> float:
    """The largest error / bound between ONNX's results and the reference's ball."""
    w, x, state = draw(options, seed)
    got = evaluate(options, w, x, state, direction, order)
    forward = x[::-1] if direction == "reverse" else x
    want = layer(options, w, exact(forward, P), [exact(s, P) for s in state])
    check = Check()
    Y = got[0].transpose(0, 2, 1, 3).reshape(T, B, -1)
    check.close("Y", Y[::-1] if direction == "reverse" else Y, want.output)
    check.close("Y_h", got[1], want.h_n)
    if options.kind == "LSTM":
        check.close("Y_c", got[2], want.c_n)
    assert check.comparisons == len(got)
    return check.worst


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("form", FORMS)
def test_onnx_agrees_within_the_ball(form: str, direction: str) -> None:
    base = FORMS[form]
    options = Options(
        base.kind,
        I,
        H,
        bidirectional=direction == "bidirectional",
        reset_after=base.reset_after,
    )
    assert 0 < max(compare(options, direction, seed) for seed in range(5)) <= 1


@pytest.mark.parametrize(("kind", "wrong"), [("LSTM", (0, 1, 2, 3)), ("GRU", (0, 1, 2))])
def test_a_wrong_order_of_gates_is_seen(kind: str, wrong: tuple[int, ...]) -> None:
    with pytest.raises(Mismatch):
        compare(Options(kind, I, H), "forward", 0, wrong)


def test_the_two_forms_of_gru_differ() -> None:
    w, x, state = draw(FORMS["GRU-reset-after"], 0)
    results = [
        evaluate(FORMS[f"GRU-reset-{form}"], w, x, state, "forward")[0]
        for form in ("after", "before")
    ]
    assert not np.array_equal(*results)
