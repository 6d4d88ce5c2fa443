"""`shapes=`: a subject that compiles a program for each shape meets few of them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import nn

import gatewise as gw
from gatewise.properties.cases.case import Case
from gatewise.properties.cases.shapes import chosen, of_shape
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import chosen as plans
from gatewise.properties.subjects.capabilities import SubjectError, Unsupported

CELL = [(3, 2, 4), (5, 4, 2)]
LAYER = [(3, 2, 4, 5), (2, 4, 3, 6)]


class Seen(nn.GRU):
    """A GRU that notes the shapes of its calls."""

    gatewise_shapes: ClassVar[Any] = LAYER
    shapes: ClassVar[set[tuple[int, ...]]] = set()

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, torch.Tensor) and input.dim() == 3:
            batch, time = input.shape[:2] if self.batch_first else input.shape[1::-1]
            self.shapes.add((self.input_size, self.hidden_size, batch, time))
        return super().forward(input, hx)


@pytest.mark.parametrize(
    "name",
    ["equals_reference", "gradients_are_right_for_any_upstream", "batch_rows_are_independent"],
)
def test_every_case_has_a_shape_that_is_stated(name: str) -> None:
    Seen.shapes.clear()
    # A trusted subject is called in this process, where the shapes can be read.
    subject = gw.Subject("seen", "GRU", Seen, shapes=tuple(LAYER))
    (plan,) = plans([subject], None, [name], ["float64"])
    record = run(plan, profile="quick", seed=1)
    assert record.passed, record.message
    assert record.cases > 1
    stated = plan.prop.shape_for(plan.subject)
    assert stated in LAYER
    assert f"all cases have the shape {stated}" in record.message
    if name != "batch_rows_are_independent":  # it calls rows alone as well
        assert Seen.shapes == {stated}


def test_the_claims_meet_every_shape() -> None:
    found = {chosen(tuple(LAYER), name, {}) for name in CATALOGUE}
    assert found == {*LAYER}


def test_a_claim_that_needs_other_sizes_is_unsupported() -> None:
    (plan,) = plans([Seen], "GRU", ["equals_reference"], ["float32"])
    assert chosen(((3, 2, 4, 5), (2, 4, 3, 6)), "a claim", {"least": {"time": 6}}) == (2, 4, 3, 6)
    prop = next(p for p in CATALOGUE.values() if (p.constraints.get("least") or {}).get("time"))
    small = gw.Subject("small", "GRU", nn.GRU, shapes=((1, 1, 1, 1),))
    with pytest.raises(Unsupported, match=r"no shape of .* has what the claim needs"):
        prop.cases_for(small, "float32")
    assert plan.subject.shapes == tuple(LAYER)


def test_a_case_keeps_its_form_of_input() -> None:
    for lengths, form in ((None, "dense"), ((3, 3), "equal"), ((3, 1), "ragged")):
        case = Case("LSTM", batch=2, time=3, lengths=lengths, seed=5)
        other = of_shape(case, (3, 2, 4, 5))
        assert (other.input_size, other.hidden_size, other.batch, other.time) == (3, 2, 4, 5)
        assert other.form == form
    alone = of_shape(Case("LSTM", batch=None, hidden_size=4, proj_size=3), (3, 2, 4, 5))
    assert (alone.batch, alone.proj_size) == (None, 1)


def test_an_adapter_has_shapes_too() -> None:
    adapter = gw.Adapter(nn.LSTMCell, like="LSTMCell", shapes=CELL)
    assert adapter.subject().shapes == tuple(CELL)
    records = gw.check_conformance(adapter, properties=["equals_reference"], profile="quick")
    assert all(r.passed and "all cases have the shape" in r.message for r in records)


@pytest.mark.parametrize("stated", [[(3, 2)], [(3, 2, 0)], [(3, 2, 4, 5)], 3, [3], [(3, 2, 1.0)]])
def test_what_is_no_shape_of_a_cell_is_one_line(stated: Any) -> None:
    with pytest.raises(SubjectError, match="expected tuples of 3 whole numbers from 1") as caught:
        gw.Adapter(nn.LSTMCell, like="LSTMCell", shapes=stated)
    assert "\n" not in str(caught.value)
    own = type("Own", (nn.LSTMCell,), {"gatewise_shapes": stated})
    with pytest.raises(SubjectError, match="gatewise_shapes: shapes="):
        plans([own], "LSTMCell")
