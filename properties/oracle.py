"""The reference put to a case: what each result must be, as Balls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reference import concat_cells
from reference.ball import Ball, exact
from reference.cells import cell, input_share, step
from reference.concat_cells import CONCAT_KINDS
from reference.formats import Array
from reference.tagger import tag
from reference.unroll import layer

from .comparison import Check, agree
from .strategies.cases import Case
from .subjects.protocol import Results


def expected(
    case: Case,
    *,
    x: Array | Ball | None = None,
    state: Sequence[Array | Ball] | None = None,
    weights: Mapping[str, Array] | None = None,
) -> dict[str, Ball]:
    """The results of a case by name, with their bounds; arrays given replace the case's own."""
    p = case.rounding
    inputs = case.input_array if x is None else x
    states = case.state_arrays if state is None else state
    balls = [s if isinstance(s, Ball) else exact(s, p) for s in states]
    ball = inputs if isinstance(inputs, Ball) else exact(inputs, p)
    w = case.weight_arrays if weights is None else weights
    if case.kind in CONCAT_KINDS:
        with np.errstate(all="ignore"):
            return concat_cells.step(case.kind, w, ball, tuple(balls))
    if case.kind == "Tagger":
        words = w["word_embeddings.weight"][case.input_array.astype(np.int64)]
        zero = exact(np.zeros((1, case.hidden_size)), p)
        with np.errstate(all="ignore"):
            return {"output": tag(w, exact(words, p), (zero, zero))}
    if case.cell:
        new = cell(case.options, w, ball, tuple(balls))
        return dict(zip(("h", "c"), new, strict=False))
    return layer(case.options, w, ball, balls, case.lengths, case.batch_first).named()


def compare_all(check: Check, got: Results, want: Mapping[str, Ball], prefix: str = "") -> None:
    """Compare every result with its ball."""
    if set(got) != set(want):
        check.same("the names of the results", sorted(got), sorted(want))
    for name, ball in want.items():
        check.close(prefix + name, got[name], ball)


def agree_all(
    check: Check,
    got: Results,
    plain: Results,
    bounds: Callable[[], Mapping[str, Ball]],
    where: str,
) -> None:
    """Require two sets of results to agree, as `agree` requires it of each.

    Finite results of the same numbers agree whatever their bound, which is most of what a call
    with bounds costs: so these are worked out only where numbers differ.  `where` says what is
    compared with the plain call.
    """
    if set(got) != set(plain):
        check.same(f"the names of the results {where}", sorted(got), sorted(plain))
    if all(check.identical(result, plain[name]) for name, result in got.items()):
        return
    for name, ball in bounds().items():
        agree(check, f"{name} {where}", got[name], plain[name], ball, ball)


def discriminates(case: Case) -> bool:
    """Whether a case can tell a right cell from one with its gates or its state mixed up.

    Gate blocks differ, the state is not zero, and in the first layer the recurrent term moves
    the new state by more than the bound.
    """
    if case.output_size:
        return _weights_and_state_tell(case)
    weights = case.weight_arrays
    suffix = "" if case.cell else "_l0"
    w_hh = weights[f"weight_hh{suffix}"]
    blocks = np.split(w_hh, w_hh.shape[0] // case.hidden_size)
    if any(np.array_equal(a, b) for i, a in enumerate(blocks) for b in blocks[:i]):
        return False
    states = [s if case.cell else s[0] for s in case.state_arrays]
    if not all(s.any() for s in states):
        return False
    p = case.rounding
    x = case.input_array
    if not case.cell:
        x = x[0] if case.batch is None or not case.batch_first else x[:, 0]
    with np.errstate(all="ignore"):
        share = input_share(weights, suffix, exact(x, p))
        balls = [exact(s, p) for s in states]
        zeros = [exact(np.zeros_like(s), p) for s in states[:1]] + balls[1:]
        new = step(case.options, weights, suffix, share, tuple(balls))[0]
        without = step(case.options, weights, suffix, share, tuple(zeros))[0]
        return bool(np.any(np.abs(new.v - without.v) > new.radius + without.radius))


def _weights_and_state_tell(case: Case) -> bool:
    """For a network: whether its matrices differ and its state moves the output past the bound."""
    matrices = [w for w in case.weight_arrays.values() if w.ndim == 2 and w.size > 1]
    if not matrices or any((w == w.flat[0]).all() for w in matrices):
        return False
    if not case.cell:
        return case.time > 1
    balls = expected(case), expected(case, state=[np.zeros_like(s) for s in case.state_arrays])
    with np.errstate(all="ignore"):
        new, without = (b["output"] for b in balls)
        return bool(np.any(np.abs(new.v - without.v) > new.radius + without.radius))
