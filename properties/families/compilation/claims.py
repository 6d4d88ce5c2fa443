"""Compilation and export: torch's compilers, torch.export and ONNX keep what a module computes.

A compilation costs a hundred times as much as a case of another family, so cases are few and
small: the rows of a covering array.  Every graph runs several times, with weights and inputs that
the compiler did not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from gatewise.reference.classes import ALL, DROP_IN, LAYERS
from gatewise.reference.formats import Array

from ...cases.case import Case
from ...checking.comparison import Check
from ...checking.derivatives import Recorded, arguments, compare_gradients, tensors
from ...checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ...levels import CONTRACT
from ...precisions import FLOAT32
from ...subjects.protocol import Subject, Unsupported, load
from ..property import UNPACKED, Family
from .calls import Nested, Recorder, recorded, unseen
from .compilers import compiled, fresh, quiet, refusals
from .exporters import ONNX, exported, in_onnxruntime
from .torchscript import scripted, stored, traced

FAMILY = Family("compilation", CONTRACT, needs=("torch_names",))

#: The share that gives one drawn case under the profile `standard`.
ONCE = 1 / 60

#: The parts of the rows that run under a profile: all at `standard`, or some at `standard` too.
ALL_ROWS = {"quick": 0.25}
SOME_ROWS = {"quick": 0.1, "standard": 0.3}

ANY_FORM = ("dense", "unbatched", "ragged")

#: Within these bounds the simplest case, which Hypothesis draws first, can show a fault.
SMALL: dict[str, Any] = {
    "least": {"input": 2, "hidden": 2, "batch": 2, "time": 2},
    "most": {"input": 4, "hidden": 4, "batch": 3, "time": 3},
    "regimes": st.sampled_from([(r, r, r) for r in ("normal", "spread")]),
    "forms": UNPACKED,
    "covers": True,
    "sweep": True,
    "share": ONCE,
    "portion": ALL_ROWS,
}


def compare_call(
    subject: Subject,
    case: Case,
    graph: nn.Module,
    check: Check,
    what: str,
    weights: Mapping[str, Array] | None = None,
) -> None:
    """Compare a graph with the reference on a case, with its weights or those given."""
    with torch.no_grad():
        results = subject.call(case, graph, *subject.given(case))
    compare_all(check, results, expected(case, weights=weights), f"{what}: ")


def _put(subject: Subject, case: Case, module: nn.Module, graph: nn.Module, check: Check) -> None:
    """Compare a module's graph on a case, and again after the weights and the inputs changed."""
    compare_call(subject, case, graph, check, "compiled")
    other = unseen(case)
    load(module, other.weight_arrays)
    compare_call(subject, other, graph, check, "compiled, with other weights and inputs")


def called_as(name: str, claim: Any) -> Any:
    """Set the name of a claim.  The claim is no closure, so it can be sent to another process."""
    claim.__name__ = name
    return claim


