"""The reference put to a case: what each result must be, as Balls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.reference import concat_cells
from gatewise.reference.activations import constant, settled
from gatewise.reference.backward import cell_backward, layer_backward
from gatewise.reference.ball import Ball, exact
from gatewise.reference.concat_backward import concat_backward, tag_backward
from gatewise.reference.dual import Dual
from gatewise.reference.formats import Array, Precision
from gatewise.reference.kinds import KINDS
from gatewise.reference.steps import cell, input_share, step
from gatewise.reference.tagger import tag
from gatewise.reference.unroll import layer

from ..cases.case import Case
from ..cases.values import seeded, values
from ..subjects.protocol import Results, Unsupported
from .comparison import Check, agree


def expected(
    case: Case,
    *,
    x: Array | Ball | None = None,
    state: Sequence[Array | Ball] | None = None,
    weights: Mapping[str, Array] | None = None,
    masks: Sequence[Array | Ball] = (),
) -> dict[str, Ball]:
    """The results of a case by name, with their bounds; arrays given replace the case's own.

    `masks` are the dropout masks between a layer's layers, as `reference.unroll.layer` takes them.
    """
    w, inputs, states = _arguments(case, x, state, weights)
    with np.errstate(all="ignore"):
        return _forward(case, w, inputs, states, masks)


def result_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Name → shape of every result of a case."""
    kind = KINDS[case.kind]
    if kind.words:
        return {"output": (case.time, case.output_size)}
    if case.cell:
        results = dict(zip(kind.states, case.state_shapes, strict=True))
        if kind.concat:
            results["output"] = (*case.state_shapes[0][:-1], case.output_size)
        return results
    output = (*case.input_shape[:-1], case.options.output_size)
    return {"output": output, **dict(zip(final_names(case), case.state_shapes, strict=True))}


def final_names(case: Case) -> tuple[str, ...]:
    """Names of a layer's final states: h_n, and c_n where there is a cell state."""
    return tuple(f"{state}_n" for state in KINDS[case.kind].states)


def upstream_arrays(case: Case) -> dict[str, Array]:
    """A loss's derivative by every result, by name; exact in the format, from the case's seed.

    No entry is small, so that no result's part in a gradient hides behind another's.
    """
    rng = seeded(case.seed, _UPSTREAM)
    storage = case.rounding.storage
    return {n: values(rng, "spread", shape, storage) for n, shape in result_shapes(case).items()}


#: The stream of a case's seed that the upstream gradients are drawn from.
_UPSTREAM = 4


def expected_gradients(
    case: Case,
    upstream: Mapping[str, Array],
    *,
    x: Array | None = None,
    state: Sequence[Array] | None = None,
    weights: Mapping[str, Array] | None = None,
    masks: Sequence[Array | Ball] = (),
) -> dict[str, Ball]:
    """The gradients by input, h_0, c_0 and every weight, with their bounds.

    `upstream` maps any of the results to a loss's derivative by it; what is absent is zero.
    Arrays given replace the case's own; `masks` are those of `expected`.  A tagger has gradients
    by its weights alone.
    """
    arguments = _arguments(case, x, state, weights)
    p = case.rounding
    gradients = _gradients(case, arguments, {n: exact(d, p) for n, d in upstream.items()}, masks)
    return _unbounded(gradients) if _near_overflow(arguments, p) else gradients


def _near_overflow(arguments: Arguments, p: Precision) -> bool:
    """Whether an input or a state is within a factor of 32 of the largest number.

    A derivative may be written as δ∘h∘z′ in any order: δ∘h may then be infinite where z′ is 0 or
    has underflowed, and their product is NaN in a correct implementation.
    """
    _, x, states = arguments
    limit = p.storage.largest / 32.0
    arrays = [a for a in (x, *states) if isinstance(a, Ball)]
    return any(bool((a.absolute > limit).any()) for a in arrays)


def _bounded(case: Case, balls: dict[str, Ball]) -> dict[str, Ball]:
    """The balls of a case's own arguments, unless these are near overflow."""
    arguments = _arguments(case, None, None, None)
    return _unbounded(balls) if _near_overflow(arguments, case.rounding) else balls


def _unbounded(balls: Mapping[str, Ball]) -> dict[str, Ball]:
    """The same values, of which nothing is claimed."""
    return {n: Ball(b.v, b.precision, np.full(b.v.shape, np.inf)) for n, b in balls.items()}


