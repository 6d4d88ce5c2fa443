"""Compilation and export: torch's compilers, torch.export and ONNX keep what a module computes.

A compilation costs a hundred times as much as a case of another family, so cases are few and
small.  Most graphs run twice: the second time with weights or inputs that the compiler did not see.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from gatewise.reference.classes import ALL, DROP_IN, LAYERS

from ...cases.case import Case
from ...checking.comparison import Check
from ...checking.derivatives import Recorded, compare_gradients, tensors
from ...checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ...devices import CPU
from ...levels import CONTRACT
from ...precisions import FLOAT32
from ...subjects.capabilities import torch_lacks
from ...subjects.protocol import Results, Subject, load
from ..life_cycle import other_weights
from ..property import STATEFUL, UNPACKED, Family
from .compilers import compiled, exported, fresh, onnx_results, quiet, refusals

FAMILY = Family("compilation", CONTRACT, needs=("torch_names",))

#: The share that gives one case under the profile `standard`.
ONCE = 1 / 60

#: Hypothesis draws the simplest case first.  Within these bounds that case can show a fault.
SMALL: dict[str, Any] = {
    "least": {"input": 2, "hidden": 2, "batch": 2, "time": 2},
    "most": {"input": 4, "hidden": 4, "batch": 3, "time": 3},
    "regimes": st.sampled_from([(r, r, r) for r in ("normal", "spread")]),
    "forms": UNPACKED,
}


def _put(subject: Subject, case: Case, module: nn.Module, graph: nn.Module, check: Check) -> None:
    """Compare a module's graph on a case, and again after the weights and the inputs changed."""
    with torch.no_grad():
        results = subject.call(case, graph, *subject.given(case))
        compare_all(check, results, expected(case), "compiled: ")
        other = other_weights(case)
        load(module, other.weight_arrays)
        results = subject.call(other, graph, *subject.given(other))
    compare_all(check, results, expected(other), "compiled, with other weights and inputs: ")


def _called_as(name: str, claim: Any) -> Any:
    """Set the name of a claim.  The claim is no closure, so it can be sent to another process."""
    claim.__name__ = name
    return claim


