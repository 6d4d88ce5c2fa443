"""What a subject does not offer: stated by it with a reason, and then neither drawn nor hidden.

A gap is stated in a class attribute `gatewise_unsupported = {name: reason}`, in an adapter's
`unsupported`, by a constructor that has no argument for an option, or by `NotImplementedError`
from the constructor for that option.  The first three are known before anything runs, so cases
that ask for the missing thing are not drawn; a property that is about it is unsupported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from gatewise.reference.classes import CLASSES
from gatewise.reference.formats import PRECISIONS
from gatewise.reference.kinds import KINDS

from ..cases.shapes import Shape
from ..cases.sizes import NAMES

#: Name of the class attribute in which a subject states what it does not offer.
ATTRIBUTE = "gatewise_unsupported"

#: Name of the class attribute with the only shapes of its cases, as an adapter's `shapes`.
SHAPES = "gatewise_shapes"

#: Options of torch.nn's constructors and their defaults.
OPTIONS: dict[str, Any] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "proj_size": 0,
    "nonlinearity": "tanh",
}

#: Ways of passing an input, and the forms of a case that need them.
FORMS = {"unbatched": ("unbatched",), "packed": ("equal", "ragged")}

#: `state` is an initial state that is passed; `gradients` is autograd through the subject;
#: `torch_names` is that its parameters have torch.nn's names and shapes.
OTHER = ("state", "gradients", "torch_names")

#: What only an adapter offers: lengths of a padded input, as a share of its time, or as a mask;
#: and resets of the state inside a sequence.
EXTRAS = ("lengths", "relative", "mask", "resets")

WORDS = (*OPTIONS, *FORMS, *OTHER, *PRECISIONS)

_ALL_FORMS = ("dense", "unbatched", "equal", "ragged")


class SubjectError(ValueError):
    """A subject that cannot be used; the text is one line for a person."""


class Unsupported(Exception):
    """The subject states that it does not offer what a case asks; the text is its reason."""


#: How the text of an `Unsupported` begins where the machine or its torch lacks something.
NEEDS = "needs "


def machine_lacks(what: str) -> Unsupported:
    """The exception of a claim that needs what this machine or its torch does not have."""
    return Unsupported(f"{NEEDS}{what}")


def torch_lacks(what: str) -> Unsupported:
    """The exception of a claim that needs what this version of torch does not have."""
    return machine_lacks(f"a torch with {what}; this is torch {torch.__version__}")


class SubjectFault(AssertionError):
    """The subject broke its contract in a way that is no matter of numbers."""


#: Options of every layer; a cell has `bias` alone.
_LAYERS = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")


def options_of(like: str) -> tuple[str, ...]:
    """The options that the constructor of a class has beside the sizes."""
    own, options = CLASSES[like], KINDS[CLASSES[like].kind].options
    if own.cell:
        return ("bias", *(o for o in options if o != "proj_size"))  # only a layer projects
    return (*_LAYERS, *options)


def options_in_order(like: str) -> tuple[str, ...]:
    """The options of a class of torch.nn in the order in which its constructor takes them."""
    options = options_of(like)
    if CLASSES[like].cell or "nonlinearity" not in options:
        return options
    rest = tuple(o for o in options[1:] if o != "nonlinearity")
    return (options[0], "nonlinearity", *rest)


def stated(where: str, gaps: Any) -> dict[str, str]:
    """Gaps as a subject states them, checked; `where` begins the line of the error.

    Raises `SubjectError` unless it is a mapping of names to reasons.  Whether a name that is not
    in `WORDS` is that of a property or a family is for `check_names` to say.
    """
    if not isinstance(gaps, Mapping):
        raise SubjectError(f"{where}: a {type(gaps).__name__} was given; expected {{name: reason}}")
    for name, reason in gaps.items():
        if not isinstance(reason, str) or not reason.strip() or "\n" in reason:
            raise SubjectError(f"{where}: {name!r} has no reason; expected one line of text")
    return dict(gaps)


def check_names(name: str, gaps: Iterable[str], claims: Iterable[str]) -> None:
    """Raise `SubjectError` where a gap is neither in `WORDS` nor in `claims`.

    `claims` are the names of the properties and of their families.
    """
    for gap in gaps:
        if gap not in WORDS and gap not in claims:
            raise SubjectError(
                f"{name}: {gap!r} is stated as not offered; expected one of {', '.join(WORDS)}, "
                "or the name of a property or of a family"
            )


def arguments_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The arguments that a callable takes by name, or None where it takes any keyword."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return None
    return {p.name: p for p in found if p.kind is not p.POSITIONAL_ONLY}


def takes_by_position(function: Callable[..., Any], count: int) -> bool:
    """Whether a callable takes so many arguments by position."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    plain = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(plain) >= count or any(p.kind is p.VAR_POSITIONAL for p in found)


def required(function: Callable[..., Any], names: Iterable[str]) -> bool:
    """Whether any of the named arguments has no default."""
    arguments = arguments_of(function) or {}
    return any(n in arguments and arguments[n].default is inspect.Parameter.empty for n in names)


def from_signature(factory: Callable[..., Any], like: str) -> dict[str, str]:
    """The options of a class that a constructor has no argument for; none where it takes any."""
    names = arguments_of(factory)
    if names is None:
        return {}
    label = getattr(factory, "__name__", "the factory")
    return {
        option: f"{label} has no argument {option}"
        for option in options_of(like)
        if option not in names
    }


def gaps_of(factory: Callable[..., Any], like: str) -> dict[str, str]:
    """All that a class or factory states before it is called.

    Raises `SubjectError` where its attribute is malformed.
    """
    label = getattr(factory, "__name__", "the factory")
    own = stated(f"{label}.{ATTRIBUTE}", getattr(factory, ATTRIBUTE, {}))
    return {**from_signature(factory, like), **own}


def shapes_of(label: str, given: Any, cell: bool) -> tuple[Shape, ...]:
    """The shapes that a subject states: (I, H, B) of a cell, (I, H, B, T) of a layer.

    Raises `SubjectError`, one line that begins with the label, where they are anything else.
    """
    wanted = NAMES[:3] if cell else NAMES
    try:
        shapes = tuple(tuple(shape) for shape in given)
    except TypeError:
        shapes = ((),)
    for shape in shapes:
        whole = all(type(n) is int and n >= 1 for n in shape)
        if len(shape) != len(wanted) or not whole:
            raise SubjectError(
                f"{label}={given!r}: expected tuples of {len(wanted)} whole numbers from 1, "
                f"({', '.join(wanted)})"
            )
    return shapes


def narrowed(
    constraints: Mapping[str, Any], gaps: Mapping[str, str], form: Mapping[str, Any]
) -> dict[str, Any]:
    """A property's constraints within what a subject offers.

    `form` fixes Case fields that the subject has no choice in.  Raises `Unsupported` where the
    property is about a thing that is not offered.
    """
    drawn = dict(constraints)
    fixed = {name: OPTIONS[name] for name in gaps if name in OPTIONS}
    if "state" in gaps:
        fixed["with_state"] = False
    for field, value in {**fixed, **form}.items():
        if drawn.get(field, value) != value:
            name = "state" if field == "with_state" else field
            raise Unsupported(gaps.get(name) or f"{field} is always {value!r} here")
        drawn[field] = value
    closed = {form: gaps[word] for word, forms in FORMS.items() if word in gaps for form in forms}
    if closed:
        asked = drawn.get("forms", _ALL_FORMS)
        drawn["forms"] = tuple(f for f in asked if f not in closed)
        if not drawn["forms"]:
            raise Unsupported(closed[asked[0]])
    return drawn
