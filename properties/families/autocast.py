"""Autocast: a float32 module computes in 16 bits, with results and gradients within their bound."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from gatewise.reference.classes import ALL

from ..cases.case import Case
from ..cases.values import ORDINARY
from ..checking.comparison import Check
from ..checking.derivatives import (
    Tensors,
    arguments,
    compare_gradients,
    may_be_left_out,
    record,
    tell,
    tensors,
)
from ..checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ..devices import type_of
from ..levels import HARDENING, VALUES
from ..precisions import SHORT, dtype_of
from ..precisions import only as precisions_of
from ..subjects.protocol import Results, Subject, Unsupported
from .modes import FAMILY


@contextmanager
def autocast(subject: Subject, precision: str) -> Iterator[None]:
    """Autocast to a low precision.

    Raises `Unsupported`, with torch's message, where torch does not offer it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            context = torch.autocast(type_of(subject.torch_device), dtype=dtype_of(precision))
        # An assertion fails where a device has no module for autocast.
        except (RuntimeError, AssertionError) as error:
            raise Unsupported(str(error)) from error
    for warning in caught:  # an older torch warns that autocast has no effect
        raise Unsupported(str(warning.message))
    with context:
        yield


def in_float32(subject: Subject, case: Case) -> tuple[nn.Module, Tensors]:
    """A float32 module and float32 arguments with the case's values, exact in its precision."""
    wide = case.but(precision="float32")
    given = arguments(subject, wide, case.input_array, case.state_arrays)
    return subject.build(wide, case.weight_arrays), given


def _results(subject: Subject, case: Case) -> Results:
    """The results of a float32 module under autocast, without gradients."""
    module, given = in_float32(subject, case)
    x, *states = given.values()
    with torch.no_grad(), autocast(subject, case.precision):
        return subject.call(case, module, x, tuple(states) or None)


@FAMILY.claims(
    "A float32 module under autocast stays within the bound of autocast's dtype.",
    "|f(x) − v| ≤ r of float16 or bfloat16, for values exact in it",
    of=ALL,
    precisions=SHORT,
    share=0.3,
    level=VALUES,
)
def autocast_stays_within_the_low_bound(subject: Subject, case: Case, check: Check) -> None:
    """The bound of the low precision P holds, though some operations stay in float32.

    Weights and arguments are exact in P, so casting them rounds nothing.  A matrix product takes
    factors in P, accumulates in float32 and gives P or more: the bound charges exactly this.  Any
    other value is stored in P, which the bound charges, or it is stored in float32 and cast to P
    where it is used.  In the second case it costs u_32 for each operation and one u_P for the
    cast, and the bound charges at least as much:

    - A function's value is charged its ulps and one u_P.
    - A sum is charged at least two u_P: each of its terms is a rounded product and is added once,
      and a module adds at least the terms of x and of h.
    - The product o∘tanh(c) is charged one u_P besides those of its factors.  If both factors are in
      P, the product is exact in float32, and the cast rounds once.  If one factor is in float32,
      its own u_P is not spent, which covers u_32.
    """
    compare_all(check, _results(subject, case), expected(case), "under autocast: ")


@FAMILY.claims(
    "After a forward pass under autocast, the backward pass gives each input, state and weight a "
    "gradient of its own dtype, within the bound of autocast's dtype.",
    "dtype(∂L/∂w) = dtype(w), |∂L/∂w − v| ≤ r of float16 or bfloat16",
    of=ALL,
    precisions=SHORT,
    needs=("gradients",),
    share=0.15,
    level=VALUES,
    most={"time": 3},  # the bound of a gradient grows with the steps
    regimes=ORDINARY,
)
def autocast_trains(subject: Subject, case: Case, check: Check) -> None:
    """The argument of `autocast_stays_within_the_low_bound` holds for the backward pass as well.

    Each adjoint is a product or a sum.  For products that argument is used as it is.  A sum may be
    rounded to float32 and then to P.  It is charged γ_k(u_P) for k >= 1, which is more than
    u_P + u_P².  As u_P² > u_32 in float16 and in bfloat16, this covers both roundings.
    """
    module, given = in_float32(subject, case)
    with autocast(subject, case.precision):
        run = record(subject, case, module=module, given=given)
    upstream = upstream_arrays(case)
    run.backward(like_results(tensors(subject, case, upstream), run.results))
    want = expected_gradients(case, upstream)
    check.discriminating += tell(want)
    for name, gradient in run.gradients.items():
        if gradient is None and may_be_left_out(case, name):
            continue
        check.same(f"{name} has a gradient", gradient is not None, True)
        dtype = getattr(gradient, "dtype", None)
        check.same(f"dtype of the gradient of {name}", dtype, run.leaves[name].dtype)
    compare_gradients(check, run.gradients, want, "after autocast, gradient of ")


def like_results(upstream: Tensors, results: Results) -> Tensors:
    """Upstream gradients in the dtypes of the results: each is exact in autocast's dtype."""
    return {name: u.to(results[name].dtype) for name, u in upstream.items()}


@FAMILY.claims(
    "Under autocast a float64 module gives float64 results, within the bound of float64.",
    "|f(x) − v| ≤ r of float64, and float64 results",
    of=ALL,
    precisions=precisions_of("float64"),
    share=0.15,
)
def autocast_leaves_float64_alone(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    with autocast(subject, "bfloat16"):
        results = subject.run(case, module)
    for name, result in results.items():
        check.same(f"dtype of {name} under autocast", result.dtype, torch.float64)
    compare_all(check, results, expected(case), "under autocast: ")


@FAMILY.claims(
    "Under autocast the dtype of a result follows from the options and the form of the input: not "
    "from the values, the sizes of batch and time, or whether packed lengths are equal.",
    "dtype f(x) = dtype f(x′), for x′ of other values, batch (0 too), time and lengths",
    of=ALL,
    precisions=SHORT,
    share=0.3,
    level=HARDENING,
    beyond="torch documents for its operators what dtype autocast gives, and for no layer",
    regimes=ORDINARY,
    forms=("dense", "ragged", "equal"),
    variants=("some rows", "no rows"),
)
def autocast_dtype_follows_from_the_options(subject: Subject, case: Case, check: Check) -> None:
    want = _dtypes(subject, case)
    for what, fields in _differences(case).items():
        other = case.but(seed=case.seed ^ 1, inputs="zeros", weights="large", **fields)
        for name, dtype in _dtypes(subject, other).items():
            label = f"dtype of {name} under autocast, for other values and {what}"
            check.same(label, dtype, want[name])


def _dtypes(subject: Subject, case: Case) -> dict[str, torch.dtype]:
    """The dtype of each result of a call under autocast."""
    return {name: r.dtype for name, r in _results(subject, case).items()}


def _differences(case: Case) -> dict[str, dict[str, Any]]:
    """What differs in another call of the same options and form → the fields that differ."""
    lengths, batch = case.lengths, case.batch
    if case.variant == "no rows":
        return {"no rows": {"batch": 0}} if lengths is None and batch else {}
    sizes: dict[str, Any] = {"time": case.time + (not case.cell), "enforce_sorted": False}
    if lengths is None:
        return {"sizes": {**sizes, "batch": None if batch is None else batch + 1}}
    longer = (case.time + 1, *(n + 1 for n in lengths))
    ragged = (case.time, *(max(1, case.time - 1),) * (len(lengths) - 1))
    equal = (case.time,) * len(lengths)
    return {
        "sizes": {**sizes, "batch": len(longer), "lengths": longer},
        "lengths": {"lengths": ragged if case.form == "equal" else equal},
    }
