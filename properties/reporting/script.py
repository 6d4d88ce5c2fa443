"""Writes a script for a failing case, which needs only torch, NumPy and the subject."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gatewise.reference.ball import Ball
from gatewise.reference.classes import DROP_IN
from gatewise.reference.formats import Array

from ..cases import layouts
from ..cases.case import Case
from ..families.property import Property
from ..precisions import dtype_of
from ..subjects.protocol import Subject
from .diagnosis_of_calls import differs
from .faults_of_arguments import call_of
from .script_archive import bundled_script

_HEAD = '''"""{title}

{text}

This script needs torch, NumPy and the subject. It prints what the subject returned and what was
expected. The exit status is 1 if the subject has the fault, and 0 if it does not.

Usage: python {name} [SUBJECT], with SUBJECT as package.module:Name or path/to/file.py:Name
"""
'''

_LOAD = '''

def load(spec):
    """The class or factory that `spec` names."""
    where, _, attribute = spec.rpartition(":")
    if where.endswith(".py"):
        found = importlib.util.spec_from_file_location("subject", where)
        module = importlib.util.module_from_spec(found)
        sys.modules["subject"] = module
        sys.path.insert(0, os.path.dirname(os.path.abspath(where)))
        found.loader.exec_module(module)
    else:
        sys.path.insert(0, FOLDER)
        module = importlib.import_module(where)
    for part in attribute.split("."):
        module = getattr(module, part)
    return module
'''

_COMPARE = '''

def compare(name, got, expected, bound):
    """Print the worst element of a result; return whether every element is within its bound."""
    got = got.detach().double().cpu().numpy()
    expected, bound = np.array(expected, dtype=float), np.array(bound, dtype=float)
    if got.shape != expected.shape:
        print(f"{name}: shape {got.shape}, expected {expected.shape}")
        return False
    known = np.isfinite(expected) & np.isfinite(bound)
    with np.errstate(all="ignore"):
        error = np.where(known, np.abs(got - expected), 0.0)
        wrong = known & ~(error <= bound)
        ratio = np.where(np.isfinite(error), error / np.maximum(bound, 5e-324), np.inf)
    if not got.size:
        return True
    at = np.unravel_index(np.argmax(np.where(wrong, ratio, -1.0)), got.shape)
    at = tuple(int(i) for i in at)
    print(f"{name}{list(at)}: expected {float(expected[at])!r}, got {float(got[at])!r}, "
          f"bound {bound[at]:.3g}; {int(wrong.sum())} of {got.size} elements are wrong")
    return not wrong.any()
'''


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


def forward_script(subject: Subject, case: Case, head: str) -> str | None:
    """A script that compares the forward results with the expected arrays.

    None if these results are right, or if a script without Gatewise cannot call the subject.
    """
    if subject.like not in DROP_IN or case.kind != subject.kind:
        return None
    if "torch_names" in subject.unsupported:  # an adapter needs Gatewise's modules
        return None
    want = call_of(case).results()
    if not differs(subject.run(case), want):
        return None
    sizes, options = subject.arguments(case)
    arguments = [str(s) for s in sizes] + [f"{k}={v!r}" for k, v in options.items()]
    dtype = str(dtype_of(case.precision))
    body = [
        head,
        "from __future__ import annotations",
        "",
        "import importlib",
        "import importlib.util",
        "import os",
        "import sys",
        "",
        "import numpy as np",
        "import torch",
        "from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence",
        "",
        "inf, nan = float('inf'), float('nan')",
        f"SUBJECT = {importable(subject)!r}",
        "#: The folder of the subject's package.",
        f"FOLDER = {folder_of(subject)!r}",
        f"DEVICE, DTYPE = {subject.torch_device!r}, {dtype}",
        "",
        "WEIGHTS = {",
        *(f"    {n!r}: {_literal(w)}," for n, w in case.weight_arrays.items()),
        "}",
        f"INPUT = {_literal(case.input_array)}",
        f"STATES = [{', '.join(_literal(s) for s in case.state_arrays)}]",
        "#: Result -> (expected value, bound on the rounding error).",
        "EXPECTED = {",
        *(f"    {n!r}: ({_literal(b.v)}, {_literal(b.radius)})," for n, b in want.items()),
        "}",
        _LOAD,
        *_placing(case),
        _COMPARE,
        "",
        "factory = load(sys.argv[1] if len(sys.argv) > 1 else SUBJECT)",
        f"module = factory({', '.join(arguments)}).to(device=DEVICE, dtype=DTYPE)",
        "own = dict(module.named_parameters())",
        "if own.keys() != WEIGHTS.keys():",
        "    own = module.state_dict(keep_vars=True)",
        "with torch.no_grad():",
        "    for name, values in WEIGHTS.items():",
        "        own[name].copy_(torch.tensor(values, dtype=torch.float64))",
        *([] if case.training else ["module.eval()"]),
        *_call(case, want),
        "right = [compare(name, got[name], *EXPECTED[name]) for name in EXPECTED]",
        "sys.exit(0 if all(right) else 1)",
        "",
    ]
    return "\n".join(body)


def _literal(values: Array) -> str:
    return repr(np.asarray(values).tolist())


def _placing(case: Case) -> list[str]:
    if case.layout == "contiguous":
        return [
            "",
            "def tensor(values):",
            "    return torch.tensor(values, dtype=torch.float64).to(DEVICE, DTYPE)",
        ]
    return [
        "",
        inspect.getsource(layouts.fitted).rstrip(),
        "",
        "",
        inspect.getsource(layouts.place).rstrip(),
        "",
        "",
        "def tensor(values):",
        f"    return place(np.array(values, dtype=float), {case.layout!r}, DTYPE, DEVICE)",
    ]


def _call(case: Case, want: Mapping[str, Ball]) -> list[str]:
    lines = ["x, states = tensor(INPUT), [tensor(s) for s in STATES]"]
    if case.lengths is not None:
        first = case.batch_first
        lines.append(
            f"x = pack_padded_sequence(x, torch.tensor({list(case.lengths)}), "
            f"batch_first={first}, enforce_sorted={case.enforce_sorted})"
        )
    several = len(case.state_shapes) > 1
    state = "tuple(states)" if several else "states[0]"
    lines += ["with torch.no_grad():"]
    lines += [f"    returned = module(x{', ' + state if case.with_state else ''})"]
    if case.cell:
        values = "returned" if several else "[returned]"
        lines.append(f"got = dict(zip({list(want)}, {values}))")
        return lines
    lines.append("output, last = returned")
    if case.lengths is not None:
        lines.append(
            f"output, _ = pad_packed_sequence(output, batch_first={case.batch_first}, "
            f"total_length={case.time})"
        )
    values = "*last" if several else "last"
    lines.append(f"got = dict(zip({list(want)}, [output, {values}]))")
    return lines


def script(
    subject: Subject,
    case: Case,
    prop: Property,
    name: str,
    lines: list[str],
    *,
    called: bool = True,
) -> str:
    """The script of a falsified property for its case.

    If the forward results are wrong, the script has the expected arrays and is easy to read.
    Otherwise it has the claim itself, in an archive.  To find out, the subject is called; if
    `called` is False it is not called, and the script has the archive.
    """
    title = f"{subject.name} falsifies {prop.name}: {prop.sentence}"
    text = "\n".join(line.replace("\\", "\\\\").replace('"""', "'''") for line in lines)
    head = _HEAD.format(title=title, text=text, name=name)
    try:
        plain = forward_script(subject, case, head) if called else None
    except Exception:  # the subject raises, or has no name that a script can import
        plain = None
    return plain or bundled_script(subject, case, prop, head, folder_of(subject))
