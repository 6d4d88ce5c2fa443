"""TorchScript: what torch.jit.trace and torch.jit.script make of a module, and copies in a file."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ...subjects.adapting.module import Adapted
from ...subjects.capabilities import torch_lacks
from ...subjects.protocol import Unsupported
from .calls import Flat, Nested, Recorder, flat
from .compilers import first_line, quiet, refusals
from .scripted import CALLS

#: torch's warning where a trace holds a number of the call as a constant.
_CONSTANT = re.compile(
    r"Converting a tensor to a (NumPy array|Python float|Python number)|registered as constants"
)

#: torch's errors where it does not offer to trace or to store something.
_REFUSED = re.compile(
    r"Cannot insert a Tensor that requires grad as a constant"
    r"|Could not export Python function call"
    r"|torch\.jit\.\w+ is not supported"
)

_WARNING: type[Warning] = getattr(getattr(torch, "jit", None), "TracerWarning", UserWarning)


def _offered(name: str) -> Any:
    function = getattr(getattr(torch, "jit", None), name, None)
    if function is None:
        raise torch_lacks(f"torch.jit.{name}")
    return function


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        with refusals():
            yield
    except RuntimeError as error:
        if not _REFUSED.search(str(error)):
            raise
        raise Unsupported(first_line(error)) from error


@contextmanager
def told() -> Iterator[list[str]]:
    """The warnings, filled at the end, that a trace holds a value or a size as a constant.

    What torch's own modules make of a size is right for other sizes, so it is left out, as torch
    itself leaves it out.
    """
    said: list[str] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield said
    for warning in heard:
        of_torch = Path(warning.filename).is_relative_to(Path(torch.__file__).parent)
        if issubclass(warning.category, _WARNING) and not of_torch:
            said.append(str(warning.message).partition(". ")[0])


def adapted(module: nn.Module) -> None:
    """Raise `Unsupported` for an adapted module, whose own weights a trace holds as constants."""
    if any(isinstance(m, Adapted) for m in module.modules()):
        raise Unsupported("torch.jit.trace takes the own weights of an adapted module as constants")


def traced(call: Recorder) -> tuple[Nested, list[str]]:
    """What torch.jit.trace makes of a recorded call, and what torch says that it may hold as
    constants.  The parameters are the module's own.

    Raises `Unsupported` where torch does not offer it, or says that it holds a number of the call.
    """
    trace = _offered("trace")
    adapted(call.module)
    module, tensors = Flat(call.module, call.args), tuple(flat(call.args))
    with quiet(), _refusals(), told() as said:
        graph = trace(module, tensors, check_trace=False)
    for line in said:
        if _CONSTANT.search(line):
            raise Unsupported(line)
    return Nested(graph, call.returned), said


#: Operators of torch that compute a whole layer, or a whole stack of them.
_WHOLE = re.compile(r"aten::(lstm|gru|rnn_tanh|rnn_relu)\(")


def require_any_size(graph: Nested, said: list[str]) -> None:
    """Raise `Unsupported` unless a trace is for other sizes than those of the call.

    A trace repeats what a loop of Python did, as often as it did, and torch does not warn of that.
    Where torch warns of nothing, and one of its own operators computes all rows and steps, there is
    no such loop.
    """
    if said:
        raise Unsupported(said[0])
    if len(_WHOLE.findall(str(graph.graph.inlined_graph))) != 1:
        raise Unsupported("a trace repeats a loop of Python as often as it ran in the traced call")


def scripted(call: Recorder) -> Nested:
    """What torch.jit.script makes of the module of a recorded call.

    Raises `Unsupported` where torch does not offer it, or does not take the module's code.
    """
    script = _offered("script")
    packed = isinstance(call.args[0], PackedSequence)
    module = CALLS[packed, len(flat(call.args[1:]))](call.module)
    with quiet():
        try:
            graph = script(module)
        except Exception as error:  # TorchScript's own language: it has no one class of refusals
            raise Unsupported(first_line(error)) from error
    return Nested(graph, call.returned, gaps=True)


def stored(graph: Nested, call: Recorder) -> Nested:
    """A copy of a traced or scripted module, through a file.

    Raises `Unsupported` where torch cannot store it.  What torch scripts of a plain subclass of its
    own GRU or RNN, say, it cannot store: its exception is of a constant that the author never made.
    """
    file, scripted_code = io.BytesIO(), graph.gaps
    with quiet(), _refusals():
        try:
            _offered("save")(graph.graph, file)
        except Exception as error:  # as for `script`: TorchScript has no one class of refusals
            if not scripted_code:
                raise
            raise Unsupported(f"torch.jit.save: {first_line(error)}") from error
        file.seek(0)
        return Nested(_offered("load")(file), call.returned, gaps=graph.gaps)
