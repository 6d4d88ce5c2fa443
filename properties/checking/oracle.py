"""The reference applied to a case: expected results, gradients and derivatives, as Balls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from gatewise.reference import concat_cells
from gatewise.reference.activations import constant, settled
from gatewise.reference.backward import cell_backward, layer_backward
from gatewise.reference.ball import Ball, exact
from gatewise.reference.concat_backward import concat_backward, tag_backward
from gatewise.reference.declared import DeclarationError
from gatewise.reference.declared_backward import declared_backward
from gatewise.reference.dual import Dual
from gatewise.reference.formats import Array, Format, Precision
from gatewise.reference.kinds import KINDS
from gatewise.reference.steps import cell, parts
from gatewise.reference.tagger import tag
from gatewise.reference.unroll import layer

from ..cases.case import Case
from ..cases.values import REGIMES, seeded, values
from ..clock import REFERENCE, timed
from ..subjects.protocol import Results, Unsupported
from .comparison import Check, agree


def expected(
    case: Case,
    *,
    x: Array | Ball | None = None,
    state: Sequence[Array | Ball] | None = None,
    weights: Mapping[str, Array] | None = None,
    masks: Sequence[Array | Ball] = (),
    relative: bool = False,
) -> dict[str, Ball]:
    """The expected results of a case by name, with their bounds.

    `x`, `state` and `weights`, if given, replace the arrays of the case.  `masks` are the dropout
    masks between the layers, as `reference.unroll.layer` takes them.  With `relative`, the bounds
    allow σ and tanh an error relative to their values alone (`Precision.relative`).
    """
    w, inputs, states = _arguments(case, x, state, weights, relative)
    with np.errstate(all="ignore"):
        return _forward(case, w, inputs, states, masks)


def result_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Name → shape of every result of a case."""
    kind = KINDS[case.kind]
    if kind.words:
        return {"output": (case.time, case.output_size)}
    if case.cell:
        results = dict(zip(case.final_names, case.state_shapes, strict=True))
        if kind.concat:
            results["output"] = (*case.state_shapes[0][:-1], case.output_size)
        elif kind.output == len(kind.states):
            results["output"] = (*case.input_shape[:-1], case.hidden_size)
        return results
    output = (*case.input_shape[:-1], case.options.output_size)
    return {"output": output, **dict(zip(case.final_names, case.state_shapes, strict=True))}


def upstream_arrays(case: Case, regime: str = "spread") -> dict[str, Array]:
    """The upstream gradients: by name of a result, the gradient of a loss with respect to it.

    They follow from the case's seed and are exact in the format.  In the regime `spread` no entry
    is small, so no result's share of a gradient is too small to notice.  The other regimes are
    `UPSTREAM_REGIMES`.
    """
    rng = seeded(case.seed, _UPSTREAM)
    storage = case.rounding.storage
    own = regime if regime in REGIMES else "spread"
    drawn = {n: values(rng, own, shape, storage) for n, shape in result_shapes(case).items()}
    if regime == "one element":
        return _one_element(rng, drawn)
    factor = _FACTORS[regime](storage) if regime in _FACTORS else 1.0
    return {n: storage.round(factor * u) for n, u in drawn.items()}


def _one_element(rng: np.random.RandomState, drawn: dict[str, Array]) -> dict[str, Array]:
    """Zeros, but for one element of one result."""
    chosen = list(drawn)[rng.randint(len(drawn))]
    found = {n: np.zeros(u.shape) for n, u in drawn.items()}
    found[chosen].flat[rng.randint(found[chosen].size)] = 1.0
    return found


#: The number of the random stream of a case that the upstream gradients are drawn from.
_UPSTREAM = 4

#: Factors of upstream gradients.  Tiny ones leave room for products above the smallest normal
#: number.  `torch.amp.GradScaler` begins with a factor of 2^16, which float16 does not have.
_FACTORS: dict[str, Callable[[Format], float]] = {
    "tiny": lambda storage: float(np.sqrt(storage.eta)),
    "scaled loss": lambda storage: min(2.0**16, storage.largest / 4.0),
}

#: Losses give such upstream gradients: a sum, one entry of a result, a mean over very many
#: elements, a scaled loss, a weighted sum, and a loss that a mask has made zero.
UPSTREAM_REGIMES = ("ones", "one element", "tiny", "scaled loss", "mixed", "zeros")