def expected_jvp(case: Case, tangents: Mapping[str, Array]) -> dict[str, Ball]:
    """The derivative of every result in the direction of `tangents`, with its bound.

    `tangents` maps any of input, h_0, c_0 and the weights' names to a direction of its shape;
    what is absent is zero.  A tagger has no direction of its input.
    """
    w, x, state = _duals(case, tangents)
    with np.errstate(all="ignore"):
        results = _forward(case, w, x, state)
        derivatives = {name: settled(dual.tangent) for name, dual in results.items()}
    return _bounded(case, derivatives)


def expected_hvp(
    case: Case, upstream: Mapping[str, Array], tangents: Mapping[str, Array]
) -> dict[str, Ball]:
    """The derivative of every gradient in the direction of `tangents`, with its bound.

    Of a loss Σ upstream∘results that is the Hessian–vector product.  Arguments are those of
    `expected_gradients` and `expected_jvp`.
    """
    p = case.rounding
    d = {name: Dual(exact(values, p)) for name, values in upstream.items()}
    with np.errstate(all="ignore"):
        gradients = _gradients(case, _duals(case, tangents), d)
        products = {name: settled(dual.tangent) for name, dual in gradients.items()}
    return _bounded(case, products)


#: Weights, input and states, of one arithmetic.
Arguments = tuple[Mapping[str, Any], Any, Sequence[Any]]


def _arguments(
    case: Case,
    x: Array | Ball | None,
    state: Sequence[Array | Ball] | None,
    weights: Mapping[str, Array] | None,
) -> Arguments:
    """The case's arguments, or those given in their place, as exact Balls; ids as integers."""
    p = case.rounding

    def ball(values: Array | Ball) -> Ball:
        return values if isinstance(values, Ball) else exact(values, p)

    w: Mapping[str, Any] = case.weight_arrays if weights is None else weights
    inputs = case.input_array if x is None else x
    states = [ball(s) for s in (case.state_arrays if state is None else state)]
    if KINDS[case.kind].words:
        ids = np.asarray(inputs.v if isinstance(inputs, Ball) else inputs, dtype=np.int64)
        return {**w, _WORDS: exact(w[_WORDS], p)}, ids, states
    return w, ball(inputs), states


def _duals(case: Case, tangents: Mapping[str, Array]) -> Arguments:
    """The case's arguments as Duals.  Raises `ValueError` for a tangent of what is no argument."""
    p = case.rounding
    w, x, state = _arguments(case, None, None, None)
    starts = dict(zip(("h_0", "c_0"), state, strict=False))
    own: dict[str, Any] = {**w, **starts} if KINDS[case.kind].words else {**w, **starts, "input": x}
    unknown = sorted(set(tangents) - set(own))
    if unknown:
        raise ValueError(f"tangent {unknown[0]!r} is not one of {', '.join(own)}")
    for name, value in own.items():
        v = value if isinstance(value, Ball) else exact(value, p)
        own[name] = Dual(v, exact(tangents[name], p) if name in tangents else None)
    return {name: own[name] for name in w}, own.get("input", x), [own[name] for name in starts]


def _forward(
    case: Case, w: Mapping[str, Any], x: Any, state: Sequence[Any], masks: Sequence[Any] = ()
) -> dict[str, Any]:
    kind = KINDS[case.kind]
    if kind.concat:
        return concat_cells.step(case.kind, w, x, tuple(state))
    if kind.words:
        words = w[_WORDS][x]
        zero = constant(words, np.zeros((1, case.hidden_size)))
        return {"output": tag(w, words, (zero, zero))}
    if case.cell:
        return dict(zip(kind.states, cell(case.options, w, x, tuple(state)), strict=True))
    return layer(case.options, w, x, state, case.lengths, case.batch_first, masks).named()


def _gradients(
    case: Case, arguments: Arguments, upstream: Mapping[str, Any], masks: Sequence[Any] = ()
) -> dict[str, Any]:
    w, x, state = arguments
    kind = KINDS[case.kind]
    if kind.words:
        return tag_backward(w, x, upstream)
    if kind.concat:
        return concat_backward(case.kind, w, x, tuple(state), upstream)
    if kind.backward is None:
        raise Unsupported(f"the reference has no gradient of {case.kind}")
    if case.cell:
        return cell_backward(case.options, w, x, state, upstream)
    sequence = (case.lengths, case.batch_first, masks)
    return layer_backward(case.options, w, x, state, upstream, *sequence)


#: The tagger's weight that its ids choose rows of.
_WORDS = "word_embeddings.weight"


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
