"""Wrong arguments of a call: one thing is wrong at a time, on every path that a module offers.

The name of a mistake is `what: how, path`, such as "h: a row more, packed ragged".  The name is the
variant of a case, and all else in the case is right.  A module is called with the right arguments
first.  If it refuses them, that exception falsifies the property and is not taken for a refusal.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.reference.classes import CLASSES
from gatewise.reference.kinds import KINDS

from ...cases.case import Case
from ...cases.values import seeded
from ...checking.comparison import Check, Mismatch
from ...devices import another_than, is_type, type_of
from ...precisions import dtype_of
from ...subjects.capabilities import machine_lacks
from ...subjects.protocol import Subject, Unsupported, called

CELL_PATHS = ("batched", "unbatched")
LAYER_PATHS = (
    "dense",
    "batch_first",
    "unbatched",
    "packed equal",
    "packed ragged",
    "packed unsorted",
)

#: What Python and torch raise for an argument that does not fit.
REFUSALS = (TypeError, ValueError, RuntimeError, IndexError)

INPUT_WORDS = ("input",)
STATE_WORDS = ("hidden", "hx", r"\bstates?\b", r"\bh_?0")
CELL_WORDS = (*STATE_WORDS, r"\bcell\b", r"\bcx\b", r"\bc_?0")
DTYPE_WORDS = ("dtype", "data type", "scalar type", r"\bdouble\b", "float64", "int64", r"\blong\b")
STEP_WORDS = ("length", "step", "time", "empty")

INPUT_RANKS = ("a scalar", "flattened")
RANKS = ("a dimension fewer", "a dimension more", "a dimension of its width more")
ROWS = ("one row", "a row fewer", "a row more")
LAYER_COUNTS = ("a layer fewer", "a layer more")
WIDTHS = ("one wide", "narrower", "wider")


def paths(like: str) -> tuple[str, ...]:
    """The paths of a cell or a layer."""
    return CELL_PATHS if CLASSES[like].cell else LAYER_PATHS


def states_of(like: str) -> tuple[str, ...]:
    """The states that can be wrong: each alone, and both together."""
    states = KINDS[CLASSES[like].kind].states
    return (*states, " and ".join(states)) if len(states) > 1 else states


def named(
    whats: Iterable[str], hows: Iterable[str], on: Iterable[str], without: str = ""
) -> tuple[str, ...]:
    """The names of mistakes: each argument, each way, each path except `without`."""
    hows, on = list(hows), [path for path in on if path != without]
    return tuple(f"{what}: {how}, {path}" for what in whats for how in hows for path in on)


def on_path(case: Case, path: str) -> Case:
    """The case changed to take a path; it is dense, with at least two rows and two steps."""
    if path == "unbatched":
        return case.but(batch=None)
    if not path.startswith("packed"):
        return case.but(batch_first=path == "batch_first")
    batch = case.batch or 1
    case = case.but(batch_first=False)
    if path == "packed equal":
        return case.but(lengths=(case.time,) * batch, enforce_sorted=True)
    # The longest and the shortest differ, so that no kernel for equal lengths runs.
    drawn = seeded(case.seed, 4).randint(1, case.time + 1, size=batch)
    lengths = [case.time, *sorted((int(n) for n in drawn[1:-1]), reverse=True), 1]
    if path == "packed unsorted":
        lengths.reverse()
    return case.but(lengths=tuple(lengths), enforce_sorted=path == "packed ragged")


class Arguments:
    """The arguments of a call on a path: an input, and states where the case passes any."""

    def __init__(self, subject: Subject, case: Case) -> None:
        self.subject, self.case = subject, case
        self.input: Any = subject.input_tensor(case.input_array, case)
        self.states: list[Any] = [subject.tensor(s, case) for s in case.state_arrays]
        if case.lengths is not None:
            self.input = subject.pack(case, self.input)
        #: An argument of a wrong type, which the call passes in place of the states.
        self.hx: Any = None

    def call(self, module: nn.Module) -> Any:
        """What the module returns; gradients are recorded for every second seed."""
        hx = self.hx
        if hx is None and self.case.with_state:
            hx = tuple(self.states) if len(self.states) > 1 else self.states[0]
        with torch.set_grad_enabled(self.case.seed % 2 == 0):
            return module(self.input) if hx is None else module(self.input, hx)

    def change(self, what: str, change: Callable[[Tensor], Any]) -> None:
        """Replace the input, h, c or both states by `change(tensor)`."""
        if what == "input":
            if isinstance(self.input, PackedSequence):
                self.input = self.input._replace(data=change(self.input.data))
            else:
                self.input = change(self.input)
        elif what == "h and c":
            self.states = [change(s) for s in self.states]
        else:
            at = ("h", "c").index(what)
            self.states[at] = change(self.states[at])


def spoiled(t: Tensor, how: str) -> Tensor:
    """A tensor with a wrong rank, or with a wrong number of rows, layers or columns.

    Rows are along the last axis but one, layers along the first, columns along the last.
    """
    if how == "a scalar":
        return t.flatten()[0]
    if how == "flattened":
        return t.flatten()
    if how == "a dimension fewer":
        return t[0]
    if how == "a dimension more":
        return t[None]
    if how == "a dimension of its width more":  # right to a check of one axis
        return t.unsqueeze(-2).repeat_interleave(t.shape[-1], -2)
    axis = -1 if how in WIDTHS else -2 if how in ROWS else 0
    size = t.shape[axis]
    wanted = size + 1
    if how in ("one row", "one wide"):
        wanted = 1 if size > 1 else 2
    elif how in ("a row fewer", "a layer fewer", "narrower"):
        wanted = size - 1
    index = torch.arange(wanted, device=t.device) % max(size, 1)
    return t.index_select(axis if axis >= 0 else t.dim() + axis, index)


def parts(variant: str) -> tuple[str, str, str]:
    """What, how and path of a mistake."""
    mistake, _, path = variant.rpartition(", ")
    what, _, how = mistake.partition(": ")
    return what, how, path


Mistake = Callable[[Arguments, str, str], list[object]]


def misshapen(given: Arguments, what: str, how: str) -> list[object]:
    """Make a shape wrong; returns the wrong and the right size or rank."""
    sizes: list[object] = []

    def change(t: Tensor) -> Tensor:
        wrong = spoiled(t, how)
        ranks = how in (*RANKS, *INPUT_RANKS)
        sizes.extend((wrong.dim(), t.dim()) if ranks else _differing(wrong, t))
        return wrong

    given.change(what, change)
    return sizes[:2]


def _differing(a: Tensor, b: Tensor) -> tuple[int, int]:
    return next((m, n) for m, n in zip(a.shape, b.shape, strict=True) if m != n)


def other_dtype(given: Arguments, what: str, how: str) -> list[object]:
    """Convert one tensor, or all, to integers or to the other of float32 and float64."""
    own = dtype_of(given.case.precision)
    dtype = torch.float32 if own == torch.float64 else torch.float64
    if how == "of integers":
        dtype = torch.int64
    states = "h and c" if len(given.states) > 1 else "h"
    for each in ("input", states) if what == "all" else (what,):
        given.change(each, lambda t: t.to(dtype))
    return []


def other_device(given: Arguments, what: str, how: str) -> list[object]:
    """Move a tensor to meta or to a device of another type; returns the types of both devices."""
    own = type_of(given.subject.device)
    device = "meta" if how == "on meta" else another_than(own)
    if device is None:
        raise machine_lacks("a second device (CUDA)")
    given.change(what, lambda t: t.to(device))
    return [device, own]


def other_type(given: Arguments, what: str, how: str) -> list[object]:
    """Replace the input by an object that is no tensor, or the states by one of a wrong type."""
    h: Tensor = given.states[0]
    makes: dict[str, Callable[[], Any]] = {
        "a list": lambda: given.input.tolist(),
        "an array": lambda: (given.input if what == "input" else h).cpu().numpy(),
        "None": lambda: None,
        "a string": lambda: "zeros",
        "h alone": lambda: h,
        # Each half has a wrong rank, so that no module can take the halves for the two states.
        "one tensor of a dimension more": lambda: torch.stack([spoiled(h, RANKS[2])] * 2),
        "a tuple of h": lambda: (h,),
        "h twice": lambda: (h, h),
        "three states": lambda: (*given.states, h),
        "h and None": lambda: (h, None),
    }
    wrong = makes[how]()
    if what == "input":
        given.input = wrong
    else:
        given.hx = wrong
    return []


def no_steps(given: Arguments, what: str, how: str) -> list[object]:
    """Remove every step from the input."""
    time = 1 if given.case.batch is not None and given.case.batch_first else 0
    given.input = given.input.narrow(time, 0, 0)
    return []


def import_devices() -> None:
    """Make torch import what it needs to refuse a mix with meta; the first time takes a second."""
    with contextlib.suppress(RuntimeError):
        one = torch.empty(1, 1)
        torch.nn.functional.linear(one.to("meta"), one, one[0])


def outcome(call: Callable[[], Any], refusals: tuple[type[Exception], ...]) -> tuple[str, str]:
    """`refused`, or what happened instead, and the message of a refusal."""
    try:
        returned = call()
    except Unsupported:
        raise
    except refusals as error:
        return "refused", str(error)
    except Exception as error:
        return f"raises {type(error).__name__}: {error}", ""
    return f"accepted, with {_shapes(returned)}", ""


def _shapes(value: Any) -> str:
    if isinstance(value, PackedSequence):
        return f"packed {tuple(value.data.shape)}"
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, tuple | list):
        return f"({', '.join(_shapes(v) for v in value)})"
    return type(value).__name__


def names_it(message: str, words: Iterable[str], both: Iterable[object] = ()) -> bool:
    """Whether a message has one of `words`, or all the numbers or devices in `both`."""
    text = message.lower()
    if any(re.search(word, text) for word in words):
        return True
    asked = {str(one) for one in both}
    devices = "|".join(("meta", *(one for one in asked if is_type(one))))
    return bool(asked) and asked <= set(re.findall(rf"\d+|\b(?:{devices})\b", text))


def refused(check: Check, case: Case, got: str, what: str = "a call") -> None:
    """Require that the outcome of a call with the mistake of the case's variant is a refusal."""
    check.same(f"{what} with {case.variant}", got, "refused")