def expected_gradients(
    case: Case,
    upstream: Mapping[str, Array | Ball],
    *,
    x: Array | None = None,
    state: Sequence[Array] | None = None,
    weights: Mapping[str, Array] | None = None,
    masks: Sequence[Array | Ball] = (),
    **changed: Any,
) -> dict[str, Ball]:
    """The expected gradients of a loss by input, h_0, c_0 and every weight, with their bounds.

    `upstream` maps names of results to the gradient of the loss by them; it is zero for a result
    without an entry.  `x`, `state`, `weights` and `masks` are those of `expected`.  A tagger has
    gradients only by its weights.  `changed` goes to the backward pass of a layer or a cell: a
    wrong `leg`, or wrong `masks_back`.
    """
    arguments = _arguments(case, x, state, weights)
    p = case.rounding
    given = {n: d if isinstance(d, Ball) else exact(d, p) for n, d in upstream.items()}
    gradients = _gradients(case, arguments, given, masks, **changed)
    return _unbounded(gradients) if _near_overflow(arguments, p) else gradients


def _near_overflow(arguments: Arguments, p: Precision) -> bool:
    """Whether an input or a state is above 1/32 of the largest number.

    A correct implementation may compute the product δ∘h∘z′ in any order.  Near the largest number
    δ∘h may be infinite; where z′ is 0 or has underflowed, the product is then NaN.
    """
    _, x, states = arguments
    limit = p.storage.largest / 32.0
    arrays = [a for a in (x, *states) if isinstance(a, Ball)]
    return any(bool((a.absolute > limit).any()) for a in arrays)


def _bounded(case: Case, balls: dict[str, Ball]) -> dict[str, Ball]:
    """The balls, but with infinite radii if the case's arguments are near overflow."""
    arguments = _arguments(case, None, None, None)
    return _unbounded(balls) if _near_overflow(arguments, case.rounding) else balls


def _unbounded(balls: Mapping[str, Ball]) -> dict[str, Ball]:
    """The same values with infinite radii, so that they are not compared."""
    return {n: Ball(b.v, b.precision, np.full(b.v.shape, np.inf)) for n, b in balls.items()}


def expected_jvp(case: Case, tangents: Mapping[str, Array]) -> dict[str, Ball]:
    """The derivative of every result in the direction of `tangents`, with its bound.

    `tangents` maps input, h_0, c_0 or names of weights to a direction of the same shape; the
    direction is zero for a name without an entry.  The input of a tagger has no direction.
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

    For the loss Σ upstream∘results, this is the Hessian–vector product.  The arguments are those
    of `expected_gradients` and `expected_jvp`.
    """
    p = case.rounding
    d = {name: Dual(exact(values, p)) for name, values in upstream.items()}
    with np.errstate(all="ignore"):
        gradients = _gradients(case, _duals(case, tangents), d)
        products = {name: settled(dual.tangent) for name, dual in gradients.items()}
    return _bounded(case, products)


#: The weights, input and states that the reference is called with.
Arguments = tuple[Mapping[str, Any], Any, Sequence[Any]]


def _arguments(
    case: Case,
    x: Array | Ball | None,
    state: Sequence[Array | Ball] | None,
    weights: Mapping[str, Array] | None,
    relative: bool = False,
) -> Arguments:
    """The arguments for the reference; `x`, `state` and `weights`, if given, replace the case's.

    Input and states are exact Balls.  Weights are arrays, which the reference takes as exact.  A
    tagger has integers as input, and its embedding is an exact Ball.
    """
    p = case.rounding.with_relative_tails if relative else case.rounding

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
    """The case's arguments as Duals.  Raises `ValueError` for a tangent with an unknown name."""
    p = case.rounding
    w, x, state = _arguments(case, None, None, None)
    starts = dict(zip(case.start_names, state, strict=True))
    own: dict[str, Any] = {**w, **starts} if KINDS[case.kind].words else {**w, **starts, "input": x}
    unknown = sorted(set(tangents) - set(own))
    if unknown:
        raise ValueError(f"tangent {unknown[0]!r} is not one of {', '.join(own)}")
    for name, value in own.items():
        v = value if isinstance(value, Ball) else exact(value, p)
        own[name] = Dual(v, exact(tangents[name], p) if name in tangents else None)
    return {name: own[name] for name in w}, own.get("input", x), [own[name] for name in starts]


class ReferenceFault(Exception):
    """The reference cannot compute a case: a fault of its own, and no verdict on a subject."""


#: What is raised for a case that says nothing about the subject.
NO_VERDICT = (ReferenceFault, DeclarationError)


@contextmanager
def _ours(changed: bool = False) -> Iterator[None]:
    """Call what is raised a fault of the reference; a backward pass that a diagnosis has `changed`
    may raise `ValueError`, where its fault cannot occur."""
    try:
        yield
    except (Unsupported, DeclarationError):
        raise
    except Exception as error:
        if changed and isinstance(error, ValueError):
            raise
        raise ReferenceFault(f"the reference raised {type(error).__name__}: {error}") from error


