"""Transforms: second derivatives and torch.func, with a claim for each.

Where torch lacks a derivative or a batching rule, only the property that needs it is unsupported,
and torch's own message is the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.derivatives import (
    Tensors,
    as_function,
    compare_gradients,
    contraction,
    offered,
    primals,
    record,
    tangent_arrays,
    tensors,
)
from ..checking.oracle import (
    compare_all,
    expected,
    expected_gradients,
    expected_hvp,
    expected_jvp,
    upstream_arrays,
)
from ..levels import CONTRACT
from ..subjects.protocol import Results, Subject
from .gradients import SHARE
from .property import STATEFUL, UNPACKED, Family

FAMILY = Family("transforms", CONTRACT, needs=("gradients",))

#: A Hessian on Balls costs three times as much as a gradient.
HESSIAN_SHARE = 0.09
#: torch.func does not go through pack_padded_sequence, which needs a tensor with storage.
FORMS = UNPACKED


@FAMILY.claims(
    "The gradient is the same with create_graph=True.",
    "∂ with create_graph = ∂",
    of=ALL,
    share=SHARE,
)
def gradients_with_create_graph(subject: Subject, case: Case, check: Check) -> None:
    upstream = upstream_arrays(case)
    with offered():
        run = record(subject, case)
        got = run.gradient(tensors(subject, case, upstream), create_graph=True)
    compare_gradients(check, got, expected_gradients(case, upstream))


@FAMILY.claims(
    "Double backward gives the Hessian times a vector.",
    "∂⟨t, ∂L/∂θ⟩/∂θ = H t with L = Σ⟨u, result⟩",
    of=ALL,
    share=HESSIAN_SHARE,
)
def double_backward(subject: Subject, case: Case, check: Check) -> None:
    upstream, tangents = upstream_arrays(case), tangent_arrays(case)
    along = tensors(subject, case, tangents)
    with offered():
        run = record(subject, case)
        first = run.gradient(tensors(subject, case, upstream), create_graph=True)
        curved = {n: g for n, g in first.items() if g is not None and g.requires_grad}
        if curved:
            # Not torch.autograd.grad, which does not reach @once_differentiable's own error.
            torch.autograd.backward(list(curved.values()), [along[n] for n in curved])
    want = expected_hvp(case, upstream, tangents)
    compare_gradients(check, run.gradients, want, "second derivative by ")


@FAMILY.claims(
    "torch.autograd.functional.hvp gives the Hessian times a vector.",
    "hvp(L, θ, t) = H t",
    of=ALL,
    share=HESSIAN_SHARE,
)
def functional_hvp(subject: Subject, case: Case, check: Check) -> None:
    upstream, tangents = upstream_arrays(case), tangent_arrays(case)
    module = subject.build(case)
    function, point = as_function(subject, case, module), primals(subject, case, module)
    given, along = tensors(subject, case, upstream), tensors(subject, case, tangents)

    def loss(*leaves: Tensor) -> Tensor:
        return contraction(function(dict(zip(point, leaves, strict=True))), given)

    with offered():
        _, products = torch.autograd.functional.hvp(  # type: ignore[no-untyped-call]
            loss, tuple(point.values()), tuple(along[n] for n in point)
        )
    got = dict(zip(point, products, strict=True))
    compare_gradients(check, got, expected_hvp(case, upstream, tangents), "second derivative by ")


def _along(subject: Subject, case: Case, tangents: dict[str, Any], point: Tensors) -> Tensors:
    """The tangents in the order of the leaves, as torch.func.jvp requires."""
    return tensors(subject, case, {n: tangents[n] for n in point})


def _loss(subject: Subject, case: Case, upstream: dict[str, Any]) -> tuple[Any, Tensors]:
    """Σ⟨u, result⟩ as a function of the leaves, and the leaves."""
    module, given = subject.build(case), tensors(subject, case, upstream)
    function = as_function(subject, case, module)
    return lambda leaves: contraction(function(leaves), given), primals(subject, case, module)


@FAMILY.claims(
    "torch.func.functional_call computes with the weights that it receives.",
    "f(θ; x) for θ other than the module's own",
    of=ALL,
    share=SHARE,
)
def functional_call_uses_the_weights_given(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    leaves = primals(subject, case, module)
    other = subject.construct(case)
    with offered(), torch.no_grad():
        got = as_function(subject, case, other)(leaves)
    compare_all(check, got, expected(case))


@FAMILY.claims(
    "torch.func.grad gives the gradient.",
    "grad(L)(θ) = ∂L/∂θ",
    of=ALL,
    share=SHARE,
    forms=FORMS,
)
def func_grad(subject: Subject, case: Case, check: Check) -> None:
    upstream = upstream_arrays(case)
    loss, point = _loss(subject, case, upstream)
    with offered():
        got = torch.func.grad(loss)(point)
    compare_gradients(check, got, expected_gradients(case, upstream), "func.grad by ")


@FAMILY.claims(
    "torch.func.vjp gives the product of a vector with the Jacobian.",
    "vjp(f, θ)(u) = uᵀ J",
    of=ALL,
    share=SHARE,
    forms=FORMS,
)
def func_vjp(subject: Subject, case: Case, check: Check) -> None:
    upstream = upstream_arrays(case)
    module = subject.build(case)
    with offered():
        function, point = as_function(subject, case, module), primals(subject, case, module)
        results, pull_back = torch.func.vjp(function, point)[:2]
        (got,) = pull_back({n: tensors(subject, case, upstream)[n] for n in results})
    compare_gradients(check, got, expected_gradients(case, upstream), "func.vjp by ")


@FAMILY.claims(
    "torch.func.jvp gives the product of the Jacobian with a vector.",
    "jvp(f, θ, t) = J t",
    of=ALL,
    share=SHARE,
    forms=FORMS,
    layout="contiguous",  # forward AD writes to its arguments, so none may be expanded
)
def func_jvp(subject: Subject, case: Case, check: Check) -> None:
    tangents = tangent_arrays(case)
    module = subject.build(case)
    with offered():
        function, point = as_function(subject, case, module), primals(subject, case, module)
        got = torch.func.jvp(function, (point,), (_along(subject, case, tangents, point),))[1]
    compare_gradients(check, got, expected_jvp(case, tangents), "func.jvp of ")


@FAMILY.claims(
    "Forward over reverse, torch.func.jvp of torch.func.grad, gives the Hessian times a vector.",
    "jvp(grad(L), θ, t) = H t",
    of=ALL,
    share=HESSIAN_SHARE,
    forms=FORMS,
    layout="contiguous",  # forward AD writes to its arguments, so none may be expanded
)
def func_jvp_of_grad(subject: Subject, case: Case, check: Check) -> None:
    upstream, tangents = upstream_arrays(case), tangent_arrays(case)
    loss, point = _loss(subject, case, upstream)
    with offered():
        along = _along(subject, case, tangents, point)
        got = torch.func.jvp(torch.func.grad(loss), (point,), (along,))[1]
    compare_gradients(check, got, expected_hvp(case, upstream, tangents), "second derivative by ")


@FAMILY.claims(
    "torch.func.jacrev gives the rows of the Jacobian.",
    "jacrev(y_k) = e_kᵀ J",
    of=ALL,
    share=SHARE,
    forms=FORMS,
)
def func_jacrev(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    function, point = as_function(subject, case, module), primals(subject, case, module)
    shapes = {n: u.shape for n, u in upstream_arrays(case).items()}
    name = list(shapes)[case.seed % len(shapes)]
    size = int(np.prod(shapes[name]))
    rows = [case.seed % size, (case.seed // size) % size]

    with offered():
        got = torch.func.jacrev(lambda leaves: function(leaves)[name].reshape(-1)[rows])(point)
    for k, row in enumerate(rows):
        one_hot = np.zeros(size)
        one_hot[row] = 1.0
        want = expected_gradients(case, {name: one_hot.reshape(shapes[name])})
        label = f"row {row} of the Jacobian of {name} by "
        compare_gradients(check, {n: g[k] for n, g in got.items()}, want, label)


def _axes(case: Case) -> dict[str, int]:
    """The axis of the batch in input, states and results."""
    layer = 0 if case.batch_first else 1
    by_name = {"input": layer, "output": layer}
    names = ("input", "output", *case.start_names, *case.final_names)
    return {n: 0 if case.cell else by_name.get(n, 1) for n in names}


def _rowwise(subject: Subject, case: Case) -> tuple[Any, Tensors, Tensors, dict[str, int]]:
    """f(weights, one row) → results of the row; the weights, the arguments and their axes."""
    module, axes = subject.build(case), _axes(case)
    function = as_function(subject, case.but(batch=1), module)
    point = primals(subject, case, module)
    rows = {n: t for n, t in point.items() if n in axes}
    weights = {n: t for n, t in point.items() if n not in axes}

    def of_row(weights: Tensors, row: Tensors) -> Results:
        batched = {n: t.unsqueeze(axes[n]) for n, t in row.items()}
        return {n: r.squeeze(axes[n]) for n, r in function({**weights, **batched}).items()}

    return of_row, weights, rows, {n: axes[n] for n in rows}


@FAMILY.claims(
    "torch.func.vmap over the rows of a batch gives what the batch gives.",
    "vmap(f)(x) = f(x)",
    of=STATEFUL,
    share=SHARE,
    forms=("dense",),
    least={"batch": 2},
)
def func_vmap(subject: Subject, case: Case, check: Check) -> None:
    of_row, weights, rows, axes = _rowwise(subject, case)
    with offered(), torch.no_grad():
        got = torch.func.vmap(of_row, (None, axes))(weights, rows)
    every = _axes(case)
    compare_all(check, {n: r.movedim(0, every[n]) for n, r in got.items()}, expected(case))


def _per_sample(subject: Subject, case: Case, check: Check) -> None:
    """Compare vmap(grad(L)) over a batch of two with the gradients of each row alone."""
    of_row, weights, rows, axes = _rowwise(subject, case)
    upstream, every = upstream_arrays(case), _axes(case)
    given = tensors(subject, case, upstream)

    def loss(weights: Tensors, row: Tensors, u: Tensors) -> Tensor:
        return contraction(of_row(weights, row), u)

    with offered():
        each = torch.func.vmap(torch.func.grad(loss), (None, axes, {n: every[n] for n in given}))
        got = each(weights, rows, given)
    for b in range(2):
        alone = case.but(batch=1)
        want = expected_gradients(
            alone,
            {n: np.take(u, [b], axis=every[n]) for n, u in upstream.items()},
            x=np.take(case.input_array, [b], axis=every["input"]),
            state=[np.take(s, [b], axis=every[case.start_names[0]]) for s in case.state_arrays],
        )
        compare_gradients(check, {n: g[b] for n, g in got.items()}, want, f"row {b}: gradient of ")


@FAMILY.claims(
    "Per-sample gradients, torch.func.vmap of torch.func.grad, are those of each row alone.",
    "vmap(grad(L))(θ, x)_b = ∂L(x_b)/∂θ",
    of=STATEFUL,
    share=SHARE,
    forms=("dense",),
    batch=2,
    with_state=True,
)
def per_sample_gradients(subject: Subject, case: Case, check: Check) -> None:
    _per_sample(subject, case, check)


@FAMILY.claims(
    "Per-sample gradients are right where no initial state is passed.",
    "vmap(grad(L))(θ, x)_b = ∂L(x_b)/∂θ with s_0 = None",
    of=STATEFUL,
    share=SHARE / 3,
    forms=("dense",),
    batch=2,
    with_state=False,
    num_layers=1,
    bidirectional=False,
    proj_size=0,
)
def per_sample_gradients_without_a_state(subject: Subject, case: Case, check: Check) -> None:
    _per_sample(subject, case, check)
