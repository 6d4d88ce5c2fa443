"""Combinations of options: a code for each case, and what was drawn together."""

from __future__ import annotations

import pytest

from gatewise.properties.cases.case import Case
from gatewise.properties.cases.combinations import (
    LETTERS,
    code_of,
    never,
    possible,
    together,
    values_of,
)


def test_a_code_gives_the_options_of_its_case_back() -> None:
    case = Case(
        "LSTM",
        num_layers=5,
        bidirectional=True,
        bias=False,
        batch=2,
        time=3,
        lengths=(3, 1),
        with_state=False,
        hidden_size=3,
        proj_size=1,
        training=False,
    )
    assert dict(values_of(code_of(case))) == {
        "layers": "3 or more",
        "direction": "both",
        "bias": "no",
        "batch_first": "no",
        "state": "none",
        "form": "ragged",
        "projection": "yes",
        "nonlinearity": "tanh",
        "mode": "eval",
    }
    assert dict(values_of(code_of(Case("GRU", cell=True, batch=None))))["form"] == "unbatched"


@pytest.mark.parametrize(("code", "said"), [("1f", "a letter for each"), ("1xyyydntt", "'x'")])
def test_what_is_no_code_is_refused(code: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        values_of(code)


def test_what_was_never_drawn_together_is_named() -> None:
    counted = {"1fyyydntt": 3, "2byyydntt": 4}
    assert together(counted, 2)[("layers", "2"), ("direction", "both")] == 4
    assert set(never(counted)) == {
        (("layers", "1"), ("direction", "both")),
        (("layers", "2"), ("direction", "forward")),
    }
    # Two options have two values each, and the other seven have one.
    assert possible(counted, 2) == 2 * 2 + 2 * 2 * 7 + 7 * 6 // 2
    assert len(together(counted, 2)) == possible(counted, 2) - 2
    assert possible({}, 2) == 0
    assert len(LETTERS) == 9
