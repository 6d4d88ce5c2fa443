"""torch.compile with each backend, or `Unsupported` where it is not offered here.

It is imported only when it is used: that alone takes a second.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from ...devices import type_of
from ...process_state import flush_c
from ...subjects.capabilities import torch_lacks
from ...subjects.protocol import Unsupported


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what a compiler prints, logs and warns of.  Its exceptions pass through."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.callback(logging.disable, level)
        stack.enter_context(_nowhere())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


@contextlib.contextmanager
def _nowhere() -> Iterator[None]:
    """Send standard output and error to nowhere, that of compiled code too.

    torch's TorchScript exporter prints the graph that it refuses, past sys.stdout.
    """
    kept = {fd: os.dup(fd) for fd in (1, 2)}
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for fd in kept:
            os.dup2(null, fd)
        yield
    finally:
        flush_c()
        for fd, own in kept.items():
            os.dup2(own, fd)
            os.close(own)
        os.close(null)


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
def replaced(module: str, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of one of torch's modules meanwhile, where this torch has it."""
    owner = importlib.import_module(module)
    if not hasattr(owner, name):
        yield
        return
    with patch.object(owner, name, value):
        yield


@contextlib.contextmanager
def fresh(**config: Any) -> Iterator[None]:
    """Remove dynamo's compiled graphs before and after, and set its options in between.

    An option that this torch does not have is left out.
    """
    dynamo = importlib.import_module("torch._dynamo")
    known = {k: v for k, v in config.items() if hasattr(dynamo.config, k)}
    dynamo.reset()
    try:
        # dynamo measures the guards of each graph, for its log alone, and empties the CPU's caches
        # for it.  That takes as long as several cases.
        with (
            dynamo.config.patch(**known),
            replaced("torch._dynamo.guards", "profile_guard_manager", lambda *given: 0.0),
        ):
            yield
    finally:
        dynamo.reset()


def compiled(
    module: nn.Module,
    backend: str,
    device: str,
    *,
    whole: bool = False,
    dynamic: bool | None = None,
) -> nn.Module:
    """torch.compile(module); with `whole` a graph break raises.  Call this within `fresh`.

    With `dynamic` one graph is for all sizes, as far as torch can make such a graph.

    Raises `Unsupported` where torch.compile does not run here.
    """
    reason = unavailable(backend, type_of(device))
    if reason:
        raise Unsupported(reason)
    found: Any = torch.compile(module, backend=backend, fullgraph=whole, dynamic=dynamic)
    made: nn.Module = found
    return made


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
