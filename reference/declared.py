"""Kinds that are declared by their step: a NumPy function, and the shapes of weights and states.

A step is called as `step(np, x, *states, w)` with x (B, I), states (B, H), and the weights as
attributes of w, and returns its output and the new states: `return h, (h, c)`.  B may be any
leading shape.  `np` is NumPy, whose functions work on Balls, Duals and complex arrays as well.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .activations import constant
from .ball import Ball, exact
from .ball_core import FUNCTIONS, UFUNCS
from .formats import PRECISIONS
from .shapes import Shape

#: Sizes that a declaration is tried with: all different, so that a wrong size is seen.
_TRIED = ({"I": 2, "H": 3}, {"I": 5, "H": 4})
_ROWS = 6


class DeclarationError(ValueError):
    """A kind that cannot be declared so; the text is one line that says what is accepted."""


class Weights:
    """The weights of one layer and direction as attributes, in the arithmetic of a step."""

    def __init__(self, kind: str, own: Mapping[str, Any]) -> None:
        self._kind, self._own, self._read = kind, own, set[str]()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._own:
            raise DeclarationError(
                f"w.{name} is no weight of {self._kind}; its weights are {', '.join(self._own)}"
            )
        self._read.add(name)
        return self._own[name]


@dataclass(frozen=True)
class Declaration:
    """What a kind says of itself: its step, and the shapes of its weights and states.

    `output` is the place of its output among the new states, or the number of states where it is
    another array.  `source` is the file of the step, and `line` its first line there.  `input`,
    if given, is applied to the whole input of a layer, (T, B, I), before its first step.
    """

    name: str
    step: Callable[..., Any]
    weights: Mapping[str, Shape]
    states: Mapping[str, Shape]
    output: int = 0
    source: str = ""
    line: int = 0
    input: Callable[[Any], Any] | None = None

    def of_layer(self, weights: Mapping[str, Any], suffix: str, like: Any) -> Weights:
        """The weights whose names end with `suffix`, in the arithmetic of `like`.

        A bias that the options leave out is zero.
        """
        own: dict[str, Any] = {}
        for name, shape in self.weights.items():
            value = weights.get(name + suffix)
            if value is None:
                sizes = {"I": like.shape[-1], "H": _hidden(weights, self.weights, suffix)}
                value = np.zeros(shape.of(sizes))
            own[name] = constant(like, value)
        return Weights(self.name, own)

    def parts(self, w: Weights, x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        """One step: the new states, and then the output where it is none of them.

        Raises `DeclarationError` where the step cannot be computed in the arithmetic of x.
        """
        with _located(self):
            output, new = self.step(np, x, *state, w)
        states = tuple(new) if isinstance(new, tuple | list) else (new,)
        return states if self.output < len(states) else (*states, output)

    def bias(self, name: str) -> bool:
        """Whether the option `bias` leaves a weight out."""
        return name.startswith("bias")


def _hidden(weights: Mapping[str, Any], shapes: Mapping[str, Shape], suffix: str) -> int:
    """The hidden size, from a weight with H rows or columns."""
    for name, shape in shapes.items():
        value = weights.get(name + suffix)
        for at, terms in enumerate(shape.dimensions):
            if value is not None and len(terms) == 1 and terms[0][1] == "H":
                size: int = value.shape[at] // terms[0][0]
                return size
    raise DeclarationError(f"no weight has the hidden size in its shape {dict(weights)}")


@contextmanager
def _located(own: Declaration) -> Any:
    """Name the line of the step where it cannot be computed."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = [f for f in frames if f.filename == own.source and (f.lineno or 0) >= own.line]
        where = f"{own.name}, line {inside[-1].lineno} of {own.source}" if inside else own.name
        code = f": `{inside[-1].line}`" if inside else ""
        raise DeclarationError(f"{where}{code}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "read-only" in text:
        return "the step changes one of its arguments; expected a new array"
    if "has no rule" in text:
        names = sorted(f.__name__ for f in {*UFUNCS, *FUNCTIONS})
        return f"{text}; a step may use + - * / @, indexing, .T and np.{', np.'.join(names)}"
    return text


def declaration(
    step: Callable[..., Any],
    weights: Mapping[str, Shape],
    states: Mapping[str, Shape],
    input: Callable[[Any], Any] | None = None,
) -> Declaration:
    """Try a step on small arrays and Balls, and return what it says of itself.

    Raises `DeclarationError`, one line, for a step that returns other shapes or another order of
    states, reads no such weight or leaves one unread, changes its arguments, or has an `if` that
    depends on a value.
    """
    name = step.__name__
    source = inspect.getsourcefile(step) or ""
    line = step.__code__.co_firstlineno
    _check_signature(name, step, tuple(states))
    _check_order(name, step, tuple(states))
    own = Declaration(name, step, weights, states, 0, source, line, input)
    found = [_tried(own, sizes) for sizes in _TRIED]
    unread = [n for n in weights if not any(n in reads for _, reads in found)]
    if unread:
        raise DeclarationError(f"{name}: the step does not use its weight {unread[0]}")
    return replace(own, output=found[-1][0])


def _check_signature(name: str, step: Callable[..., Any], states: tuple[str, ...]) -> None:
    given = list(inspect.signature(step).parameters)
    expected = ["np", "x", *states, "w"]
    if given != expected:
        raise DeclarationError(
            f"{name}({', '.join(given)}): expected the arguments {', '.join(expected)}"
        )


def _check_order(name: str, step: Callable[..., Any], states: tuple[str, ...]) -> None:
    """A step that returns its states under their own names must return them in their order."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(step)))
    except (OSError, SyntaxError):  # typed at a prompt: the shapes are checked all the same
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            last = node.value.elts[-1]
            parts = last.elts if isinstance(last, ast.Tuple) else []
            found = tuple(p.id for p in parts if isinstance(p, ast.Name))
            if found != states and sorted(found) == sorted(states):
                raise DeclarationError(
                    f"{name} returns the states {', '.join(found)}; expected {', '.join(states)}"
                )


def _tried(own: Declaration, sizes: Mapping[str, int]) -> tuple[int, set[str]]:
    """Call the step on float64 arrays and on Balls of float32, and check what it returns.

    Returns the place of the output among the states, and the names of the weights that it reads.
    """
    rng, p = np.random.RandomState(0), PRECISIONS["float32"]

    def drawn(*shape: int) -> Any:
        values = p.storage.round(rng.uniform(0.25, 0.75, shape))
        values.setflags(write=False)
        return values

    arrays = {n: drawn(*s.of(sizes)) for n, s in own.weights.items()}
    x, state = drawn(_ROWS, sizes["I"]), [drawn(_ROWS, *s.of(sizes)) for s in own.states.values()]
    reads: set[str] = set()
    output = 0
    for lift in (np.asarray, lambda a: exact(a, p)):
        given = lift(x)
        w = own.of_layer(arrays, "", given)
        with _located(own), np.errstate(all="ignore"):
            returned = own.step(np, given, *(lift(s) for s in state), w)
        output = _check_returned(own, returned, given, sizes)
        reads |= w._read
    return output, reads


def _check_returned(own: Declaration, returned: Any, x: Any, sizes: Mapping[str, int]) -> int:
    """The place of the output among the states; raises `DeclarationError` for wrong results."""
    letters = ", ".join(own.states)
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise DeclarationError(f"{own.name}: expected `return output, ({letters})`")
    output, new = returned
    states = tuple(new) if isinstance(new, tuple | list) else (new,)
    if len(states) != len(own.states):
        raise DeclarationError(
            f"{own.name} returns {len(states)} states; expected {len(own.states)}: {letters}"
        )
    wanted = {n: (_ROWS, *s.of(sizes)) for n, s in own.states.items()}
    wanted = {"output": (_ROWS, sizes["H"]), **wanted}
    for (name, shape), value in zip(wanted.items(), (output, *states), strict=True):
        if isinstance(x, Ball) and not isinstance(value, Ball):
            raise DeclarationError(
                f"{own.name}: {name} is no longer a Ball: an operation left out its rounding"
            )
        if tuple(getattr(value, "shape", ())) != shape:
            got = tuple(getattr(value, "shape", ()))
            raise DeclarationError(
                f"{own.name}: {name} has shape {got} with {_ROWS} rows, I = {sizes['I']} and "
                f"H = {sizes['H']}; expected {shape}"
            )
    return next((k for k, s in enumerate(states) if s is output), len(states))
