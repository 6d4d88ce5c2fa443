"""Placement: what CUDA and cuDNN may change, and what they must not change.

These properties are claimed on CUDA devices only.  Every numeric family runs there as well, with
the same reference and the same bound as on a CPU.  On a machine without a CUDA device none of these
properties is planned, and the header of the run says so.
"""

from __future__ import annotations

import os

import torch

from gatewise.reference.classes import ALL, DROP_IN, LAYERS

from ..cases.case import Case
from ..checking.comparison import Check, bits
from ..checking.oracle import compare_all, expected
from ..devices import CUDA, another_than
from ..levels import CONTRACT, HARDENING
from ..precisions import FLOAT32, PLAIN, switch
from ..subjects.protocol import Subject, Unsupported
from .paths.results import same_along
from .property import Family

FAMILY = Family("placement")

#: Settings with which cuBLAS, which cuDNN calls, repeats its bits (CUDA's documentation of cuBLAS).
REPEATING_WORKSPACES = (":4096:8", ":16:8")


@FAMILY.claims(
    "A CPU and a CUDA device give the same results.",
    "|f_cuda(x) − v| <= r and |f_cpu(x) − v| <= r, for one v and r",
    of=ALL,
    precisions=PLAIN,
    share=0.5,
    devices=CUDA,
)
def cpu_gives_the_same(subject: Subject, case: Case, check: Check) -> None:
    want = expected(case)
    compare_all(check, subject.run(case), want, f"on {subject.device}: ")
    compare_all(check, subject.on("cpu").run(case), want, "on a CPU: ")


@FAMILY.claims(
    "cuDNN switched off gives the same results.",
    "f(x) = f(x) under torch.backends.cudnn.flags(enabled=False)",
    of=ALL,
    precisions=PLAIN,
    share=0.5,
    devices=CUDA,
)
def cudnn_off_gives_the_same(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    plain = subject.run(case, module)
    with torch.backends.cudnn.flags(enabled=False):
        got = subject.run(case, module)
    same_along(check, "with cuDNN off", got, plain, case)


@FAMILY.claims(
    "With TF32 allowed, results stay within the bound of factors rounded to TF32.",
    "|f(x) − v| <= r_tf32 with allow_tf32 for cuDNN and for matrix products",
    of=ALL,
    precisions=FLOAT32,
    share=0.5,
    devices=CUDA,
)
def tf32_keeps_its_own_bound(subject: Subject, case: Case, check: Check) -> None:
    switch("tf32")
    try:
        got = subject.run(case)
    finally:
        switch(case.precision)
    compare_all(check, got, expected(case.but(precision="tf32")), "with TF32: ")


@FAMILY.claims(
    "flatten_parameters moves the weights, and changes neither their values nor the results.",
    "bytes of every weight, and f(x), before = after flatten_parameters()",
    of=LAYERS,
    share=0.3,
    devices=CUDA,
    level=CONTRACT,
)
def flatten_parameters_changes_nothing(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    flatten = getattr(module, "flatten_parameters", None)
    if flatten is None:
        raise Unsupported("the module has no flatten_parameters")
    for parameter in module.parameters():
        # Each weight gets memory of its own, so that there is something to flatten.
        parameter.data = parameter.data.clone()
    before = {name: bits(p) for name, p in module.named_parameters()}
    plain = subject.run(case, module)
    flatten()
    got = subject.run(case, module)
    for name, parameter in module.named_parameters():
        same = torch.equal(before[name], bits(parameter))
        check.same(f"{name} keeps its bytes when flattened", same, True)
    same_along(check, "after flatten_parameters", got, plain, case)


@FAMILY.claims(
    "A state that is not on the input's device is refused, with a message that names the device.",
    "raises(f, x on one device, s on another)",
    of=DROP_IN,
    share=0.2,
    with_state=True,
    devices=CUDA,
    level=HARDENING,
    beyond="torch.nn documents no error for a mix of devices.",
)
def state_on_another_device_is_refused(subject: Subject, case: Case, check: Check) -> None:
    other = another_than(subject.device) or "meta"
    module = subject.build(case)
    x, states = subject.given(case)
    elsewhere = tuple(s.to(other) for s in states or ())
    message = "nothing was raised"
    try:
        with torch.no_grad():
            subject.call(case, module, x, elsewhere)
    except Exception as error:
        message = str(error)
    label = f"that the error for states on {other} names the device ({message}),"
    check.same(label, "device" in message or other in message, True)


@FAMILY.claims(
    "With cuDNN set to be deterministic, a call and its gradients repeat their bits.",
    "f(x) = f(x), ∂f/∂W = ∂f/∂W under torch.backends.cudnn.flags(deterministic=True)",
    of=LAYERS,
    needs=("gradients",),
    share=0.2,
    devices=CUDA,
    level=CONTRACT,
)
def deterministic_cudnn_repeats_its_bits(subject: Subject, case: Case, check: Check) -> None:
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    if workspace not in REPEATING_WORKSPACES:
        raise Unsupported(
            f"CUBLAS_WORKSPACE_CONFIG is {workspace!r}, and cuBLAS repeats its bits with "
            f"{' or '.join(REPEATING_WORKSPACES)} alone"
        )
    module = subject.build(case)
    parameters = dict(module.named_parameters())
    x, states = subject.given(case)
    seen: list[dict[str, torch.Tensor]] = []
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for _ in range(2):
            results = subject.call(case, module, x, states)
            loss = torch.stack([t.sum() for t in results.values()]).sum()
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            named = {f"gradient of {n}": g for n, g in zip(parameters, gradients, strict=True)}
            seen.append({name: bits(t) for name, t in {**results, **named}.items()})
    for name, first in seen[0].items():
        check.same(f"{name} has the same bits", torch.equal(first, seen[1][name]), True)
