"""Rejection: a wrong argument is refused on every path, by an exception that names it.

Documented exceptions are those that Python and torch raise for an argument: `TypeError`,
`ValueError`, `RuntimeError` and `IndexError`; for an argument of a wrong type `AttributeError` as
well, which Python raises where code reads `dim` of a list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gatewise.reference.classes import CLASSES, LAYERS

from ...cases.case import Case
from ...checking.comparison import Check
from ...levels import HARDENING
from ...subjects.protocol import Subject
from ..property import Family
from . import mistakes
from .mistakes import (
    RANKS,
    REFUSALS,
    ROWS,
    WIDTHS,
    Mistake,
    named,
    names_it,
    parts,
    paths,
    put_wrong,
    refuse,
    refused,
    states_of,
    told,
)

#: Not claimed behind an adapter: there the adapter gets the wrong argument.
FAMILY = Family(
    "rejection",
    HARDENING,
    needs=("torch_names",),
    beyond="torch.nn documents which shapes, dtypes and values it takes. It does not document what "
    "happens with any others.",
)

#: The case is dense; `mistakes.on_path` puts it on the path of the variant.
GIVEN: dict[str, Any] = {
    "forms": ("dense",),
    "least": {"batch": 2, "time": 2},
    "isolated": True,
    "sweep": True,
}
WITH_STATE: dict[str, Any] = {**GIVEN, "with_state": True}

INPUT_MAKES = ("a list", "an array", "None", "a string")
LSTM_MAKES = (
    "h alone",
    "one tensor of a dimension more",
    "a tuple of h",
    "three states",
    "h and None",
    "a string",
)
OTHER_MAKES = ("a tuple of h", "h twice", "an array", "a string")


def _input_ranks(like: str) -> tuple[str, ...]:
    # An unbatched input with a dimension more is a batch; a batch with one fewer is unbatched.
    flat = mistakes.INPUT_RANKS[0 if CLASSES[like].cell else 1]
    more = named(("input",), ("a dimension more",), paths(like), without="unbatched")
    return named(("input",), (flat,), paths(like)) + more


def _input_widths(like: str) -> tuple[str, ...]:
    return named(("input",), WIDTHS, paths(like))


def _state_ranks(like: str) -> tuple[str, ...]:
    return named(states_of(like), RANKS, paths(like))


def _state_rows(like: str) -> tuple[str, ...]:
    return named(states_of(like), ROWS, paths(like), without="unbatched")


def _state_layers(like: str) -> tuple[str, ...]:
    return named(states_of(like), mistakes.LAYER_COUNTS, paths(like)) if like in LAYERS else ()


def _state_widths(like: str) -> tuple[str, ...]:
    return named(states_of(like), WIDTHS, paths(like))


def _dtypes(like: str) -> tuple[str, ...]:
    integers = named(("input",), ("of integers",), paths(like))
    whats = ("input", *states_of(like), "all")
    return named(whats, ("of another dtype",), paths(like)) + integers


def _devices(like: str) -> tuple[str, ...]:
    whats = ("input", *states_of(like))
    return named(whats, ("on meta", "on another device"), paths(like))


def _types(like: str) -> tuple[str, ...]:
    makes = LSTM_MAKES if len(states_of(like)) > 1 else OTHER_MAKES
    dense = [path for path in paths(like) if not path.startswith("packed")]
    return named(("input",), INPUT_MAKES, dense) + named(("hx",), makes, paths(like))


def _steps(like: str) -> tuple[str, ...]:
    dense = [path for path in paths(like) if not path.startswith("packed")]
    return named(("input",), ("without steps",), dense) if like in LAYERS else ()


@FAMILY.claims(
    "An input with a wrong number of dimensions is refused by a ValueError, RuntimeError, "
    "TypeError or IndexError, on every path.",
    "raises(f, x′), dim x′ ≠ dim x",
    share=0.25,
    variants=_input_ranks,
    **GIVEN,
)
def input_of_wrong_rank_is_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.misshapen)


@FAMILY.claims(
    "An input with more or fewer features than input_size is refused by a RuntimeError, "
    "ValueError, TypeError or IndexError, on every path, with a state and without.",
    "raises(f, x′), x′ (…, I′), I′ ≠ I",
    share=0.3,
    variants=_input_widths,
    **GIVEN,
)
def input_of_wrong_width_is_refused(subject: Subject, case: Case, check: Check) -> None:
    for with_state in sorted({case.with_state, False}):
        refuse(check, subject, case.but(with_state=with_state), mistakes.misshapen)


@FAMILY.claims(
    "A state with a wrong number of dimensions is refused by a RuntimeError, ValueError, "
    "TypeError or IndexError, on every path: h, c or both.",
    "raises(f, x, s′), dim s′ ≠ dim s",
    share=0.8,
    variants=_state_ranks,
    **WITH_STATE,
)
def state_of_wrong_rank_is_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.misshapen)


@FAMILY.claims(
    "A state with one row, or with one row fewer or more than the input's batch, is refused by a "
    "RuntimeError, ValueError, TypeError or IndexError, on every path: nothing is broadcast, and "
    "no row is left out.",
    "raises(f, x, s′), s′ (…, B′, ·), B′ ≠ B",
    share=0.6,
    variants=_state_rows,
    **WITH_STATE,
)
def state_of_wrong_batch_is_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.misshapen)


@FAMILY.claims(
    "A state for one layer more or fewer than the module has is refused by a RuntimeError, "
    "ValueError, TypeError or IndexError, on every path.",
    "raises(f, x, s′), s′ (N, …), N ≠ L·D",
    of=LAYERS,
    share=0.5,
    variants=_state_layers,
    **WITH_STATE,
)
def state_of_wrong_layers_is_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.misshapen)


@FAMILY.claims(
    "A state that is wider or narrower than hidden_size, or proj_size, is refused by a "
    "RuntimeError, ValueError, TypeError or IndexError, on every path.",
    "raises(f, x, s′), s′ (…, H′), H′ ≠ H",
    share=0.7,
    variants=_state_widths,
    **WITH_STATE,
)
def state_of_wrong_width_is_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.misshapen)


@FAMILY.claims(
    "An input or a state whose dtype is not that of the weights is refused by a ValueError, "
    "RuntimeError, TypeError or IndexError, on every path: nothing is converted silently.",
    "raises(f, x, s), dtype(x) or dtype(s) ≠ dtype(W)",
    share=0.4,
    variants=_dtypes,
    **WITH_STATE,
)
def mixed_dtypes_are_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.other_dtype)


@FAMILY.claims(
    "An input or a state that is not on the device of the weights, but on meta or on another one, "
    "is refused by a RuntimeError, ValueError, TypeError or IndexError, on every path.",
    "raises(f, x, s), device(x) or device(s) ≠ device(W)",
    share=0.25,
    prepare=mistakes.import_devices,
    variants=_devices,
    **WITH_STATE,
)
def mixed_devices_are_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.other_device)


@FAMILY.claims(
    "An input that is not a tensor, or states that are not what the documentation says (a tensor; "
    "for an LSTM a tuple of two), are refused by a TypeError, AttributeError, ValueError, "
    "RuntimeError or IndexError, on every path.",
    "raises(f, x′), raises(f, x, s′)",
    share=0.3,
    variants=_types,
    **WITH_STATE,
)
def arguments_of_wrong_type_are_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.other_type, (*REFUSALS, AttributeError))


@FAMILY.claims(
    "A sequence without steps is refused by a RuntimeError, ValueError, TypeError or IndexError, "
    "on every path: there is no last state to return.",
    "raises(f, x′), x′ (0, …)",
    of=LAYERS,
    share=0.1,
    variants=_steps,
    **GIVEN,
)
def sequence_without_steps_is_refused(subject: Subject, case: Case, check: Check) -> None:
    refuse(check, subject, case, mistakes.no_steps)


@dataclass(frozen=True)
class _Named:
    """Mistakes, and words of which a message must have one: without any, the argument's own."""

    variants: Callable[[str], tuple[str, ...]]
    mistake: Mistake
    words: tuple[str, ...] = ()


