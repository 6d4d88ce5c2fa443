"""torch.export and the two ONNX exporters, or `Unsupported` where one is not offered here."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...devices import CPU
from ...precisions import FLOAT32
from ...subjects.capabilities import machine_lacks, torch_lacks
from ...subjects.protocol import Unsupported
from .calls import Nested, Recorder, flat
from .compilers import first_line, fresh, quiet, refusals
from .torchscript import adapted


def input_names(call: Recorder) -> list[str]:
    """The names of the inputs of an ONNX model: the input, and the states by their places."""
    return ["input", *(f"state_{k}" for k in range(len(flat(call.args)) - 1))]


def exported(module: nn.Module, args: tuple[Any, ...], dynamic: Any = None) -> nn.Module:
    """The program that torch.export makes of a module.  Its call is the module's call.

    Raises `Unsupported` where torch has no torch.export, or torch.export does not offer this.
    """
    if not hasattr(torch, "export") or not hasattr(torch.export, "export"):
        raise torch_lacks("torch.export")
    with fresh(), quiet(), refusals():  # what was compiled before may fix a size of a scan
        program = torch.export.export(module, args, dynamic_shapes=dynamic)
    return program.module()


def dimensions(call: Recorder, batch: int | None, time: int | None, of_states: int) -> Any:
    """What torch.export takes for a recorded call whose sizes on some axes may be others.

    `batch` and `time` are axes of the input, or None where the size is fixed; `of_states` is the
    axis of the batch in a state.  Raises `Unsupported` where this torch has no torch.export.Dim.
    """
    if not hasattr(torch, "export") or not hasattr(torch.export, "Dim"):
        raise torch_lacks("torch.export.Dim")
    named = {"batch": batch, "time": time}
    made = {n: torch.export.Dim(n, min=2, max=64) for n, a in named.items() if a is not None}
    x = {axis: made[name] for name, axis in named.items() if axis is not None}
    states = {} if batch is None else {of_states: made["batch"]}
    shapes: list[Any] = [x]
    for given in call.args[1:]:
        shapes.append(states if isinstance(given, Tensor) else tuple(states for _ in given))
    return tuple(shapes)


def import_exporters() -> None:
    """Import what exports to ONNX, which takes seconds, before a process forks."""
    for name in ("onnx", "onnxscript"):
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
            importlib.import_module("torch.onnx")


#: What the claims about ONNX share.  onnxruntime leaves a native thread behind, and a process with
#: such a thread cannot fork: so they run in a process of their own.
ONNX: dict[str, Any] = {
    "precisions": FLOAT32,
    "devices": CPU,
    "isolated": True,
    "prepare": import_exporters,
    "patience": 4.0,
}


class _Session:
    """An ONNX model in onnxruntime, called with torch's tensors."""

    def __init__(self, model: bytes, names: list[str]) -> None:
        onnxruntime = importlib.import_module("onnxruntime")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.log_severity_level = 1, 4
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(model, settings, providers=providers)
        self._names = names

    @property
    def results(self) -> int:
        """How many results the model has."""
        return len(self._session.get_outputs())

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        given = dict(zip(self._names, tensors, strict=True))
        # The exporter leaves out an input that the module does not use.
        asked = {i.name: given[i.name].detach().cpu().numpy() for i in self._session.get_inputs()}
        return [torch.from_numpy(found) for found in self._session.run(None, asked)]


@contextmanager
def size_refused() -> Iterator[None]:
    """Raise `Unsupported` where a model in onnxruntime, or a trace, raises for other sizes."""
    try:
        yield
    except Unsupported:
        raise
    except Exception as error:
        of_model = type(error).__module__.startswith("onnxruntime")
        if not of_model and not isinstance(error, RuntimeError):
            raise
        raise Unsupported(f"another size is refused: {first_line(error)}") from error


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Work in an empty folder: the dynamo exporter of torch 2.4 leaves a report of what it refuses
    in the current one."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def in_onnxruntime(call: Recorder, *, by_dynamo: bool, dynamic: Any = None) -> Nested:
    """The ONNX model of a recorded call, run by onnxruntime.

    `dynamic` are the shapes that the dynamo exporter takes, or the axes that the other one does.
    Raises `Unsupported` where a package or the exporter is missing, or the exporter refuses.
    """
    needed = ("onnx", "onnxruntime", "onnxscript") if by_dynamo else ("onnx", "onnxruntime")
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise machine_lacks(f"the package {name} (extra `onnx` of gatewise)")
    takes = inspect.signature(torch.onnx.export).parameters
    if by_dynamo and "dynamo" not in takes:
        raise torch_lacks("torch.onnx.export(dynamo=True)")
    if not by_dynamo:
        adapted(call.module)
    names = input_names(call)
    options: dict[str, Any] = {"input_names": names}
    with quiet(), refusals(), _elsewhere():
        if by_dynamo:
            options |= {} if dynamic is None else {"dynamic_shapes": dynamic}
            with fresh():
                program: Any = torch.onnx.export(call.module, call.args, dynamo=True, **options)
            model = program.model_proto.SerializeToString()
        else:
            file: Any = io.BytesIO()  # accepted, though the signature does not say so
            options |= {"dynamo": False} if "dynamo" in takes else {}
            options |= {} if dynamic is None else {"dynamic_axes": dynamic}
            torch.onnx.export(call.module, call.args, file, **options)
            model = file.getvalue()
    return Nested(_Session(model, names), call.returned)
