"""Rejection of options: a wrong size, rate or name is refused when the module is constructed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from gatewise.reference.classes import LAYERS, NAMED_LAYERS, RNNS, only

from ...cases.case import Case
from ...checking.comparison import Check
from ...levels import HARDENING
from ...subjects.capabilities import options_of
from ...subjects.protocol import Subject, called
from .arguments import FAMILY
from .mistakes import names_it, outcome, refused, told

#: Words of a variant → the value of an option; it may depend on the case.
VALUES: dict[str, Callable[[Case], Any]] = {
    "0": lambda case: 0,
    "-1": lambda case: -1,
    "-3": lambda case: -3,
    "2.5": lambda case: 2.5,
    "'2'": lambda case: "2",
    "None": lambda case: None,
    "-0.1": lambda case: -0.1,
    "1.1": lambda case: 1.1,
    "nan": lambda case: float("nan"),
    "'half'": lambda case: "half",
    "hidden_size": lambda case: case.hidden_size,
    "hidden_size + 1": lambda case: case.hidden_size + 1,
    "1": lambda case: 1,
    "'sigmoid'": lambda case: "sigmoid",
    "'TANH'": lambda case: "TANH",
    "''": lambda case: "",
}
NO_SIZES = ("-1", "-3", "2.5", "'2'", "None")
GIVEN: dict[str, Any] = {"forms": ("dense",), "isolated": True, "sweep": True}


def _named(name: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name} = {value}" for value in values)


def _sizes(like: str) -> tuple[str, ...]:
    widths = _named("hidden_size", NO_SIZES) + _named("input_size", NO_SIZES)
    if like not in LAYERS:  # torch.nn allows its cells a size of 0, by decision
        return widths
    zeros = ("hidden_size = 0", "input_size = 0", "num_layers = 0")
    return (*widths, *zeros, *_named("num_layers", NO_SIZES))


def _rates(like: str) -> tuple[str, ...]:
    return _named("dropout", ("-0.1", "1.1", "nan", "'half'", "None")) if like in LAYERS else ()


def _projections(like: str) -> tuple[str, ...]:
    if like not in LAYERS:
        return ()
    if "proj_size" not in options_of(like):
        return _named("proj_size", ("1", "-1"))
    return _named("proj_size", ("hidden_size", "hidden_size + 1", "-1", "2.5", "'2'", "None"))


def _nonlinearities(like: str) -> tuple[str, ...]:
    named = _named("nonlinearity", ("'sigmoid'", "'TANH'", "''", "None"))
    return named if "nonlinearity" in options_of(like) else ()


def made_wrong(subject: Subject, case: Case) -> tuple[str, str, str, Any]:
    """Outcome, message, option and value of a construction with the case's variant."""
    option, _, words = case.variant.partition(" = ")
    value = VALUES[words](case)
    subject.construct(case)  # the right options are accepted
    (input_size, hidden_size), options = subject.arguments(case)
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    if option in sizes:
        sizes[option] = value
    else:
        options = {**options, option: value}

    def make() -> Any:
        # NotImplementedError is no refusal: the subject states a gap.
        return called(partial(subject.factory, **options), *sizes.values())

    return *outcome(make, (TypeError, ValueError, RuntimeError)), option, value


def _refuse(subject: Subject, case: Case, check: Check) -> None:
    got, _, _, _ = made_wrong(subject, case)
    refused(check, case, got, "a construction")


@FAMILY.claims(
    "The constructor refuses a size that is negative or not an integer, and for a layer also a "
    "size of 0, with a ValueError, TypeError or RuntimeError.",
    "raises(F(I, H, L)), I, H or L ∉ ℕ; of layers, ∉ {1, 2, …}",
    share=0.2,
    variants=_sizes,
    **GIVEN,
)
def wrong_sizes_are_refused(subject: Subject, case: Case, check: Check) -> None:
    _refuse(subject, case, check)


@FAMILY.claims(
    "The constructor refuses a dropout that is not a number in [0, 1], with a ValueError, "
    "TypeError or RuntimeError.",
    "raises(F(dropout=p)), p ∉ [0, 1]",
    of=LAYERS,
    share=0.1,
    variants=_rates,
    **GIVEN,
)
def wrong_dropout_is_refused(subject: Subject, case: Case, check: Check) -> None:
    _refuse(subject, case, check)


@FAMILY.claims(
    "The constructor of an LSTM refuses a proj_size that is negative, not an integer or not below "
    "hidden_size; that of an RNN or a GRU refuses every proj_size but 0; with a ValueError, "
    "TypeError or RuntimeError.",
    "raises(F(proj_size=R)), R ∉ {0, …, H − 1}; raises(GRU(proj_size=R)), R ≠ 0",
    of=NAMED_LAYERS,
    share=0.1,
    variants=_projections,
    proj_size=0,
    **GIVEN,
)
def wrong_projection_is_refused(subject: Subject, case: Case, check: Check) -> None:
    _refuse(subject, case, check)


@FAMILY.claims(
    "A proj_size that is passed by position gives an RNN or a GRU no projection: the constructor "
    "refuses it, or the module has a proj_size of 0 or none.",
    "GRU(I, H, L, bias, batch_first, dropout, bidirectional, R).proj_size = 0",
    of=only("RNN", "GRU"),
    share=0.1,
    **GIVEN,
)
def a_projection_by_position_is_refused(subject: Subject, case: Case, check: Check) -> None:
    named = (case.nonlinearity,) if "nonlinearity" in options_of(subject.like) else ()
    rest = (case.bias, case.batch_first, case.dropout, case.bidirectional, 1)
    made: Any = None
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        made = subject.factory(
            case.input_size, case.hidden_size + 1, case.num_layers, *named, *rest
        )
    check.same("proj_size of the module that is made", getattr(made, "proj_size", 0), 0)


@FAMILY.claims(
    "The constructor refuses a nonlinearity other than tanh and relu, with a ValueError, TypeError "
    "or RuntimeError.",
    "raises(F(nonlinearity=σ)), σ ∉ {tanh, relu}",
    of=RNNS,
    share=0.1,
    variants=_nonlinearities,
    **GIVEN,
)
def unknown_nonlinearity_is_refused(subject: Subject, case: Case, check: Check) -> None:
    _refuse(subject, case, check)


@FAMILY.claims(
    "A constructor's exception names the option, its value, or that value's type.",
    "option, value or type ∈ message",
    share=0.3,
    variants=lambda like: (
        *_sizes(like),
        *_rates(like),
        *_projections(like),
        *_nonlinearities(like),
    ),
    proj_size=0,
    **GIVEN,
    level=HARDENING,
    beyond="torch.nn documents no wording. A caller who catches the exception is served by any.",
)
def refusals_name_the_option(subject: Subject, case: Case, check: Check) -> None:
    got, message, option, value = made_wrong(subject, case)
    refused(check, case, got, "a construction")
    named = [option, type(value).__name__.lower(), repr(value).lower()]
    by_word = any(word in message.lower() for word in named)
    told(case, message, by_word or names_it(message, (), [value]))