_MAKES = ("list", "array", "none", r"\bstr\b", "tuple", "tensor", "float")
_NAMED = (
    _Named(_input_ranks, mistakes.misshapen),
    _Named(_input_widths, mistakes.misshapen),
    _Named(_state_ranks, mistakes.misshapen),
    _Named(_state_rows, mistakes.misshapen),
    _Named(_state_layers, mistakes.misshapen),
    _Named(_state_widths, mistakes.misshapen),
    _Named(_dtypes, mistakes.other_dtype, mistakes.DTYPE_WORDS),
    _Named(_devices, mistakes.other_device, ("device",)),
    _Named(_types, mistakes.other_type, (*_MAKES, *mistakes.STATE_WORDS)),
    _Named(_steps, mistakes.no_steps, mistakes.STEP_WORDS),
)


@FAMILY.claims(
    "Every such exception names what is wrong: the argument, or both the given and the expected "
    "size, number of dimensions or device; for a wrong dtype, device or type it has a word for it.",
    "argument ∈ message, or {got, expected} ⊂ message",
    share=0.8,
    prepare=mistakes.import_devices,
    variants=lambda like: tuple(v for group in _NAMED for v in group.variants(like)),
    **WITH_STATE,
    level=HARDENING,
    beyond="torch.nn documents no wording. A caller who catches the exception is served by any.",
)
def refusals_name_the_argument(subject: Subject, case: Case, check: Check) -> None:
    group = next(g for g in _NAMED if case.variant in g.variants(subject.like))
    refusals = (*REFUSALS, AttributeError)
    got, message, both = put_wrong(subject, case, group.mistake, refusals)
    refused(check, case, got)
    what = parts(case.variant)[0]
    words = group.words or {"input": mistakes.INPUT_WORDS, "h": mistakes.STATE_WORDS}.get(
        what, mistakes.CELL_WORDS
    )
    told(case, message, names_it(message, words, both))
