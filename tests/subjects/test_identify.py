"""Inference is right for every order, form and layout, and refuses what it cannot tell."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.checking.oracle import compare_all, expected
from gatewise.properties.subjects.adapting.identify import Identified, _Probe, identify
from gatewise.properties.subjects.capabilities import SubjectError
from tests.subjects.synthetic import Synthetic, synthetic

LSTM_ORDERS = ["".join(p) for p in permutations("ifgo")]
GRU_ORDERS = ["".join(p) for p in permutations("rzn")]


def agrees(found: Identified, biases: int) -> None:
    """The adapter that states what was found holds against the reference, on another case."""
    kind, cell = found.hypothesis.options.kind, found.hypothesis.style.cell
    subject = found.adapter.subject()
    case = Case(kind, cell=cell, input_size=4, hidden_size=2, batch=2, bias=biases > 0)
    case = case.but(**{**subject.form, "time": 1 if cell else 3, "seed": 7, "precision": "float64"})
    check = Check()
    compare_all(check, subject.run(case), expected(case))
    assert check.comparisons > 0


@pytest.mark.parametrize("biases", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("cell", [False, True])
def test_all_orders_of_an_lstm(cell: bool, transposed: bool, biases: int) -> None:
    for order in LSTM_ORDERS:
        own = synthetic(kind="LSTM", order=order, transposed=transposed, biases=biases, cell=cell)
        found = identify(own)
        assert found.hypothesis.order == order
        assert bool(found.hypothesis.layout.transposed) == transposed
        assert found.like == ("LSTMCell" if cell else "LSTM")
        assert found.sentence == (
            f"an LSTM{' cell' * cell}, order {' '.join(order)}, "
            f"{('one bias', 'two biases')[biases - 1]}{', matrices (in, out)' * transposed}"
        )
        agrees(found, biases)


@pytest.mark.parametrize("biases", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("cell", [False, True])
def test_all_orders_and_forms_of_a_gru(cell: bool, transposed: bool, biases: int) -> None:
    for order, after, keeps in product(GRU_ORDERS, (True, False), (True, False)):
        options = {"transposed": transposed, "biases": biases, "cell": cell}
        own = synthetic(kind="GRU", order=order, reset_after=after, update_keeps=keeps, **options)
        found = identify(own)
        assert found.hypothesis.order == order
        assert bool(found.hypothesis.layout.transposed) == transposed
        assert found.hypothesis.options.reset_after == after
        assert found.hypothesis.options.update_keeps == keeps
        assert found.sentence == (
            f"a GRU{' cell' * cell}, reset gate {'after' if after else 'before'} the matmul, "
            f"order {' '.join(order)}, {('one bias', 'two biases')[biases - 1]}"
            f"{', matrices (in, out)' * transposed}; "
            f"z {'keeps the old state' if keeps else 'takes n'}"
        )
        agrees(found, biases)


@pytest.mark.parametrize("form", ["joined", "apart"])
@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize(("kind", "order"), [("LSTM", "ogif"), ("GRU", "nzr")])
def test_weights_in_one_matrix_and_a_matrix_for_each_gate(
    kind: str, order: str, biases: int, form: str
) -> None:
    found = identify(synthetic(kind=kind, order=order, biases=biases, form=form))
    assert found.hypothesis.order == order
    assert ("[weight_ih|weight_hh] in one matrix" in found.sentence) == (form == "joined")
    agrees(found, biases)


@pytest.mark.parametrize("states", ["hc", "ch"])
@pytest.mark.parametrize("batch_major", [False, True])
def test_order_of_states_and_layout_of_the_input(batch_major: bool, states: str) -> None:
    own = synthetic(kind="LSTM", order="ifgo", states=states, batch_major=batch_major)
    found = identify(own)
    assert found.adapter.layout == ("batch-major" if batch_major else "")
    assert "".join(found.adapter.states) == states
    agrees(found, 2)


class WithoutAxis(Synthetic):
    """Takes and returns states (B, H), batch-major: the LSTM of many a tutorial."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, "LSTM", "ifgo", biases=1, batch_major=True)

    def forward(self, x: Any, state: Any = None) -> Any:
        output, last = super().forward(x, tuple(s[None] for s in state))
        return output, tuple(s[0] for s in last)


def test_states_without_an_axis_of_layers() -> None:
    found = identify(WithoutAxis)
    assert found.text().endswith("layout='batch-major', layer_axis=False)")
    assert "states without an axis of layers" in found.sentence
    agrees(found, 1)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize("cell", [False, True])
def test_an_rnn(cell: bool, biases: int, transposed: bool) -> None:
    own = synthetic(kind="RNN", order="h", biases=biases, transposed=transposed, cell=cell)
    found = identify(own)
    assert found.sentence.startswith(f"an RNN{' cell' * cell}, tanh, ")
    agrees(found, biases)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_torch_is_drop_in(kind: str) -> None:
    found = identify(getattr(nn, kind))
    assert found.drop_in
    assert found.like == kind