def told(case: Case, message: str, named: bool) -> None:
    """Raise `Mismatch` where the message of a refusal does not name what is wrong."""
    if not named:
        shown = f"the message does not name what is wrong: {message[:200]!r}"
        raise Mismatch(f"with {case.variant} {shown}")


def right_call(subject: Subject, case: Case) -> nn.Module:
    """Build the module of a case, and call it once with the right arguments.

    Raises `Unsupported` where the subject does not offer such a call.
    """
    for word, asked in (("unbatched", case.batch is None), ("packed", case.lengths is not None)):
        if asked and word in subject.unsupported:
            raise Unsupported(subject.unsupported[word])
    module = subject.build(case)
    called(Arguments(subject, case).call, module)
    return module


def put_wrong(
    subject: Subject,
    case: Case,
    mistake: Mistake,
    refusals: tuple[type[Exception], ...] = REFUSALS,
) -> tuple[str, str, list[object]]:
    """Outcome and message of a call with the variant's mistake; what is given and expected."""
    what, how, path = parts(case.variant)
    case = on_path(case, path)
    module = right_call(subject, case)
    given = Arguments(subject, case)
    both = mistake(given, what, how)
    return *outcome(lambda: given.call(module), refusals), both


def refuse(
    check: Check,
    subject: Subject,
    case: Case,
    mistake: Mistake,
    refusals: tuple[type[Exception], ...] = REFUSALS,
) -> None:
    """Require that the call with the mistake of the case's variant is refused."""
    got, _, _ = put_wrong(subject, case, mistake, refusals)
    refused(check, case, got)
