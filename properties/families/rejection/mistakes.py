"""Wrong arguments of a call, one thing wrong at a time, on every path that a module offers.

A mistake is named `what: how, path`, as in "h: a row more, packed ragged": that name is the
variant of a case, and the case gives all that is right.  A module is called with the right
arguments first, so that one which refuses everything refuses nothing here.
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
from ...subjects.protocol import Subject, Unsupported

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
LAYERS = ("a layer fewer", "a layer more")
WIDTHS = ("one wide", "narrower", "wider")


def paths(like: str) -> tuple[str, ...]:
    """The paths of a cell or a layer."""
    return CELL_PATHS if CLASSES[like].cell else LAYER_PATHS


def states_of(like: str) -> tuple[str, ...]:
    """The states that can be wrong: each alone, and both alike."""
    states = KINDS[CLASSES[like].kind].states
    return (*states, " and ".join(states)) if len(states) > 1 else states


def named(
    whats: Iterable[str], hows: Iterable[str], on: Iterable[str], without: str = ""
) -> tuple[str, ...]:
    """The names of mistakes; on no path named `without`."""
    hows, on = list(hows), [path for path in on if path != without]
    return tuple(f"{what}: {how}, {path}" for what in whats for how in hows for path in on)


def on_path(case: Case, path: str) -> Case:
    """A dense case of at least two rows and steps, put on a path."""
    if path == "unbatched":
        return case.but(batch=None)
    if not path.startswith("packed"):
        return case.but(batch_first=path == "batch_first")
    batch = case.batch or 1
    case = case.but(batch_first=False)
    if path == "packed equal":
        return case.but(lengths=(case.time,) * batch, enforce_sorted=True)
    # The longest and the shortest differ, so that no kernel for equal lengths is taken.
    drawn = seeded(case.seed, 4).randint(1, case.time + 1, size=batch)
    lengths = [case.time, *sorted((int(n) for n in drawn[1:-1]), reverse=True), 1]
    if path == "packed unsorted":
        lengths.reverse()
    return case.but(lengths=tuple(lengths), enforce_sorted=path == "packed ragged")


class Arguments:
    """What a module is called with on a path: an input, and states where the case passes any."""

    def __init__(self, subject: Subject, case: Case) -> None:
        self.subject, self.case = subject, case
        self.input: Any = subject.input_tensor(case.input_array, case)
        self.states: list[Any] = [subject.tensor(s, case) for s in case.state_arrays]
        if case.lengths is not None:
            self.input = subject.pack(case, self.input)
        #: What stands for the states in the call, where it is neither a tensor nor their tuple.
        self.hx: Any = None

    def call(self, module: nn.Module) -> Any:
        """What the module returns; gradients are recorded for every second seed."""
        hx = self.hx
        if hx is None and self.case.with_state:
            hx = tuple(self.states) if len(self.states) > 1 else self.states[0]
        with torch.set_grad_enabled(self.case.seed % 2 == 0):
            return module(self.input) if hx is None else module(self.input, hx)

    def change(self, what: str, change: Callable[[Tensor], Any]) -> None:
        """Put `change(tensor)` for the input, h, c or both."""
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
    """A tensor with a rank, or a number of rows, layers or columns that is not its own.

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
    if how == "a dimension of its width more":  # the size that a check of one axis takes for right
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
    """Make a shape wrong; the sizes or ranks that were got and expected."""
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
    """Put integers, or the other of float32 and float64, for one tensor or for all."""
    own = dtype_of(given.case.precision)
    dtype = torch.float32 if own == torch.float64 else torch.float64
    if how == "of integers":
        dtype = torch.int64
    states = "h and c" if len(given.states) > 1 else "h"
    for each in ("input", states) if what == "all" else (what,):
        given.change(each, lambda t: t.to(dtype))
    return []


def other_device(given: Arguments, what: str, how: str) -> list[object]:
    """Put a tensor on the meta device or on one of another type; the two devices' types."""
    own = type_of(given.subject.device)
    device = "meta" if how == "on meta" else another_than(own)
    if device is None:
        raise Unsupported("needs a second device (CUDA)")
    given.change(what, lambda t: t.to(device))
    return [device, own]


def other_type(given: Arguments, what: str, how: str) -> list[object]:
    """Put what is no tensor for the input, or what is no tensor or tuple of two for the states."""
    h: Tensor = given.states[0]
    makes: dict[str, Callable[[], Any]] = {
        "a list": lambda: given.input.tolist(),
        "an array": lambda: (given.input if what == "input" else h).cpu().numpy(),
        "None": lambda: None,
        "a string": lambda: "zeros",
        "h alone": lambda: h,
        # Each half has a wrong rank, so that nobody can take it for the two states.
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
    """Take every step from the input."""
    time = 1 if given.case.batch is not None and given.case.batch_first else 0
    given.input = given.input.narrow(time, 0, 0)
    return []


def import_devices() -> None:
    """Have torch import what it needs to refuse a mix with meta, a second's worth, once."""
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
    """Whether a message has one of the words, or all of some numbers or devices."""
    text = message.lower()
    if any(re.search(word, text) for word in words):
        return True
    asked = {str(one) for one in both}
    devices = "|".join(("meta", *(one for one in asked if is_type(one))))
    return bool(asked) and asked <= set(re.findall(rf"\d+|\b(?:{devices})\b", text))


def refused(check: Check, case: Case, got: str, what: str = "a call") -> None:
    """Require the outcome of what the case's variant makes wrong to be a refusal."""
    check.same(f"{what} with {case.variant}", got, "refused")


def told(case: Case, message: str, named: bool) -> None:
    """Raise `Mismatch` where the message of a refusal has not named the case's variant."""
    if not named:
        raise Mismatch(f"with {case.variant} the message names nothing of it: {message[:200]!r}")


def right_call(subject: Subject, case: Case) -> nn.Module:
    """The module of a case, which has taken the right arguments without complaint.

    Raises `Unsupported` where it offers no such call.
    """
    for word, asked in (("unbatched", case.batch is None), ("packed", case.lengths is not None)):
        if asked and word in subject.unsupported:
            raise Unsupported(subject.unsupported[word])
    module = subject.build(case)
    try:
        Arguments(subject, case).call(module)
    except NotImplementedError as reason:
        raise Unsupported(f"{subject.name}: {reason}") from reason
    return module


def put_wrong(
    subject: Subject,
    case: Case,
    mistake: Mistake,
    refusals: tuple[type[Exception], ...] = REFUSALS,
) -> tuple[str, str, list[object]]:
    """Outcome and message of a call with the variant's mistake; what was given and expected."""
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
    """Require the call with the mistake of the case's variant to be refused."""
    got, _, _ = put_wrong(subject, case, mistake, refusals)
    refused(check, case, got)
