"""Under which condition the results of a subject are wrong: an option, a form, a call before.

First what the wrong cases have is taken away, one thing after the other.  If all are right
without it, the results are wrong only where it is there.  If single calls are right, the diagnosis
looks at what a call changes, and at a second call of the same module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import torch

from gatewise.reference.ball import Ball

from ..cases.arrays import as_array
from ..cases.case import Case
from ..checking.comparison import bits
from ..checking.derivatives import arguments
from ..subjects.protocol import Results, Subject, load
from .backward_legs import outside
from .faults_of_arguments import Call, Weights, call_of
from .faults_of_states import kept
from .witness_cases import witnesses


def differs(got: Results, want: dict[str, Ball]) -> bool:
    """Whether any result is outside of its ball; elements without a finite bound are left out."""
    return any(
        wrong_shape(got[n], b) or outside(as_array(got[n]), b).any() for n, b in want.items()
    )


def wrong_shape(got: object, ball: Ball) -> bool:
    """Whether a result has another shape than its ball."""
    return as_array(got).shape != ball.v.shape


@dataclass(frozen=True)
class Without:
    """What a case may have, in words, and how it is taken away; `less` gives None if it is not."""

    words: str
    less: Callable[[Case], Case | None]


def _unless(
    has: Callable[[Case], bool], less: Callable[[Case], Case]
) -> Callable[[Case], Case | None]:
    return lambda case: less(case) if has(case) else None


def _sorted(case: Case) -> Case:
    assert case.lengths is not None
    return case.but(lengths=tuple(sorted(case.lengths, reverse=True)), enforce_sorted=True)


PARTS = (
    Without(
        "where no state is passed",
        _unless(lambda c: not c.with_state, lambda c: c.but(with_state=True)),
    ),
    Without(
        "where packed rows are not sorted by length",
        _unless(lambda c: c.lengths is not None and not c.enforce_sorted, _sorted),
    ),
    Without(
        "where the input is packed",
        _unless(lambda c: c.lengths is not None, lambda c: c.but(lengths=None)),
    ),
    Without(
        "where the input is unbatched", _unless(lambda c: c.batch is None, lambda c: c.but(batch=3))
    ),
    Without(
        "with more than one layer",
        _unless(lambda c: c.num_layers > 1, lambda c: c.but(num_layers=1)),
    ),
    Without(
        "with two directions",
        _unless(lambda c: c.bidirectional, lambda c: c.but(bidirectional=False)),
    ),
    Without("with a projection", _unless(lambda c: c.proj_size > 0, lambda c: c.but(proj_size=0))),
    Without(
        "with batch_first", _unless(lambda c: c.batch_first, lambda c: c.but(batch_first=False))
    ),
    Without("without biases", _unless(lambda c: not c.bias, lambda c: c.but(bias=True))),
    Without("in evaluation", _unless(lambda c: not c.training, lambda c: c.but(training=True))),
)

#: The cases that are looked at without a part, and the calls of a second call.
_FEW = 3


def only_where(subject: Subject, wrong: list[Case]) -> str:
    """The words of the first part without which the wrong cases are right; else empty."""
    for part in PARTS:
        lesser = [part.less(c) for c in wrong[-_FEW:]]
        cases = [c for c in lesser if c is not None]
        if not cases:
            continue
        try:
            results = [(c, subject.run(c)) for c in cases]
        except Exception:  # what a subject does not offer tells nothing
            continue
        if not any(differs(got, call_of(c).results()) for c, got in results):
            return part.words
    return ""


# ---------------------------------------------------------------- a second call


@dataclass(frozen=True)
class Second:
    """The second of two calls of one module: its arguments, results, and those of the first."""

    call: Call
    got: Results
    before: Results


def second_calls(
    subject: Subject, case: Case, training: bool, with_state: bool, loads: bool = False
) -> list[Second]:
    """Two calls of one module, of the same shapes with other values, for some witnesses.

    With `loads` other weights are loaded between the two.
    """
    found = []
    for c in (case, *witnesses(case)[:_FEW]):
        first = c.but(training=training, with_state=with_state)
        second = first.but(seed=first.seed ^ 1)
        module = subject.build(first)
        before = subject.run(first, module)
        before = {n: r.clone() for n, r in before.items()}
        if loads:
            load(module, second.weight_arrays)
        got = subject.run(second, module)
        call = call_of(second)
        found.append(Second(call if loads else replace(call, weights=_own(first)), got, before))
    return found


def _own(case: Case) -> Weights:
    return call_of(case).weights


def wrong_after_a_load(subject: Subject, case: Case) -> Iterator[str]:
    """Yield a fault if a call uses the weights that were there before others were loaded."""
    for training in (True, False):
        with suppress(Exception):  # a form of call that the subject does not offer
            seen = second_calls(subject, case, training, case.with_state, loads=True)
            if not any(differs(s.got, s.call.results()) for s in seen):
                continue
            firsts = (case, *witnesses(case)[:_FEW])
            old = [replace(s.call, weights=_own(c)) for s, c in zip(seen, firsts, strict=True)]
            if not any(differs(s.got, call.results()) for s, call in zip(seen, old, strict=True)):
                yield "the weights of the call before used" + ("" if training else " in evaluation")
                return


Seen = list[tuple[Call, Results]]


def wrong_second_call(subject: Subject, case: Case) -> tuple[str, Seen, list[str]]:
    """The condition under which a second call is wrong, what was seen, and its named faults.

    The condition is empty if every second call is right.
    """
    forms = dict.fromkeys((case, case.but(lengths=None)))
    for own, training, with_state in product(forms, (True, False), (False, True)):
        try:
            seen = second_calls(subject, own, training, with_state)
        except Exception:  # a form of call that the subject does not offer
            continue
        if any(differs(s.got, s.call.results()) for s in seen):
            words = "in the second call of a module"
            words += "" if training else " in evaluation"
            words += "" if with_state else ", where no state is passed"
            carried = not with_state and not any(
                differs(s.got, kept(s.call, s.before).results()) for s in seen
            )
            title = "a call without a state started from the last state of the call before"
            return words, [(s.call, s.got) for s in seen], [title] if carried else []
    return "", [], []


def wrong_mode(subject: Subject, case: Case) -> tuple[str, Seen]:
    """A mode in which a single call is wrong, and what was seen in it; else empty.

    A call without a state is looked at as a mode.
    """
    modes: tuple[tuple[str, bool, dict[str, bool]], ...] = (
        ("where no state is passed", False, {"with_state": False}),
        ("in evaluation", False, {"training": False}),
        ("where gradients are recorded", True, {"training": True}),
        ("in evaluation, where gradients are recorded", True, {"training": False}),
    )
    for words, grad, changes in modes:
        seen: Seen = []
        for c in (case, *witnesses(case)):
            c = c.but(**changes)
            with suppress(Exception):  # a case that the subject does not offer
                module = subject.build(c)
                with torch.set_grad_enabled(grad):
                    results = subject.call(c, module, *subject.given(c))
                seen.append((call_of(c), {n: r.detach() for n, r in results.items()}))
        if any(differs(got, call.results()) for call, got in seen):
            return words, seen
    return "", []


# ---------------------------------------------------------------- what a call changes


def changed_arguments(subject: Subject, case: Case) -> Iterator[str]:
    """Yield a fault if a call, or its backward pass, changes an argument or a weight."""
    for how, training, grad in (
        ("", True, False),
        (" that records gradients", True, True),
        (" in evaluation", False, False),
    ):
        for c in (case, *witnesses(case)[:1]):
            names = _changed(subject, c.but(training=training), grad)
            if names:
                yield f"a call{how} that changes {' and '.join(names)}"
                return


def _changed(subject: Subject, case: Case, grad: bool) -> list[str]:
    module, given = subject.build(case), arguments(subject, case)
    held = {**given, **dict(module.named_parameters())}
    before = {n: t.detach().clone() for n, t in held.items()}
    x, *states = given.values()
    for t in given.values():
        t.requires_grad_(grad)
    with torch.set_grad_enabled(grad):
        subject.call(case, module, x, tuple(states) or None)
    return [n for n, t in held.items() if not torch.equal(bits(t), bits(before[n]))]
