"""What a declaration says wrongly is one line that names the step's line and what is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import gatewise as gw
from gatewise.reference.classes import CLASSES
from gatewise.reference.declared import DeclarationError
from gatewise.reference.kinds import KINDS
from gatewise.reference.shapes import shape

W = {"weight_ih": "H I", "weight_hh": "H H"}


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """Both tables as they were, after the test."""
    before = dict(KINDS), dict(CLASSES)
    yield
    for table, rows in zip((KINDS, CLASSES), before, strict=True):
        table.clear()
        table.update(rows)


def plain(np: Any, x: Any, h: Any, w: Any) -> Any:
    h = np.tanh(x @ w.weight_ih.T + h @ w.weight_hh.T)
    return h, (h,)


def no_rule(np: Any, x: Any, h: Any, w: Any) -> Any:
    h = np.sort(x @ w.weight_ih.T + h @ w.weight_hh.T)
    return h, (h,)


def no_method(np: Any, x: Any, h: Any, w: Any) -> Any:
    h = (x @ w.weight_ih.T + h @ w.weight_hh.T).clip(-1, 1)
    return h, (h,)


def in_place(np: Any, x: Any, h: Any, w: Any) -> Any:
    h += x @ w.weight_ih.T + h @ w.weight_hh.T
    return h, (h,)


def other_order(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    h = np.tanh(x @ w.weight_ih.T + h @ w.weight_hh.T)
    return h, (c, h)


def other_shape(np: Any, x: Any, h: Any, w: Any) -> Any:
    h = np.tanh(x @ w.weight_ih.T + h @ w.weight_hh.T)
    return h[..., :1], (h,)


def too_few(np: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    h = np.tanh(x @ w.weight_ih.T + h @ w.weight_hh.T)
    return h, (h,)


def no_pair(np: Any, x: Any, h: Any, w: Any) -> Any:
    return np.tanh(x @ w.weight_ih.T + h @ w.weight_hh.T)


def unknown_weight(np: Any, x: Any, h: Any, w: Any) -> Any:
    h = np.tanh(x @ w.weight_ih.T + h @ w.weight_hx.T)
    return h, (h,)


def unused_weight(np: Any, x: Any, h: Any, w: Any) -> Any:
    h = np.tanh(x @ w.weight_ih.T)
    return h, (h,)


def of_a_value(np: Any, x: Any, h: Any, w: Any) -> Any:
    a = x @ w.weight_ih.T + h @ w.weight_hh.T
    h = np.tanh(a) if a[0, 0] > 0 else a
    return h, (h,)


def of_truth(np: Any, x: Any, h: Any, w: Any) -> Any:
    a = x @ w.weight_ih.T + h @ w.weight_hh.T
    h = np.tanh(a) if a[0, 0] else a
    return h, (h,)


def other_arguments(x: Any, h: Any, w: Any) -> Any:
    return h, (h,)


def no_longer_a_ball(np: Any, x: Any, h: Any, w: Any) -> Any:
    a = x @ w.weight_ih.T + h @ w.weight_hh.T
    h = numpy.tanh(a.v if hasattr(a, "v") else a)
    return h, (h,)


BAD: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "no rule": (
        no_rule,
        {},
        r"no_rule, line \d+ of .*: `h = np.sort\(.*np.sort has no rule.*np.tanh",
    ),
    "no method": (no_method, {}, r"no_method, line \d+ .*no attribute 'clip'"),
    "in place": (in_place, {}, "in_place, line .* changes one of its arguments; expected a new"),
    "order": (other_order, {"states": "h c"}, "returns the states c, h; expected h, c"),
    "shape": (other_shape, {}, r"output has shape \(6, 1\) with 6 rows, I = 2 and H = 3; expected"),
    "number": (too_few, {"states": "h c"}, "too_few returns 1 states; expected 2: h, c"),
    "no pair": (no_pair, {}, r"no_pair: expected `return output, \(h\)`"),
    "unknown": (unknown_weight, {}, "w.weight_hx is no weight of unknown_weight; its weights are"),
    "unused": (unused_weight, {}, "unused_weight: the step does not use its weight weight_hh"),
    "if": (of_a_value, {}, "of_a_value, line .*`h = np.tanh.a. if .*an `if`"),
    "truth": (of_truth, {}, "of_truth, line .*`h = np.tanh.a. if .*an `if`"),
    "arguments": (other_arguments, {}, r"other_arguments\(x, h, w\): expected the arguments np, x"),
    "ball": (no_longer_a_ball, {}, "output is no longer a Ball"),
    "word": (plain, {"weights": {**W, "b": "4*H"}}, "plain: shape '4.H': '4.H' is no dimension"),
    "size": (plain, {"weights": {**W, "b": "K"}}, "shape 'K' of b has the size K; expected I or H"),
    "gates": (plain, {"gates": "i f"}, "gates 'i f' are 2; weight_ih has 1 blocks of H rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_declaration_is_one_line(name: str) -> None:
    step, changed, words = BAD[name]
    with pytest.raises(DeclarationError, match=words) as raised:
        gw.kind(**{"weights": W, **changed})(step)
    assert "\n" not in str(raised.value)
    assert step.__name__ not in KINDS


def test_a_name_that_another_file_has_is_refused() -> None:
    def GRU(np: Any, x: Any, h: Any, w: Any) -> Any:
        return plain(np, x, h, w)

    with pytest.raises(ValueError, match="kind 'GRU' exists; the kinds are RNN, LSTM, GRU"):
        gw.kind(weights=W)(GRU)


def test_a_file_may_be_loaded_again() -> None:
    for _ in range(2):
        row = gw.kind(weights=W)(plain)
    assert KINDS["plain"] is row
    assert {"plain", "plainCell"} <= set(CLASSES)


def test_shapes_are_sums_of_multiples() -> None:
    found = shape("4H I+2H 3")
    assert found.of({"I": 2, "H": 5}) == (20, 12, 3)
    assert found.blocks() == 4
    assert shape("H").of({"H": 7}) == (7,)
    for text in ("4*H", "-H", "H+", "HH"):
        with pytest.raises(ValueError, match="is no dimension; expected such as 4H"):
            shape(text)
