"""Writes a script that a person can read and change: arrays, one call, and a comparison."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gatewise.reference.ball import Ball
from gatewise.reference.classes import DROP_IN
from gatewise.reference.formats import Array

from ..cases import layouts
from ..cases.case import Case
from ..checking.derivatives import Gradients, may_be_left_out, record, tensors
from ..checking.oracle import expected, expected_gradients, result_shapes, upstream_arrays
from ..families.dropout.masks import seeded_generators
from ..precisions import dtype_of
from ..subjects.protocol import Subject
from .diagnosis_of_calls import differs

#: Wrong gradients that a script compares.
_SHOWN = 4

_LOAD = '''
def load(spec):
    """The class or factory that `spec` names."""
    where, _, attribute = spec.rpartition(":")
    if where.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(where)))
        found = importlib.util.spec_from_file_location("subject", where)
        module = sys.modules["subject"] = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
    else:
        sys.path.insert(0, {folder!r})
        module = importlib.import_module(where)
    return functools.reduce(getattr, attribute.split("."), module)
'''

_COMPARE = """
right = True
for name, (value, bound) in EXPECTED.items():
    value, bound = np.array(value, dtype=float), np.array(bound, dtype=float)
    result = {result}
    if result.shape != value.shape:
        sys.exit(f"{name}: shape {result.shape}, expected {value.shape}")
    wrong = np.isfinite(value) & np.isfinite(bound) & ~(np.abs(result - value) <= bound)
    if value.size:
        at = np.unravel_index(np.argmax(wrong), wrong.shape)
        print(f"{name}{[int(i) for i in at]}: expected {value[at]}, got {result[at]}, "
              f"bound {bound[at]:.3g}; {wrong.sum()} of {wrong.size} elements are wrong")
    right &= not wrong.any()
