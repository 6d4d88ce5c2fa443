"""Gradients of a subject: leaves in the case's layout, a call that records its graph, gradients.

A leaf is a tensor for which a gradient may be computed.  The names of the leaves are `input`,
`h_0`, `c_0`, and the own names of the weights.  The word ids of a tagger are no leaf.  States that
a case does not pass are no leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from gatewise.reference.ball import Ball
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..cases.values import seeded, values
from ..clock import SUBJECT, timed
from ..subjects.protocol import Results, Subject, SubjectFault, Unsupported
from .comparison import Check

Tensors = dict[str, Tensor]
Gradients = dict[str, Tensor | None]

#: torch's messages when it, or a subject's own autograd.Function, lacks a derivative or a rule.
LACKING = re.compile(
    r"Batching rule not implemented for "
    r"|Trying to use forward AD with \S+ that does not support it because it has not been implem"
    r"|derivative for \S+ is not implemented"
    r"|You must implement the jvp function for custom autograd\.Function"
    r"|In order to use an autograd\.Function with functorch transforms"
    r"|You tried to vmap over \S+, but it does not have vmap support"
    r"|trying to differentiate twice a function that was marked with @once_differentiable"
    r"|vmap: It looks like you're "
    r"|vmap: .* is not possible because there exists a Tensor"
    r"|cudnn RNN backward can only be called in training mode"
)


def may_be_left_out(case: Case, name: str) -> bool:
    """Whether a correct module may give a weight no gradient, instead of a gradient of zero.

    Without a state, W_hh of the only step is multiplied by h_0 = 0, and that product may be left
    out.  Which weights of a declared kind multiply a state is not known: it may be any.
    """
    multiplies = name.startswith("weight_hh") or KINDS[case.kind].declared is not None
    return multiplies and not case.with_state and (case.cell or case.time == 1)


@dataclass(frozen=True)
class Recorded:
    """One call with its autograd graph: leaves and results by name."""

    leaves: Tensors
    results: Results

    @timed(SUBJECT)
    def backward(self, upstream: Mapping[str, Tensor], retain: bool = False) -> None:
        """Add the gradient of Σ⟨upstream, result⟩ to the leaves' `.grad`.

        A result that does not require a gradient adds nothing.
        """
        same_shape(self.results, upstream)
        names = [n for n in upstream if self.results[n].requires_grad]
        if names:
            torch.autograd.backward(
                [self.results[n] for n in names],
                [upstream[n] for n in names],
                retain_graph=retain,
            )

    @timed(SUBJECT)
    def gradient(self, upstream: Mapping[str, Tensor], **options: Any) -> Gradients:
        """The gradient of Σ⟨upstream, result⟩ by leaf; `options` go to torch.autograd.grad."""
        same_shape(self.results, upstream)
        names = [n for n in upstream if self.results[n].requires_grad]
        wanted = {n: leaf for n, leaf in self.leaves.items() if leaf.requires_grad}
        if not names:
            return dict.fromkeys(wanted)
        found = torch.autograd.grad(
            [self.results[n] for n in names],
            list(wanted.values()),
            [upstream[n] for n in names],
            allow_unused=True,
            **options,
        )
        return dict(zip(wanted, found, strict=True))

    @property
    def gradients(self) -> Gradients:
        """`.grad` of every leaf that requires a gradient."""
        return {n: leaf.grad for n, leaf in self.leaves.items() if leaf.requires_grad}


def same_shape(results: Mapping[str, Tensor], upstream: Mapping[str, Tensor]) -> None:
    """Raise `SubjectFault` if a result and its upstream gradient have different shapes."""
    for name, u in upstream.items():
        got, expected = tuple(results[name].shape), tuple(u.shape)
        if got != expected:
            raise SubjectFault(f"{name} has shape {got}, expected {expected}")


def arguments(
    subject: Subject, case: Case, x: Array | None = None, state: Sequence[Array] | None = None
) -> Tensors:
    """The tensors input, h_0 and c_0 that the case passes, in its layout.

    `x` and `state`, if given, replace the arrays of the case.
    """
    given = {"input": subject.input_tensor(case.input_array if x is None else x, case)}
    if case.with_state:
        arrays = case.state_arrays if state is None else state
        for name, array in zip(case.start_names, arrays, strict=True):
            given[name] = subject.tensor(array, case)
    return given


def record(
    subject: Subject,
    case: Case,
    *,
    module: nn.Module | None = None,
    given: Tensors | None = None,
    requires: Collection[str] | None = None,
) -> Recorded:
    """Call the subject and record the graph; `requires` names the leaves that require a gradient.

    If `requires` is None, all leaves do.  `module` and `given`, if passed, are used as they are:
    their `.grad` is not reset.
    """
    module = subject.build(case) if module is None else module
    given = arguments(subject, case) if given is None else given
    leaves = {n: t for n, t in given.items() if t.is_floating_point()}
    leaves |= dict(module.named_parameters())
    for name, leaf in leaves.items():
        leaf.requires_grad_(requires is None or name in requires)
    inputs, *states = given.values()
    return Recorded(leaves, subject.call(case, module, inputs, tuple(states) or None))


def checkpointed(
    subject: Subject,
    case: Case,
    module: nn.Module,
    reentrant: bool,
    given: Tensors | None = None,
) -> Recorded:
    """`record` with the call under torch.utils.checkpoint, so that backward computes it again."""
    given, names = arguments(subject, case) if given is None else given, list[str]()
    leaves = {**given, **dict(module.named_parameters())}
    for leaf in leaves.values():
        leaf.requires_grad_()

    def call(x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        results = subject.call(case, module, x, states or None)
        names[:] = results
        return tuple(results.values())

    # An early stop is an exception of Python, which does not pass through TorchScript.
    early_stop = getattr(checkpoint, "set_checkpoint_early_stop", None)  # torch 2.0 has none
    with nullcontext() if early_stop is None else early_stop(False):
        results = checkpoint.checkpoint(call, *given.values(), use_reentrant=reentrant)
    return Recorded(leaves, dict(zip(names, results, strict=True)))


def tensors(subject: Subject, case: Case, arrays: Mapping[str, Array]) -> Tensors:
    """Upstream gradients or tangents as contiguous tensors."""
    return {n: subject.tensor(a, case, "contiguous") for n, a in arrays.items()}


def tangent_arrays(case: Case) -> dict[str, Array]:
    """A direction (tangent) for every leaf, exact in the format; no entry is small."""
    shapes = {} if KINDS[case.kind].words else {"input": case.input_shape}
    if case.with_state:
        shapes |= zip(case.start_names, case.state_shapes, strict=True)
    rng, fmt = seeded(case.seed, 7), case.rounding.storage
    return {n: values(rng, "spread", s, fmt) for n, s in {**shapes, **case.weight_shapes}.items()}


def compare_gradients(
    check: Check,
    got: Mapping[str, Tensor | None],
    want: Mapping[str, Ball],
    prefix: str = "gradient of ",
) -> None:
    """Compare every gradient with its ball; None stands for a gradient of zero, as in torch."""
    for name, gradient in got.items():
        ball = want[name]
        label = f"{prefix}{name}" + (" (None)" if gradient is None else "")
        check.close(label, np.zeros(ball.shape) if gradient is None else gradient, ball)


def tell(want: Mapping[str, Ball]) -> bool:
    """Whether some gradient differs from zero by more than its bound."""
    return any(bool(np.any(np.abs(ball.v) > ball.radius)) for ball in want.values())


# ---------------------------------------------------------------- as a function, for transforms


def primals(subject: Subject, case: Case, module: nn.Module) -> Tensors:
    """Every leaf's value, detached: the point at which torch.func differentiates."""
    given = {n: t for n, t in arguments(subject, case).items() if t.is_floating_point()}
    return {**given, **{n: p.detach() for n, p in module.named_parameters()}}


