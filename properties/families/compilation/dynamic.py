"""Dynamic sizes: one graph is for another batch and another number of steps than it was made with.

Where a compiler or a graph refuses other sizes, the claim is unsupported.  What it then computes
for them must be right.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from gatewise.reference.classes import DROP_IN, LAYERS

from ...cases.case import Case
from ...checking.comparison import Check
from ...precisions import FLOAT32
from ...subjects.protocol import Subject, Unsupported
from ..property import STATEFUL
from .calls import recorded, unseen
from .claims import ALL_ROWS, FAMILY, SMALL, SOME_ROWS, called_as, compare_call
from .compilers import compiled, fresh, quiet
from .exporters import ONNX, dimensions, exported, in_onnxruntime, input_names, size_refused
from .torchscript import require_any_size, traced

#: A graph of dynamic sizes takes several times as long to make as one of fixed sizes.
_DENSE: dict[str, Any] = {**SMALL, "forms": ("dense",), "portion": SOME_ROWS}


def larger(case: Case, *, batch: bool = True, time: bool = True) -> Case:
    """A call with a larger batch, more steps, or both, and with other values and lengths."""
    rows, steps = (case.batch or 0) + 3 * batch, case.time + 2 * (time and not case.cell)
    other = unseen(case).but(batch=rows, time=steps)
    if case.lengths is None:
        return other
    lengths = (steps, *(1 + n % steps for n in range(rows - 1)))
    return other.but(lengths=tuple(sorted(lengths, reverse=True)))


def _axes(case: Case) -> tuple[int, int | None]:
    """The axes of the batch and of time in a dense input."""
    if case.cell:
        return 0, None
    return (0, 1) if case.batch_first else (1, 0)


def _sizes(case: Case) -> str:
    steps = "" if case.cell else f" and {case.time} steps"
    return f"{case.batch} rows{steps}"


def _exported(subject: Subject, case: Case, other: Case, check: Check, dynamic: str) -> None:
    module = subject.build(case)
    call, _ = recorded(subject, case, module)
    batch, time = _axes(case)
    axes = {"batch": (batch, None), "time": (None, time)}[dynamic]
    program = exported(module, call.args, dimensions(call, *axes, 0 if case.cell else 1))
    what = f"exported for {_sizes(case)}, with {_sizes(other)}"
    compare_call(subject, other, program, check, what, case.weight_arrays)


@FAMILY.claims(
    "A program that is exported with a dynamic batch size computes a batch of another size.",
    "export(f, B dynamic)(x) for B′ ≠ B: |f − v| ≤ r",
    of=STATEFUL,
    precisions=FLOAT32,
    **{**_DENSE, "portion": {"quick": 0.1, "standard": 0.2}},
)
def exported_program_takes_any_batch(subject: Subject, case: Case, check: Check) -> None:
    _exported(subject, case, larger(case, time=False), check, "batch")


@FAMILY.claims(
    "A program that is exported with a dynamic number of steps computes another number of steps.",
    "export(f, T dynamic)(x) for T′ ≠ T: |f − v| ≤ r",
    of=LAYERS,
    precisions=FLOAT32,
    **{**_DENSE, "portion": {"quick": 0.1, "standard": 0.1}},
)
def exported_program_takes_any_time(subject: Subject, case: Case, check: Check) -> None:
    _exported(subject, case, larger(case, batch=False), check, "time")


@FAMILY.claims(
    "A graph of torch.compile with dynamic=True computes another batch and number of steps.",
    "compile(f, dynamic=True)(x) for B′ ≠ B, T′ ≠ T: |f − v| ≤ r",
    of=DROP_IN,
    precisions=FLOAT32,
    **{**_DENSE, "portion": {"quick": 0.1, "standard": 0.2}},
)
def compiled_graph_takes_any_size(subject: Subject, case: Case, check: Check) -> None:
    module, other = subject.build(case), larger(case)
    with fresh(allow_rnn=True), quiet():
        graph = compiled(module, "eager", subject.torch_device, dynamic=True)
        for seen in (case, other):
            what = f"compiled with dynamic sizes, with {_sizes(seen)}"
            compare_call(subject, seen, graph, check, what, case.weight_arrays)


@FAMILY.claims(
    "What torch.jit.trace makes of a module computes another batch and number of steps, where one "
    "operator of torch computes the module, and torch warns of no constant in the trace.",
    "trace(f)(x) for B′ ≠ B, T′ ≠ T: |f − v| ≤ r",
    of=LAYERS,
    precisions=FLOAT32,
    **{**_DENSE, "portion": ALL_ROWS, "forms": ("dense", "ragged")},
)
def traced_module_takes_any_size(subject: Subject, case: Case, check: Check) -> None:
    call, _ = recorded(subject, case, subject.build(case))
    graph, said = traced(call)
    require_any_size(graph, said)
    other = larger(case)
    what = f"traced for {_sizes(case)}, with {_sizes(other)}"
    with size_refused():
        compare_call(subject, other, graph, check, what, case.weight_arrays)


def _in_onnxruntime(by_dynamo: bool, subject: Subject, case: Case, check: Check) -> None:
    call, _ = recorded(subject, case, subject.build(case))
    (batch, time), of_states = _axes(case), 0 if case.cell else 1
    if by_dynamo:
        dynamic = dimensions(call, batch, time, of_states)
    else:
        require_any_size(*traced(call))
        steps = {} if time is None else {time: "time"}
        x, *others = input_names(call)
        states = {name: {of_states: "batch"} for name in others}
        dynamic = {x: {batch: "batch", **steps}, **states}
    model = in_onnxruntime(call, by_dynamo=by_dynamo, dynamic=dynamic)
    refused = None
    for other in (larger(case, time=False), larger(case, batch=False), larger(case)):
        what = f"in onnxruntime, exported for {_sizes(case)}, with {_sizes(other)}"
        try:
            with size_refused():
                compare_call(subject, other, model, check, what, case.weight_arrays)
        except Unsupported as reason:
            refused = reason
    if refused is not None:
        raise refused


def _onnx(by_dynamo: bool, how: str, **extra: Any) -> None:
    claim = called_as(f"onnx_{how}_takes_any_size", partial(_in_onnxruntime, by_dynamo))
    FAMILY.claims(
        f"The ONNX model of the {how} exporter with dynamic axes computes another batch and number "
        "of steps, unless the exporter warns of a constant or the model refuses a size.",
        "|onnxruntime(export(f, B and T dynamic))(x) − v| ≤ r for B′ ≠ B, T′ ≠ T",
        **{**ONNX, **_DENSE, **extra},
    )(claim)


_onnx(False, "torchscript", of=LAYERS, portion=ALL_ROWS)
#: To export one model with dynamic sizes takes the dynamo exporter three to six seconds.
_onnx(True, "dynamo", of=LAYERS, profile="thorough", share=0.001)
