"""torch's compilers and exporters: a call for each, or `Unsupported` where one is not offered here.

Each is imported only when it is used: torch's compiler alone takes a second to import.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ...checking.derivatives import STATES
from ...devices import type_of
from ...subjects.adapting.module import Adapted
from ...subjects.capabilities import machine_lacks, torch_lacks
from ...subjects.protocol import Unsupported


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what a compiler prints, logs and warns of.  Its exceptions pass through."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.callback(logging.disable, level)
        if hasattr(torch._C, "_jit_set_onnx_log_enabled"):  # it does not write to sys.stdout
            stack.callback(torch._C._jit_set_onnx_log_enabled, torch._C._jit_is_onnx_log_enabled())
            torch._C._jit_set_onnx_log_enabled(False)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


def first_line(error: BaseException) -> str:
    """The class and the message of an error, in one line of at most 200 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


@lru_cache
def unavailable(backend: str, device: str) -> str:
    """Why torch.compile does not run here with a backend on a device; empty where it does run."""
    if not hasattr(torch, "compile"):
        return str(torch_lacks("torch.compile"))
    try:
        with fresh(), quiet():
            torch.compile(_twice, backend=backend)(torch.zeros(2, device=device))
    except Exception as error:
        return first_line(error)
    return ""


def _twice(x: Tensor) -> Tensor:
    return 2 * x


@contextlib.contextmanager
def fresh(**config: Any) -> Iterator[None]:
    """Remove dynamo's compiled graphs before and after, and set its options in between.

    An option that this torch does not have is left out.
    """
    dynamo = importlib.import_module("torch._dynamo")
    known = {k: v for k, v in config.items() if hasattr(dynamo.config, k)}
    dynamo.reset()
    try:
        with dynamo.config.patch(**known):
            yield
    finally:
        dynamo.reset()


def compiled(module: nn.Module, backend: str, device: str, *, whole: bool = False) -> nn.Module:
    """torch.compile(module); with `whole` a graph break raises.  Call this within `fresh`.

    Raises `Unsupported` where torch.compile does not run here.
    """
    reason = unavailable(backend, type_of(device))
    if reason:
        raise Unsupported(reason)
    found: nn.Module = torch.compile(module, backend=backend, fullgraph=whole)  # type: ignore[assignment]
    return found


#: What torch.jit.trace says of a function that torch.compile has compiled.
_COMPILED = "FX to torch.jit.trace a dynamo-optimized function"


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Raise `Unsupported` where a compiler or exporter says that it does not offer something.

    It says so of a graph break where none is allowed, of control flow that depends on data, and of
    an operator that it cannot translate.  Each of these has its own class of exceptions.  Any other
    exception passes through, as a fault.
    """
    refused: list[type[BaseException]] = []
    for name, classes in (
        ("torch._dynamo.exc", ("Unsupported", "UserError")),
        ("torch.fx.experimental.symbolic_shapes", ("GuardOnDataDependentSymNode",)),
        ("torch.onnx", ("OnnxExporterError",)),
        ("torch.onnx.errors", ("OnnxExporterError",)),
    ):
        module = importlib.import_module(name)
        refused += [getattr(module, c) for c in classes if hasattr(module, c)]
    try:
        yield
    except tuple(refused) as error:
        raise Unsupported(first_line(error)) from error
    except RuntimeError as error:
        if _COMPILED not in str(error):
            raise
        raise Unsupported(first_line(error)) from error


def exported(module: nn.Module, args: tuple[Any, ...], dynamic: Any = None) -> nn.Module:
    """The program that torch.export makes of a module.  Its call is the module's call.

    Raises `Unsupported` where torch has no torch.export, or torch.export does not offer this.
    """
    if not hasattr(torch, "export") or not hasattr(torch.export, "export"):
        raise torch_lacks("torch.export")
    with quiet(), refusals():
        program = torch.export.export(module, args, dynamic_shapes=dynamic)
    return program.module()


def onnx_results(module: nn.Module, args: tuple[Any, ...], *, by_dynamo: bool) -> list[Any]:
    """What onnxruntime computes from the ONNX model of a module: an array for each result.

    Raises `Unsupported` where a package or the exporter is missing, or the exporter refuses.
    """
    needed = ("onnx", "onnxruntime", "onnxscript") if by_dynamo else ("onnx", "onnxruntime")
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise machine_lacks(f"the package {name} (extra `onnx` of gatewise)")
    takes = inspect.signature(torch.onnx.export).parameters
    if by_dynamo and "dynamo" not in takes:
        raise torch_lacks("torch.onnx.export(dynamo=True)")
    inputs = dict(zip(("input", *STATES), _flat(args), strict=False))
    options: dict[str, Any] = {"input_names": [*inputs]}
    if not by_dynamo and any(isinstance(m, Adapted) for m in module.modules()):
        raise Unsupported("torch.jit.trace takes the own weights of an adapted module as constants")
    with quiet(), refusals():
        if by_dynamo:
            program: Any = torch.onnx.export(module, args, dynamo=True, **options)
            model = program.model_proto.SerializeToString()
        else:
            file: Any = io.BytesIO()  # accepted, though the signature does not say so
            options |= {"dynamo": False} if "dynamo" in takes else {}
            torch.onnx.export(module, args, file, **options)
            model = file.getvalue()
    onnxruntime = importlib.import_module("onnxruntime")

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    # The exporter leaves out an input that the module does not use.
    asked = {i.name: inputs[i.name].detach().cpu().numpy() for i in session.get_inputs()}
    return list(session.run(None, asked))


def _flat(args: Any) -> list[Tensor]:
    return [args] if isinstance(args, Tensor) else [t for part in args for t in _flat(part)]