def as_function(
    subject: Subject, case: Case, module: nn.Module
) -> Callable[[Mapping[str, Tensor]], Results]:
    """A function from all leaves by name to the results; `functional_call` passes the weights."""
    names = [n for n, _ in module.named_parameters()]
    words = KINDS[case.kind].words
    ids = subject.input_tensor(case.input_array, case) if words else None

    def function(leaves: Mapping[str, Tensor]) -> Results:
        weights = {n: leaves[n] for n in names}

        def stateless(*args: Any) -> Any:
            return torch.func.functional_call(module, weights, args)

        x = leaves["input"] if ids is None else ids
        states = tuple(leaves[n] for n in case.start_names if n in leaves)
        # `subject.call` only calls the module, so a function can stand in for it.
        return subject.call(case, cast(nn.Module, stateless), x, states or None)

    return function


def contraction(results: Mapping[str, Tensor], upstream: Mapping[str, Tensor]) -> Tensor:
    """Σ⟨upstream, result⟩: the scalar loss whose gradients by the results are `upstream`."""
    same_shape(results, upstream)
    total = [(results[n] * u).sum() for n, u in upstream.items()]
    return torch.stack(total).sum()


@contextmanager
def offered() -> Iterator[None]:
    """Raise `Unsupported` if torch says that it lacks a derivative or a rule.

    Any other exception is not changed, and falsifies the property.
    """
    try:
        yield
    except RuntimeError as error:  # NotImplementedError is a subclass
        if LACKING.search(str(error)):
            # The first line names the operator; the others ask to file an issue.
            raise Unsupported(str(error).strip().splitlines()[0]) from error
        raise
