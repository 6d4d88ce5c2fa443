"""Cases: pasted reprs, values exact in the format, real layouts, and what is drawn how often."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.cases.layouts import LAYOUTS, place
from gatewise.properties.cases.sizes import TILE_EDGES, WORK_BUDGET, work
from gatewise.properties.cases.strategies import cases
from gatewise.properties.cases.values import REGIMES, every_triple, seeded, signs, values
from gatewise.properties.checking.oracle import discriminates
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.precisions import dtype_of
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.reference.classes import TORCH
from gatewise.reference.formats import PRECISIONS

RUNS, EXAMPLES = 5, 120
CLASSES = tuple(TORCH)


@cache
def drawn(kind: str, precision: str) -> tuple[Case, ...]:
    """Five runs of agreement cases, from fixed seeds of each kind's own."""
    found: list[Case] = []
    first = RUNS * CLASSES.index(kind)
    for seed in range(first, first + RUNS):

        @hypothesis.seed(seed)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(CATALOGUE["equals_reference"].strategy(kind, precision))
        def collect(case: Case) -> None:
            found.append(case)

        collect()
    return tuple(found)


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_repr_can_be_pasted_and_gives_the_same_arrays(kind: str, precision: str) -> None:
    for case in drawn(kind, precision)[:40]:
        again = case_from(repr(case))
        assert again == case
        for a, b in zip(
            (*case.weight_arrays.values(), case.input_array, *case.state_arrays),
            (*again.weight_arrays.values(), again.input_array, *again.state_arrays),
            strict=True,
        ):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_values_are_exact_in_the_format(precision: str) -> None:
    dtype = dtype_of(precision)
    for case in drawn("LSTM", precision)[:200]:
        arrays = (*case.weight_arrays.values(), case.input_array, *case.state_arrays)
        for array in arrays:
            there = torch.from_numpy(array.copy()).to(dtype).double().numpy()
            assert np.array_equal(there, array)


def _bias_differs(case: Case) -> bool:
    first, second = (case.weight_arrays.get(f"bias_{s}_l0") for s in ("ih", "hh"))
    return first is not None and first.any() and second.any() and not (first == second).all()


#: What the mutants of real bugs need, and the share of LSTM cases that must have it.
OFTEN: dict[str, tuple[float, Callable[[Case], bool]]] = {
    "biases that differ": (0.3, _bias_differs),
    "no bias": (0.2, lambda c: not c.bias),
    "states that differ and are not zero": (
        0.5,
        lambda c: c.state_arrays[0].any() and c.state_arrays[1].any(),
    ),
    "no state passed": (0.05, lambda c: not c.with_state),
    "input size is not hidden size": (0.4, lambda c: c.input_size != c.hidden_size),
    "time 1": (0.04, lambda c: c.time == 1),
    "time above 1": (0.4, lambda c: c.time > 1),
    "batch 1": (0.04, lambda c: c.batch == 1),
    "batch above 1": (0.4, lambda c: (c.batch or 1) > 1),
    "one layer": (0.3, lambda c: c.num_layers == 1),
    "layers above 1": (0.15, lambda c: c.num_layers > 1),
    "both directions": (0.2, lambda c: c.bidirectional),
    "one direction": (0.2, lambda c: not c.bidirectional),
    "ragged lengths": (0.08, lambda c: c.lengths is not None and len({*c.lengths}) > 1),
    "equal lengths": (0.04, lambda c: c.lengths is not None and len({*c.lengths}) == 1),
    "unbatched": (0.03, lambda c: c.batch is None),
    "a projection": (0.08, lambda c: c.proj_size > 0),
    "a memory layout": (0.1, lambda c: c.layout != "contiguous"),
    "a tile edge": (0.02, lambda c: max(c.input_size, c.hidden_size, c.time) in TILE_EDGES),
    "can tell a wrong cell": (0.6, discriminates),
}


