"""Faults that are read from wrong gradients: factors and numbers, within derived bounds."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.oracle import expected_gradients, upstream_arrays
from gatewise.properties.reporting.backward_legs import Pass
from gatewise.properties.reporting.factors_of_gradients import (
    Seen,
    factor,
    group,
    named_factors,
    named_orders,
    number,
)
from gatewise.properties.reporting.faults_of_claims import told_faults

SPREAD = Case("GRU", weights="spread", inputs="spread", states="spread", input_size=2)


def seen(case: Case, changes: dict[str, float]) -> Seen:
    """A pass whose gradients are the reference's, of which some are multiplied."""
    upstream = upstream_arrays(case)
    want = expected_gradients(case, upstream)
    got = {n: ball.v * changes.get(n, 1.0) for n, ball in want.items()}
    return Seen(Pass(case, upstream), got, want)


def passes(changes: dict[str, float]) -> list[Seen]:
    cases = [SPREAD.but(hidden_size=3, batch=2, time=3, seed=seed) for seed in range(3)]
    return [seen(case, changes) for case in cases]


@pytest.mark.parametrize(
    ("k", "words"),
    [(0.0, "dropped"), (2.0, "multiplied by 2"), (-1.0, "multiplied by -1")],
)
def test_a_factor_is_named(k: float, words: str) -> None:
    found = named_factors(passes({"bias_ih_l0": k}))
    assert found == [f"the gradient of bias_ih {words}"]


def test_no_factor_explains_gradients_with_different_ones() -> None:
    own = passes({"bias_ih_l0": 2.0})
    other = passes({"bias_ih_l0": 3.0})
    assert named_factors([*own, *other]) == []


def test_the_range_of_a_right_gradient_contains_one() -> None:
    (s, *_) = passes({})
    for name, ball in s.want.items():
        low, high = factor(s.got[name], ball)
        assert low <= 1.0 <= high
    assert not s.wrong()


def test_an_order_of_gates_is_named() -> None:
    changed = []
    for s in passes({}):
        blocks = np.split(s.got["bias_hh_l0"], 3)
        changed.append(Seen(s.given, {**s.got, "bias_hh_l0": np.concatenate(blocks[::-1])}, s.want))
    words = "with its gates in the order n z r, and not r z n"
    assert named_orders(changed, "GRU") == [f"the gradient of bias_hh {words}"]


def test_gradients_are_named_as_groups() -> None:
    every = [f"{n}_l{k}" for n in ("weight_hh", "bias_hh") for k in (0, 1)]
    above = " of the layers above the first"
    assert group(["bias_hh_l1"], every) == f"the gradient of bias_hh{above}"
    both = f"the gradient of bias_hh and weight_hh{above}"
    assert group(["bias_hh_l1", "weight_hh_l1"], every) == both
    assert group(every, every) == "every gradient"


def test_the_shortest_number_of_a_range() -> None:
    assert number(999.9997, 1000.0002) == "1000"
    assert number(1.0009999, 1.0010001) == "1.001"


def test_a_claim_tells_its_fault() -> None:
    message = "the arguments that live after backward is ['input', 'h_0'], expected []"
    told = told_faults("graph_is_freed", message)
    assert told == ("a graph that keeps input, h_0 alive after: backward",)
    assert told_faults("equals_reference", "output[0]: got 1, expected 2") == ()