@timed(REFERENCE)
@_ours()
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
        return cell(case.options, w, x, tuple(state))
    return layer(case.options, w, x, state, case.lengths, case.batch_first, masks).named()


@timed(REFERENCE)
def _gradients(
    case: Case,
    arguments: Arguments,
    upstream: Mapping[str, Any],
    masks: Sequence[Any] = (),
    **changed: Any,
) -> dict[str, Any]:
    with _ours(bool(changed)):
        return _differentiated(case, arguments, upstream, masks, **changed)


def _differentiated(
    case: Case,
    arguments: Arguments,
    upstream: Mapping[str, Any],
    masks: Sequence[Any],
    **changed: Any,
) -> dict[str, Any]:
    w, x, state = arguments
    kind = KINDS[case.kind]
    if kind.words:
        return tag_backward(w, x, upstream)
    if kind.concat:
        return concat_backward(case.kind, w, x, tuple(state), upstream)
    sequence = (case.lengths, case.batch_first, masks)
    if kind.declared is not None:
        return declared_backward(case.options, w, x, state, upstream, *sequence)
    if kind.backward is None:
        raise Unsupported(f"the reference has no gradient of {case.kind}")
    if case.cell:
        return cell_backward(case.options, w, x, state, upstream, **changed)
    return layer_backward(case.options, w, x, state, upstream, *sequence, **changed)


#: The weight of a tagger whose rows the word ids select.
_WORDS = "word_embeddings.weight"


def overlap(a: Ball, b: Ball) -> bool:
    """Whether two balls have a common point in each element."""
    return not bool((np.abs(a.v - b.v) > a.radius + b.radius).any())


def compare_all(
    check: Check,
    got: Results,
    want: Mapping[str, Ball],
    prefix: str = "",
    time_axis: int | None = None,
) -> None:
    """Compare every result with its ball; `time_axis` is that of a layer's output."""
    if set(got) != set(want):
        check.same("the names of the results", sorted(got), sorted(want))
    for name, ball in want.items():
        check.close(prefix + name, got[name], ball, time_axis if name == "output" else None)


def agree_all(
    check: Check,
    got: Results,
    plain: Results,
    bounds: Callable[[], Mapping[str, Ball]],
    where: str,
) -> None:
    """Require that each result of `got` agrees with the same result of `plain`, as in `agree`.

    Results that are the same finite numbers agree, whatever their bound.  To compute the bounds
    takes most of the time.  So `bounds` is called only if some numbers differ.  `where` says in
    words what is compared with the plain call.
    """
    if set(got) != set(plain):
        check.same(f"the names of the results {where}", sorted(got), sorted(plain))
    if all(check.identical(result, plain[name]) for name, result in got.items()):
        return
    for name, ball in bounds().items():
        agree(check, f"{name} {where}", got[name], plain[name], ball, ball)


def discriminates(case: Case) -> bool:
    """Whether a case can detect a cell that confuses its gates or its states.

    It can if no two gate blocks are equal, no state is zero, and the recurrent term of the first
    layer changes the new state by more than the bound.
    """
    if case.output_size:
        return _network_discriminates(case)
    weights, kind = case.weight_arrays, KINDS[case.kind]
    suffix = "" if case.cell else "_l0"
    name, gates = kind.of_gates
    blocks = np.split(weights[name + suffix], gates)
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
        first = exact(x, p)
        share, w = kind.shares(kind.weights(weights, suffix, first), first)
        balls = [exact(s, p) for s in states]
        zeros = [exact(np.zeros_like(s), p) for s in states[:1]] + balls[1:]
        new = parts(case.options, w, share, tuple(balls))[kind.output]
        without = parts(case.options, w, share, tuple(zeros))[kind.output]
        return bool(np.any(np.abs(new.v - without.v) > new.radius + without.radius))


def _network_discriminates(case: Case) -> bool:
    """The same for a network: no matrix is constant, and the state has an effect.

    The state of a cell must change the output by more than the bound.  A tagger must read more
    than one word.
    """
    matrices = [w for w in case.weight_arrays.values() if w.ndim == 2 and w.size > 1]
    if not matrices or any((w == w.flat[0]).all() for w in matrices):
        return False
    if not case.cell:
        return case.time > 1
    balls = expected(case), expected(case, state=[np.zeros_like(s) for s in case.state_arrays])
    with np.errstate(all="ignore"):
        new, without = (b["output"] for b in balls)
        return bool(np.any(np.abs(new.v - without.v) > new.radius + without.radius))