def _compiled_by(backend: str, subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    with fresh(allow_rnn=backend == "inductor"), quiet():
        _put(subject, case, module, compiled(module, backend, subject.torch_device), check)


def _by_backend(backend: str, **extra: Any) -> None:
    claim = _called_as(f"compiled_by_{backend}_equals_reference", partial(_compiled_by, backend))
    FAMILY.claims(
        f"torch.compile with the backend {backend} computes what the module computes.",
        f"compile(f, {backend})(x): |f − v| ≤ r, also for w′, x′ that it did not see",
        of=ALL,
        precisions=FLOAT32,
        **{"share": ONCE, **SMALL, **extra},
    )(claim)


_by_backend("eager", forms=("dense", "unbatched", "equal", "ragged"))
_by_backend("aot_eager")
#: inductor calls a C++ or a GPU compiler, which takes seconds for a graph.
_by_backend("inductor", profile="thorough", share=0.006, patience=10.0)


@FAMILY.claims(
    "torch.compile makes one graph of the module, and the graph computes what the module computes.",
    "compile(f, fullgraph=True)(x): |f − v| ≤ r",
    of=ALL,
    precisions=FLOAT32,
    share=ONCE,
    **SMALL,
)
def compiles_as_one_graph(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    with fresh(), quiet(), refusals():
        graph = compiled(module, "eager", subject.torch_device, whole=True)
        _put(subject, case, module, graph, check)


@FAMILY.claims(
    "With dynamo's option allow_rnn, the compiled graph gives the module's results, and its "
    "backward pass gives the gradients of the module's weights.",
    "compile(f, fullgraph=True, allow_rnn)(x): |f − v| ≤ r, |∂L/∂w − v| ≤ r",
    of=DROP_IN,
    precisions=FLOAT32,
    needs=("gradients",),
    share=ONCE,
    **SMALL,
)
def compiled_graph_trains(subject: Subject, case: Case, check: Check) -> None:
    module, upstream = subject.build(case), upstream_arrays(case)
    with fresh(allow_rnn=True), quiet(), refusals():
        graph = compiled(module, "aot_eager", subject.torch_device, whole=True)
        results = subject.call(case, graph, *subject.given(case))
        Recorded({}, results).backward(tensors(subject, case, upstream))
    compare_all(check, results, expected(case), "compiled to train: ")
    gradients = {name: p.grad for name, p in module.named_parameters()}
    compare_gradients(check, gradients, expected_gradients(case, upstream), "compiled gradient of ")


class _Recorder(nn.Module):
    """Calls a module and keeps the arguments that the module received."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.args: tuple[Any, ...] = ()

    def forward(self, *args: Any) -> Any:
        self.args = args
        return self.module(*args)


def _called(subject: Subject, case: Case, module: nn.Module) -> tuple[tuple[Any, ...], Results]:
    """The arguments with which a case calls a module, and the results by name."""
    recorder = _Recorder(module)
    with torch.no_grad():
        results = subject.call(case, recorder, *subject.given(case))
    return recorder.args, results


def _unseen(case: Case) -> Case:
    """The same call with other inputs and states; the module keeps the weights of `case`."""
    return case.but(seed=case.seed ^ 1)


@FAMILY.claims(
    "The program that torch.export makes of a module computes what the module computes.",
    "export(f)(x): |f − v| ≤ r, also for an x′ that it did not see",
    of=ALL,
    precisions=FLOAT32,
    share=2 * ONCE,
    **SMALL,
)
def exported_program_equals_reference(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    program = exported(module, _called(subject, case, module)[0])
    for seen in (case, _unseen(case)):
        with torch.no_grad():
            results = subject.call(seen, program, *subject.given(seen))
        want = expected(seen, weights=case.weight_arrays)
        compare_all(check, results, want, "exported: ")


@FAMILY.claims(
    "A program that is exported with a dynamic batch size computes a batch of another size.",
    "export(f, B dynamic)(x) for B′ ≠ B: |f − v| ≤ r",
    of=STATEFUL,
    precisions=FLOAT32,
    share=ONCE,
    **{**SMALL, "forms": ("dense",), "with_state": True},
)
def exported_program_takes_any_batch(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    args, _ = _called(subject, case, module)
    if not hasattr(torch.export, "Dim"):
        raise torch_lacks("torch.export.Dim")
    batch = torch.export.Dim("batch", min=2, max=64)
    first = 0 if case.cell or case.batch_first else 1
    states = {0: batch} if case.cell else {1: batch}
    shapes: list[Any] = [{first: batch}]
    for given in args[1:]:
        shapes.append(states if isinstance(given, Tensor) else tuple(states for _ in given))
    program = exported(module, args, tuple(shapes))
    other = _unseen(case).but(batch=(case.batch or 0) + 3)
    with torch.no_grad():
        results = subject.call(other, program, *subject.given(other))
    want = expected(other, weights=case.weight_arrays)
    compare_all(check, results, want, f"exported for a batch of {case.batch}, of {other.batch}: ")


def _in_onnxruntime(by_dynamo: bool, subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case).eval()
    args, results = _called(subject, case, module)
    got = onnx_results(module, args, by_dynamo=by_dynamo)
    check.same("the number of results of the ONNX model", len(got), len(results))
    want = expected(case)
    named = {n: torch.from_numpy(a) for n, a in zip(results, got, strict=True)}
    compare_all(check, named, want, "in onnxruntime: ")


def _onnx(by_dynamo: bool, how: str, **extra: Any) -> None:
    claim = _called_as(f"onnx_{how}_equals_reference", partial(_in_onnxruntime, by_dynamo))
    FAMILY.claims(
        f"The ONNX model of the {how} exporter, run in onnxruntime, computes what the module does.",
        "|onnxruntime(export(f))(x) − v| ≤ r",
        precisions=FLOAT32,
        devices=CPU,
        **{**SMALL, **extra},
    )(claim)


_onnx(False, "torchscript", of=ALL, share=2 * ONCE)
#: The dynamo exporter builds its table of operators for each model, which takes most of a second.
_onnx(True, "dynamo", of=LAYERS, share=ONCE)
