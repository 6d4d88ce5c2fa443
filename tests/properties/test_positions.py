"""Options by position: another order is seen, and who takes them by name alone is not asked."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, subject_of
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.builtin import BUILTIN


class BatchFirstBeforeBias(nn.LSTM):
    """The two flags change places, as in a library that people use."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
        )


class NonlinearityFirst(nn.RNNCell):
    """The nonlinearity comes before the bias."""

    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", bias: bool = True
    ) -> None:
        super().__init__(input_size, hidden_size, bias, nonlinearity)


class ByName(nn.GRU):
    """Every option is passed by name."""

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)


class OneLayer(nn.GRU):
    """It does not have all options."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, bias=bias)


def record(subject: Any) -> Record:
    """The record of the property."""
    plan = Plan(CATALOGUE["options_may_be_given_by_position"], subject_of(subject), "float32")
    return run(plan, profile="quick", seed=1)


@pytest.mark.parametrize(
    "name", [n for n in BUILTIN if n.startswith(("torch.nn.", "gatewise.impl"))]
)
def test_built_in_classes_take_them(name: str) -> None:
    prop = CATALOGUE["options_may_be_given_by_position"]
    if BUILTIN[name].like in prop.of:
        assert record(BUILTIN[name]).status == HOLDS


@pytest.mark.parametrize("own", [BatchFirstBeforeBias, NonlinearityFirst])
def test_another_order_is_falsified(own: type) -> None:
    assert record(own).status == FALSIFIED


@pytest.mark.parametrize("own", [ByName, OneLayer])
def test_who_has_no_such_order_is_not_asked(own: type) -> None:
    assert record(own).status == UNSUPPORTED