sys.exit(0 if right else 1)
"""


_RESULT = "got[name].detach().double().cpu().numpy()"
#: A leaf that the loss does not depend on has the gradient zero.
_GRADIENT = f"np.zeros(value.shape) if got[name] is None else {_RESULT}"


def importable(subject: Subject) -> str:
    """`package.module:Name` or an absolute `file.py:Name` from which a script loads the subject.

    Raises `ValueError` if the subject has no name that a script can import.
    """
    where, colon, attribute = subject.name.rpartition(":")
    if colon:
        return f"{Path(where).resolve()}:{attribute}" if where.endswith(".py") else subject.name
    module, dot, name = subject.name.rpartition(".")
    if not dot or "+" in subject.name:
        raise ValueError(f"subject {subject.name!r} has no name that a script can import")
    return f"{module}:{name}"


def folder_of(subject: Subject) -> str:
    """The folder of the subject's package or module; "" if the subject is from a file.

    The script needs it, because Python searches the folder of a script and not the current folder.
    """
    where = subject.name.rpartition(":")[0] or subject.name.rpartition(".")[0]
    root = sys.modules.get(where.partition(".")[0])
    file = getattr(root, "__file__", None)
    if where.endswith(".py") or file is None:
        return ""
    path = Path(file).resolve()
    return str(path.parents[1] if path.name == "__init__.py" else path.parent)


def plain_script(
    subject: Subject, case: Case, head: str, *, gradients: bool, masks: Sequence[Array] = ()
) -> str | None:
    """A script that compares the results with the expected arrays, or the gradients.

    `masks` are the dropout masks of the expected results, as `oracle.expected` takes them.

    None if the results are right, and with `gradients` the gradients are right as well; or if a
    script without Gatewise cannot call the subject.
    """
    if subject.like not in DROP_IN or case.kind != subject.kind:
        return None
    if "torch_names" in subject.unsupported:  # an adapter needs Gatewise's modules
        return None
    want = expected(case, masks=masks)
    with seeded_generators(subject, case.seed):
        got = subject.run(case)
    if differs(got, want):
        return _text(subject, case, head, want)
    return _gradient_script(subject, case, head) if gradients else None


def _gradient_script(subject: Subject, case: Case, head: str) -> str | None:
    upstream = upstream_arrays(case)
    want = expected_gradients(case, upstream)
    got = record(subject, case).gradient(tensors(subject, case, upstream))
    want = {n: b for n, b in want.items() if _may_be_compared(case, n, got)}
    found: Mapping[str, object] = {
        n: np.zeros(want[n].v.shape) if got[n] is None else got[n] for n in want
    }
    wrong = [n for n in want if differs({n: found[n]}, {n: want[n]})]  # type: ignore[dict-item]
    shown = {n: want[n] for n in wrong[:_SHOWN]}
    return _text(subject, case, head, shown, upstream) if shown else None


def _may_be_compared(case: Case, name: str, got: Gradients) -> bool:
    return name in got and not (got[name] is None and may_be_left_out(case, name))


def _text(
    subject: Subject,
    case: Case,
    head: str,
    want: Mapping[str, Ball],
    upstream: Mapping[str, Array] | None = None,
) -> str:
    """The script: `want` are results, or gradients for the upstream gradients."""
    sizes, options = subject.arguments(case)
    arguments = [str(s) for s in sizes] + [f"{k}={v!r}" for k, v in options.items()]
    packed = "from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence"
    states = ", ".join(_literal(s) for s in case.state_arrays) if case.with_state else ""
    body = [
        head,
        "import functools",
        "import importlib.util",
        "import os",
        "import sys",
        "",
        "import numpy as np",
        "import torch",
        *([packed] if case.lengths is not None else []),
        "",
        f"SUBJECT = {importable(subject)!r}",
        f"OPTIONS = {{'device': {subject.torch_device!r}, 'dtype': {dtype_of(case.precision)}}}",
        "WEIGHTS = {",
        *(f"    {n!r}: {_literal(w)}," for n, w in case.weight_arrays.items()),
        "}",
        f"INPUT = {_literal(case.input_array)}",
        f"STATES = [{states}]",
    ]
    what = "result -> (value"
    if upstream is not None:
        pairs = ", ".join(f"{n!r}: {_literal(u)}" for n, u in upstream.items())
        body.append(f"UPSTREAM = {{{pairs}}}  # the gradient of the loss by each result")
        what = "leaf -> (gradient"
    body += [
        f"EXPECTED = {{  # {what}, bound on the rounding error)",
        *(f"    {n!r}: ({_literal(b.v)}, {_literal(b.radius)})," for n, b in want.items()),
        "}",
        _LOAD.replace("{folder!r}", repr(folder_of(subject))),
        *_placing(case),
        "",
        "factory = load([SUBJECT, *sys.argv[1:]][-1])",
        f"module = factory({', '.join(arguments)}).to(**OPTIONS)",
        "own = dict(module.named_parameters())",
        "own = own if own.keys() == WEIGHTS.keys() else module.state_dict(keep_vars=True)",
        "with torch.no_grad():",
        "    for name, values in WEIGHTS.items():",
        "        own[name].copy_(torch.tensor(values, dtype=torch.float64))",
        *([] if case.training else ["module.eval()"]),
        *([f"torch.manual_seed({case.seed})"] if case.dropout else []),
        *_call(case, list(result_shapes(case)), upstream is not None),
        *(_backward(case) if upstream is not None else []),
        _COMPARE.replace("{result}", _RESULT if upstream is None else _GRADIENT),
    ]
    text = "\n".join(body)
    if re.search(r"\b(inf|nan)\b", text):  # arrays that are not finite
        text = text.replace("SUBJECT = ", "inf, nan = float('inf'), float('nan')\nSUBJECT = ", 1)
    return text


def _literal(values: Array) -> str:
    return repr(np.asarray(values).tolist())


def _placing(case: Case) -> list[str]:
    """The function that puts values into a layout, where it is not the contiguous one."""
    if case.layout == "contiguous":
        return []
    sources = [inspect.getsource(f).rstrip() for f in (layouts.fitted, layouts.place)]
    return ["", *"\n\n\n".join(sources).splitlines(), ""]


def _tensor(case: Case, values: str) -> str:
    """The expression of a tensor of some values in the layout of a case."""
    if case.layout == "contiguous":
        return f"torch.tensor({values}, **OPTIONS)"
    array = f"np.array({values}, dtype=float)"
    return f"place({array}, {case.layout!r}, OPTIONS['dtype'], OPTIONS['device'])"


def _call(case: Case, names: Sequence[str], graph: bool) -> list[str]:
    tensor = _tensor(case, "values") + (".requires_grad_()" if graph else "")
    lines = [f"x, *states = ({tensor} for values in (INPUT, *STATES))"]
    given = "x"
    if case.lengths is not None:
        given = "packed"
        lines.append(
            f"packed = pack_padded_sequence(x, torch.tensor({list(case.lengths)}), "
            f"batch_first={case.batch_first}, enforce_sorted={case.enforce_sorted})"
        )
    several = len(case.state_shapes) > 1
    state = ("tuple(states)" if several else "states[0]") if case.with_state else ""
    called = f"module({', '.join(filter(None, [given, state]))})"
    if case.cell:
        lines.append(f"got = dict(zip({list(names)}, {called if several else f'[{called}]'}))")
        return lines
    lines.append(f"output, last = {called}")
    if case.lengths is not None:
        lines.append(
            f"output, _ = pad_packed_sequence(output, batch_first={case.batch_first}, "
            f"total_length={case.time})"
        )
    lines.append(f"got = dict(zip({list(names)}, [output, {'*last' if several else 'last'}]))")
    return lines


def _backward(case: Case) -> list[str]:
    names = ["input", *(case.start_names if case.with_state else ())]
    return [
        "upstream = {name: torch.tensor(u, **OPTIONS) for name, u in UPSTREAM.items()}",
        "loss = sum((got[name] * u).sum() for name, u in upstream.items())",
        f"leaves = {{**dict(zip({names}, [x, *states])), **own}}",
        "got = dict(zip(leaves, torch.autograd.grad(loss, leaves.values(), allow_unused=True)))",
    ]