@pytest.mark.parametrize("what", OFTEN)
def test_what_must_be_drawn_often_is(what: str) -> None:
    # Each share asked is less than half of the one meant, over 600 cases from fixed seeds.
    least, feature = OFTEN[what]
    with np.errstate(all="ignore"):
        found = sum(map(bool, map(feature, drawn("LSTM", "float32"))))
    assert found / (RUNS * EXAMPLES) >= least


def test_every_regime_can_be_drawn_in_every_place() -> None:
    triples = every_triple()
    # As far as Hypothesis draws one of a sequence uniformly: each is drawn once in 256 cases.
    assert len(triples) <= 256
    for place_, regimes in zip(
        ("weights", "inputs", "states"), zip(*triples, strict=True), strict=True
    ):
        # Weights near the largest number would leave nothing to compare.
        wanted = set(REGIMES) - ({"huge"} if place_ == "weights" else set())
        assert set(regimes) == wanted
    given = {(c.weights, c.inputs, c.states) for k in CLASSES for c in drawn(k, "float32")}
    assert given <= set(triples)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_case_keeps_to_the_budget_of_work(kind: str) -> None:
    for case in drawn(kind, "float32"):
        sizes = (case.input_size, case.hidden_size, case.batch or 1, case.time)
        if max(sizes) > 6:
            assert work(*sizes) <= WORK_BUDGET


def test_the_simplest_case_is_the_smallest() -> None:
    simplest = hypothesis.find(
        cases("LSTM", False, "float32"), lambda c: True, settings=settings(database=None)
    )
    assert repr(simplest) == ("Case('LSTM', weights='zeros', inputs='zeros', states='zeros')")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (1, 1, 1), (4, 0, 3), (2, 1, 5)])
def test_a_layout_is_what_it_promises_and_holds_its_values(
    layout: str, shape: tuple[int, ...]
) -> None:
    rng = np.random.RandomState(0)
    array = values(rng, "normal", shape, PRECISIONS["float32"].storage)
    if layout == "expanded" and len(shape) > 1:
        array = np.broadcast_to(array[..., :1, :], shape)
    placed = place(array, layout, torch.float32, "cpu")
    assert np.array_equal(placed.double().numpy(), array)
    if shape == (4, 2, 3):
        assert placed.is_contiguous() == (layout in ("contiguous", "offset"))
        assert placed.storage_offset() == (3 if layout == "offset" else 0)


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(ValueError, match="layout 'diagonal' is not one of contiguous"):
        place(np.zeros((2, 2)), "diagonal", torch.float32, "cpu")


def test_a_run_of_agreement_ends_at_every_tile_edge() -> None:
    prop = CATALOGUE["equals_reference"]
    seen = {
        (name, getattr(case, name))
        for case in prop.edge_cases(BUILTIN["torch.nn.GRU"], "float32", 7)
        for name in ("input_size", "hidden_size", "batch", "time")
    }
    assert {
        (name, edge)
        for name in ("input_size", "hidden_size", "batch", "time")
        for edge in TILE_EDGES
    } <= seen
    assert not list(CATALOGUE["time_split"].edge_cases(BUILTIN["torch.nn.GRU"], "float32", 7))


def test_two_generators_of_one_seed_are_apart_and_those_of_numpy() -> None:
    first, second = seeded(3, 1), seeded(3, 1)
    own = np.random.RandomState((3, 1))
    for _ in range(3):  # in turns: neither takes what the other draws
        wanted = own.standard_normal(4)
        assert np.array_equal(first.standard_normal(4), wanted)
        assert np.array_equal(second.standard_normal(4), wanted)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7, 5, 2)])
def test_signs_are_those_of_choice_and_leave_the_stream_where_it_leaves_it(
    shape: tuple[int, ...],
) -> None:
    ours, numpys = seeded(7, 0), seeded(7, 0)
    np.testing.assert_array_equal(signs(ours, shape), numpys.choice((-1.0, 1.0), shape))
    assert ours.uniform() == numpys.uniform()
