"""What is left after many calls, and cases with one large size."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from torch import Tensor

from gatewise import impl
from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.sizes import LARGE, large
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import HOLDS, Record
from gatewise.properties.subjects.capabilities import Unsupported
from gatewise.properties.subjects.protocol import Subject

GROWTH = CATALOGUE["calls_leave_nothing_behind"]
SIZES = CATALOGUE["large_sizes_equal_reference"]


class CachingRNNCell(impl.RNNCell):
    """Keeps the last eight inputs, as a cache of a fixed size does."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        cache = self.__dict__.setdefault("_cache", OrderedDict())
        cache[id(input)] = input
        while len(cache) > 8:
            cache.popitem(last=False)
        return super().forward(input, hx)


def put(name: str, like: str, factory: Any) -> Record:
    plan = Plan(CATALOGUE[name], Subject(like, like, factory), "float32")
    return run(plan, profile="quick", seed=2)


def test_a_cache_of_a_fixed_size_leaves_nothing_behind() -> None:
    record = put("calls_leave_nothing_behind", "RNNCell", CachingRNNCell)
    assert (record.status, record.message) == (HOLDS, "")


def test_every_kind_of_call_is_made_once_a_run() -> None:
    for like, kinds in (("LSTM", 5), ("LSTMCell", 4)):
        subject = Subject(like, like, getattr(impl, like))
        variants = [case.variant for case in GROWTH.edge_cases(subject, "float32", 1)]
        assert len(variants) == len(set(variants)) == kinds


def test_each_size_is_put_once_a_run_and_is_past_what_others_draw() -> None:
    layer = Subject("LSTM", "LSTM", impl.LSTM)
    made = [large(layer, case) for case in SIZES.edge_cases(layer, "float32", 1)]
    assert {case.variant for case in made} == set(SIZES.variants("LSTM"))
    for case in made:
        sizes = (case.input_size, case.hidden_size, case.batch or 1, case.time)
        assert max(sizes) > 129 or case.num_layers > 3
    products = [(case.batch or 1) * case.time for case in made]
    assert max(products) > 2**16
    assert max(case.hidden_size * case.time for case in made) > 2**16


def test_a_cell_has_no_steps_and_no_layers() -> None:
    variants = SIZES.variants("GRUCell")
    assert {name for name in LARGE if "steps" in name or "layers" in name} & {*variants} == set()
    assert "65537 rows" in variants


@pytest.mark.parametrize(
    ("variant", "gap"),
    [("8 layers of two directions", "bidirectional"), ("packed, 1025 rows", "packed")],
)
def test_a_size_that_needs_a_gap_is_unsupported(variant: str, gap: str) -> None:
    subject = Subject("LSTM", "LSTM", impl.LSTM, unsupported={gap: "left out"})
    with pytest.raises(Unsupported, match="left out"):
        large(subject, Case("LSTM", variant=variant))