def _compiled_by(backend: str, subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    with fresh(allow_rnn=backend == "inductor"), quiet():
        _put(subject, case, module, compiled(module, backend, subject.torch_device), check)


def _by_backend(backend: str, **extra: Any) -> None:
    claim = called_as(f"compiled_by_{backend}_equals_reference", partial(_compiled_by, backend))
    FAMILY.claims(
        f"torch.compile with the backend {backend} computes what the module computes.",
        f"compile(f, {backend})(x): |f − v| ≤ r, also for w′, x′ that it did not see",
        of=ALL,
        precisions=FLOAT32,
        **{**SMALL, **extra},
    )(claim)


_by_backend("eager", forms=ANY_FORM)
_by_backend("aot_eager", forms=ANY_FORM, portion=SOME_ROWS)
#: inductor calls a C++ or a GPU compiler, which takes seconds for a graph.
_by_backend("inductor", profile="thorough", share=0.001, patience=10.0)


@FAMILY.claims(
    "torch.compile makes one graph of the module, and the graph computes what the module computes.",
    "compile(f, fullgraph=True)(x): |f − v| ≤ r",
    of=ALL,
    precisions=FLOAT32,
    **{**SMALL, "portion": SOME_ROWS},
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
    **{**SMALL, "portion": SOME_ROWS},
)
def compiled_graph_trains(subject: Subject, case: Case, check: Check) -> None:
    _trains(subject, case, check, of_inputs=False)


@FAMILY.claims(
    "The backward pass of the compiled graph also gives the gradients of the input and the states.",
    "compile(f, fullgraph=True, allow_rnn)(x, s): |∂L/∂(x, s, w) − v| ≤ r",
    of=DROP_IN,
    precisions=FLOAT32,
    needs=("gradients",),
    **{**SMALL, "portion": {"quick": 0.1, "standard": 0.5}},
)
def compiled_graph_gives_every_gradient(subject: Subject, case: Case, check: Check) -> None:
    _trains(subject, case, check, of_inputs=True)


def _trains(subject: Subject, case: Case, check: Check, *, of_inputs: bool) -> None:
    module, upstream = subject.build(case), upstream_arrays(case)
    given = arguments(subject, case)
    inputs, *states = (t.requires_grad_(of_inputs) for t in given.values())
    with fresh(allow_rnn=True), quiet(), refusals():
        graph = compiled(module, "aot_eager", subject.torch_device, whole=True)
        results = subject.call(case, graph, inputs, tuple(states) or None)
        Recorded({}, results).backward(tensors(subject, case, upstream))
    compare_all(check, results, expected(case), "compiled to train: ")
    leaves = {**(given if of_inputs else {}), **dict(module.named_parameters())}
    gradients = {name: p.grad for name, p in leaves.items()}
    compare_gradients(check, gradients, expected_gradients(case, upstream), "compiled gradient of ")


@FAMILY.claims(
    "A compiled module follows train() and eval(): dropout is applied in training alone.",
    "compile(f_1)(x) in training, evaluation and training: |f − v| ≤ r",
    of=LAYERS,
    precisions=FLOAT32,
    **{**SMALL, "covers": False, "sweep": False, "num_layers": 2, "dropout": 1.0},
)
def compiled_graph_follows_the_mode(subject: Subject, case: Case, check: Check) -> None:
    module, (x, states) = subject.build(case), subject.given(case)
    output = (*case.input_shape[:-1], case.options.output_size)
    with fresh(allow_rnn=True), quiet(), torch.no_grad():
        graph = compiled(module, "eager", subject.torch_device)
        for mode in ("training", "evaluation", "training, again"):
            module.train(mode != "evaluation")
            masks = [np.zeros(output)] if module.training else []
            results = subject.call(case, graph, x, states)
            compare_all(check, results, expected(case, masks=masks), f"compiled, in {mode}: ")


@FAMILY.claims(
    "The program that torch.export makes of a module computes what the module computes, also after "
    "other weights are loaded into it.",
    "export(f)(x): |f − v| ≤ r, also for w′, x′ that it did not see",
    of=ALL,
    precisions=FLOAT32,
    **SMALL,
)
def exported_program_equals_reference(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    program = exported(module, recorded(subject, case, module)[0].args)
    other = unseen(case)
    compare_call(subject, case, program, check, "exported")
    compare_call(subject, other, program, check, "exported", case.weight_arrays)
    load(program, other.weight_arrays)
    compare_call(subject, other, program, check, "exported, with other weights")


def _put_script(
    subject: Subject,
    case: Case,
    other: Case,
    call: Recorder,
    graph: Nested,
    check: Check,
    what: str,
) -> None:
    """Compare a traced or scripted module and its copy in a file, before and after `other`'s
    weights are loaded into the module and into the copy."""
    copy = refused = None
    try:
        copy = stored(graph, call)
    except Unsupported as reason:  # the graph itself is compared first
        refused = reason
    compare_call(subject, case, graph, check, what)
    load(call.module, other.weight_arrays)
    compare_call(subject, other, graph, check, f"{what}, with other weights and inputs")
    if copy is None:
        assert refused is not None
        raise refused
    compare_call(subject, case, copy, check, f"{what} and loaded from a file")
    load(copy.graph.module, other.weight_arrays)
    compare_call(subject, other, copy, check, f"{what} and loaded from a file, with other weights")


@FAMILY.claims(
    "What torch.jit.trace makes of a module computes what the module computes, with its weights "
    "as they are and with other inputs of the same shape.  So does its copy in a file.",
    "trace(f)(x): |f − v| ≤ r, also for w′, x′ that it did not see",
    of=ALL,
    precisions=FLOAT32,
    **{**SMALL, "forms": ANY_FORM},
)
def traced_module_equals_reference(subject: Subject, case: Case, check: Check) -> None:
    call, _ = recorded(subject, case, subject.build(case))
    graph, said = traced(call)
    other = unseen(case)
    if said:  # the lengths may be constants
        other = other.but(lengths=case.lengths)
    _put_script(subject, case, other, call, graph, check, "traced")


@FAMILY.claims(
    "What torch.jit.script makes of a module computes what the module computes, with its weights "
    "as they are.  So does its copy in a file.",
    "script(f)(x): |f − v| ≤ r, also for w′, x′ that it did not see",
    of=DROP_IN,
    precisions=FLOAT32,
    **{**SMALL, "forms": ANY_FORM},
)
def scripted_module_equals_reference(subject: Subject, case: Case, check: Check) -> None:
    call, _ = recorded(subject, case, subject.build(case))
    graph = scripted(call)
    _put_script(subject, case, unseen(case), call, graph, check, "scripted")


def _in_onnxruntime(by_dynamo: bool, subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    call, results = recorded(subject, case, module)
    model = in_onnxruntime(call, by_dynamo=by_dynamo)
    check.same("the training mode after the export", module.training, case.training)
    check.same("the number of results of the ONNX model", model.graph.results, len(results))
    for seen in (case, unseen(case)):
        compare_call(subject, seen, model, check, "in onnxruntime", case.weight_arrays)


def _onnx(by_dynamo: bool, how: str, **extra: Any) -> None:
    claim = called_as(f"onnx_{how}_equals_reference", partial(_in_onnxruntime, by_dynamo))
    FAMILY.claims(
        f"The ONNX model of the {how} exporter, run in onnxruntime, computes what the module does.",
        "|onnxruntime(export(f))(x) − v| ≤ r, also for an x′ that it did not see",
        **{**ONNX, **SMALL, **extra},
    )(claim)


_onnx(False, "torchscript", of=ALL)
#: The dynamo exporter builds its table of operators for each model, which takes most of a second.
_onnx(True, "dynamo", of=LAYERS, portion={"quick": 0.1, "standard": 0.25})