def test_relu_is_told_from_tanh() -> None:
    def relu(input_size: int, hidden_size: int) -> nn.Module:
        return nn.RNN(input_size, hidden_size, nonlinearity="relu")

    assert identify(relu).sentence == "an RNN, relu, two biases"
    assert identify(relu).adapter.form == {"nonlinearity": "relu"}


class InsideBias(Synthetic):
    """A GRU whose one bias is in the reset product: b_hn without b_in."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, "GRU", "rzn", biases=2)
        del self.b

    def bias(self, name: str) -> dict[str, Any]:
        return dict.fromkeys(self.order, 0.0) if name == "b" else super().bias(name)


class OneBiasAndB_hn(Synthetic):
    """A GRU with one bias for r and z, and two for n, as MLX's."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, "GRU", "zrn", biases=1)
        self.bhn = nn.Parameter(torch.zeros(hidden_size))

    def bias(self, name: str) -> dict[str, Any]:
        if name == "b":
            return super().bias(name)
        return {"r": 0.0, "z": 0.0, "n": self.bhn}


def test_which_bias_of_a_gru_is_reset() -> None:
    outside = identify(synthetic(kind="GRU", order="rzn", biases=1))
    inside = identify(InsideBias)
    assert outside.adapter.form == {"biases": ("ih",)}
    assert inside.adapter.form == {"biases": ("hh",)}
    assert "one bias, which is reset" in inside.sentence
    beside = identify(OneBiasAndB_hn)
    assert "order z r n, one bias and b_hn" in beside.sentence
    for found in (outside, inside, beside):
        agrees(found, 1)


class NumpyLSTM:
    """Weights in attributes, NumPy in and out; order o f i g on [h, x]."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.kernel = np.zeros((4 * hidden_size, hidden_size + input_size))
        self.offset = np.zeros(4 * hidden_size)

    def __call__(self, x: Any, state: Any) -> Any:
        h, c = (s[0] for s in state)
        outputs = []
        for x_t in x:
            a = np.concatenate([h, x_t], axis=-1) @ self.kernel.T + self.offset
            o, f, i, g = np.split(a, 4, axis=-1)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            outputs.append(h)
        return np.stack(outputs), h[None], c[None]


def test_numpy_in_and_out() -> None:
    found = identify(NumpyLSTM)
    assert found.text() == (
        "Adapter(NumpyLSTM, like='LSTM', weights={'kernel': 'weight_hh|weight_ih', "
        "'offset': 'bias'}, gates='ofig', arrays='numpy')"
    )
    agrees(found, 1)


class IgnoresState(Synthetic):
    """An LSTM that starts from zeros whatever it is given."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, "LSTM", "ifgo")

    def forward(self, x: Any, state: Any = None) -> Any:
        return super().forward(x, tuple(torch.zeros_like(s) for s in state))


class SharedForgetAndInput(Synthetic):
    """An LSTM whose input gate is used as its output gate as well: no order of four explains it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, "LSTM", "ifgo")

    def gates(self, name: str, of: Any) -> Any:
        parts = super().gates(name, of)
        return {**parts, "o": parts["i"]}


class NeedsMore(nn.Module):
    """Weights of a shape that no layout has."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(5 * hidden_size, input_size + hidden_size))

    def forward(self, x: Any, state: Any) -> Any:
        return state


class Twins(nn.Module):
    """Returns zeros whatever it is given: h = c = 0 is what no LSTM does here."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size)

    def forward(self, x: Any, state: Any) -> Any:
        h, c = self.cell(x, state)
        return h * float("nan"), c


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (IgnoresState, "the nearest hypothesis is an LSTM, order"),
        (SharedForgetAndInput, "the nearest hypothesis is an LSTM, order"),
        (NeedsMore, "no known layout has weights W"),
        (Twins, "the nearest hypothesis is an LSTM cell"),
        (nn.Linear, "it can be called neither as a layer nor as a cell"),
        (nn.Transformer, "called with (5, 3) it raises AssertionError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_no_hypothesis_explains_is_refused(own: Any, why: str) -> None:
    with pytest.raises(SubjectError) as caught:
        identify(own)
    assert f"{own.__name__} cannot be identified: {why}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reading_that_several_hypotheses_share_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With weights of zero every order is right, so the answer must be none of them."""
    zeros = lambda probe, seed: {n: np.zeros(s) for n, s in probe.shapes.items()}  # noqa: E731
    monkeypatch.setattr(_Probe, "weights", zeros)
    with pytest.raises(
        SubjectError, match="its results fit more than one hypothesis: an LSTM, order i f g o"
    ) as caught:
        identify(nn.LSTM)
    assert " or an LSTM, order i f o g" in str(caught.value)
