"""Adapters: implementations that are not drop-in, described in a few lines and checked at once.

An `Adapter` names what differs from torch.nn: the own names and layout of the weights, the order
of gates, transposed matrices, the order of the states, the layout of the input, the form of the
GRU, lengths or masks, NumPy in and out, a function instead of a module.  Its `module` is then
drop-in, and every property runs on it.  All that can be known without a call is checked when the
adapter is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Any

import torch
from torch import nn

import gatewise.reference.published  # noqa: F401  (its kinds stand in the tables)
from gatewise.reference.classes import CLASSES, DROP_IN
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options

from ...cases.shapes import Shape
from ...precisions import OFFERED, WIDE
from ..capabilities import (
    ATTRIBUTE,
    SubjectError,
    arguments_of,
    from_signature,
    options_of,
    required,
    shapes_of,
    stated,
)
from ..protocol import Subject
from .conventions import Conventions, conventions
from .lengths import LENGTHS, PADDINGS, Sequences
from .module import Adapted, Calling, bound_names, left_out, mapped_shapes

LAYOUTS = ("time-major", "batch-major")
ARRAYS = ("torch", "numpy")

#: Sizes that the own implementation is tried with.
_TRIAL = (3, 2)

#: An option and a value that changes the weights, tried one at a time.
_VARIANTS = (("bias", False), ("num_layers", 2), ("bidirectional", True), ("proj_size", 1))


#: What a module cannot be asked for whose weights are swapped while it is called.
ONE_THREAD = "two_threads_get_the_same_bits"


@dataclass(frozen=True)
class Adapter:
    """What an implementation has instead of torch.nn's conventions.

    `own` is a class or factory with torch.nn's constructor, of which it may leave out options; it
    makes a module, or an object that holds its weights in attributes.  With `function` it is
    itself the step (or the unroll): `own(x, *state, **weights)`.

    like
        the class of torch.nn that it computes: LSTM, LSTMCell; or that of a declared kind.
    weights
        own name → expression over torch.nn's parts, or over the weights of a declared kind (see
        `conventions`); None is the names of the class.
    gates
        own order, as `"ifog"` (c for g) or `"zrh"` (h for n).
    transposed
        own matrices are (in, out); or the own names of those that are.
    directions
        the words that `{direction}` stands for in own names, forward and reverse.
    state
        own order of the states, `"hc"` or `"ch"`, in and out.
    layout
        `"time-major"` or `"batch-major"`, where `own` has no option batch_first.
    layer_axis
        False where the states of a layer are (B, H), without an axis of layers and directions.
    arrays
        `"numpy"` where it takes and returns NumPy arrays.
    call
        `call(own, x, state)` where `own(x, state)` is not how it is called; `state` is None or a
        tuple in the own order, and the result the output (of a layer) and the states, nested
        anyhow.
    lengths
        how a padded input says where each row ends: `"absolute"` calls with `lengths=` (B,) in
        steps, `"relative"` with `lengths=` (B,), the share of T in float32, and `"mask"` with
        `mask=`, True where a step counts, (T, B), or (B, T) where x is batch-major.  A
        PackedSequence is then padded, and the output packed again.
    padding
        the side of the padding, `"right"` or `"left"`.
    resets
        it takes `resets=`, a mask as above: the state is zero again before a step where it is True.
    needs_state
        an initial state must be passed: zeros are.
    reset_after, update_keeps
        the form of a GRU, as in `reference.parameters.Options`.
    nonlinearity
        of an RNN that has one alone.
    ignored
        own parameters that are no weights of the equations; with `{layer}` and `{direction}`.
    unsupported, computes
        as in `Subject`.
    shapes
        the only shapes of its cases, for a library that compiles a program for each shape:
        `[(3, 2, 4)]` is input size, hidden size and batch of a cell, and a layer's have a time.

    Raises `SubjectError`, one line, where an argument contradicts itself or the implementation.
    """

    own: Callable[..., Any]
    like: str
    weights: Mapping[str, str] | None = None
    gates: str = ""
    transposed: bool | tuple[str, ...] = False
    directions: tuple[str, str] = ("", "_reverse")
    state: str = ""
    layout: str = ""
    layer_axis: bool = True
    arrays: str = "torch"
    function: bool = False
    call: Callable[..., Any] | None = None
    lengths: str = ""
    padding: str = "right"
    resets: bool = False
    needs_state: bool = False
    reset_after: bool = True
    update_keeps: bool = True
    nonlinearity: str = ""
    ignored: tuple[str, ...] = ()
    unsupported: Mapping[str, str] = field(default_factory=dict, hash=False)
    computes: Mapping[str, str] = field(default_factory=dict, hash=False)
    shapes: Sequence[Shape] = ()

    def __post_init__(self) -> None:
        try:
            self._check_arguments()
            self._check_against_own()
        except SubjectError as error:
            raise SubjectError(f"Adapter({self.label}): {error}") from None

    @property
    def label(self) -> str:
        """The own implementation's name."""
        return getattr(self.own, "__name__", type(self.own).__name__)

    @property
    def cell(self) -> bool:
        """Whether it is a single step."""
        return CLASSES[self.like].cell

    @property
    def kind(self) -> str:
        """The kind of its cell: RNN, LSTM, GRU."""
        return CLASSES[self.like].kind

    @property
    def states(self) -> tuple[str, ...]:
        """The own order of the states."""
        return tuple(self.state) or KINDS[self.kind].states

    @property
    def extras(self) -> frozenset[str]:
        """What it offers that torch.nn does not: see `capabilities.EXTRAS`."""
        offered = {"lengths": bool(self.lengths), "mask": self.lengths == "mask"}
        offered |= {"relative": self.lengths == "relative", "resets": self.resets}
        return frozenset(name for name, there in offered.items() if there)

    @cached_property
    def conventions(self) -> Conventions:
        """The layout of the own weights."""
        return conventions(
            self.like,
            self.weights,
            self.gates,
            self.transposed,
            self.directions,
            self.reset_after,
        )

    @cached_property
    def calling(self) -> Calling:
        """How it is called."""
        return Calling(
            self.cell,
            self.states,
            self.layout,
            self.layer_axis,
            self.arrays,
            self.function,
            self.needs_state,
            self.call,
            Sequences(self.lengths, self.padding, self.resets),
        )

    @cached_property
    def form(self) -> dict[str, Any]:
        """The Case fields that the implementation has no choice in."""
        biases = self.conventions.biases
        form: dict[str, Any] = {} if biases else {"bias": False}
        if len(biases) == 1:
            form["biases"] = biases
        if not self.reset_after:
            form["reset_after"] = False
        if not self.update_keeps:
            form["update_keeps"] = False
        if self.nonlinearity:
            form["nonlinearity"] = self.nonlinearity
        if self.needs_state or self.function:
            form["with_state"] = True
        return form

    @cached_property
    def gaps(self) -> dict[str, str]:
        """All that it does not offer, with the reasons; what the author states comes last."""
        gaps = {"torch_names": "an adapter maps its weights"}
        fields, parts = self.conventions.fields(), self.conventions.parts
        offered = options_of(self.like)
        for option, name in (("num_layers", "layer"), ("bidirectional", "direction")):
            if option in offered and name not in fields:
                gaps[option] = f"the own names of the weights hold no {{{name}}}"
        if "proj_size" in offered and "weight_hr" not in parts:
            gaps["proj_size"] = "no weight is mapped to weight_hr"
        if self.function:
            gaps |= dict.fromkeys(offered, f"{self.label} is a function of the weights")
            if not required(self.own, self.conventions.bias_names()):
                gaps.pop("bias")
        else:
            gaps[ONE_THREAD] = "an adapter gives a module its weights at each call, in one thread"
            gaps |= from_signature(self.own, self.like)
            gaps |= stated(f"{self.label}.{ATTRIBUTE}", getattr(self.own, ATTRIBUTE, {}))
        if not self.layer_axis:
            for option in ("num_layers", "bidirectional"):
                gaps[option] = "its states have no axis of layers and directions"
        if self.layout:
            gaps["batch_first"] = f"its input is always {self.layout}"
        if self.arrays == "numpy":
            gaps["gradients"] = "NumPy has no automatic differentiation"
            if not self.lengths:
                gaps["packed"] = "a PackedSequence is no NumPy array"
            for name in OFFERED:
                if name not in WIDE and name not in self.computes:
                    gaps[name] = "NumPy arrays are passed in float64 and float32 alone"
        return {**gaps, **self.unsupported}

    def options(self, input_size: int, hidden_size: int, **given: Any) -> Options:
        """The options as the reference has them."""
        form = {n: v for n, v in self.form.items() if n != "with_state"}
        shared = {n: v for n, v in given.items() if n not in ("batch_first", "dropout")}
        return Options(self.kind, input_size, hidden_size, cell=self.cell, **{**shared, **form})

    def module(self, input_size: int, hidden_size: int, **options: Any) -> Adapted:
        """A drop-in for torch.nn's module around a fresh own implementation.

        Raises `SubjectFault` where the own weights are not what the mapping says.
        """
        own = self.own if self.function else self.own(input_size, hidden_size, **options)
        sizes = self.options(input_size, hidden_size, **options)
        major = bool(options.get("batch_first"))
        return Adapted(own, sizes, self.conventions, self.calling, self.ignored, major)

    def subject(self, name: str = "") -> Subject:
        """The implementation as a subject."""
        return Subject(
            name or f"{getattr(self.own, '__module__', '')}:{self.label}",
            self.like,
            self.module,
            unsupported=self.gaps,
            form=self.form,
            computes=self.computes,
            extras=self.extras,
            shapes=shapes_of("shapes", self.shapes, self.cell),
        )

    # ------------------------------------------------------------------ checks

    def _check_arguments(self) -> None:
        if not callable(self.own):
            raise SubjectError(f"own={self.own!r}: expected a class, a factory or a function")
        _one_of("like", self.like, tuple(DROP_IN))
        kind = KINDS[self.kind]
        _one_of("arrays", self.arrays, ARRAYS)
        _one_of("layout", self.layout, ("", *LAYOUTS) if not self.cell else ("",))
        orders = ("".join(p) for p in permutations(kind.states))
        _one_of("state", self.state, ("", *orders))
        _one_of("lengths", self.lengths, ("", *LENGTHS) if not self.cell else ("",))
        _one_of("padding", self.padding, PADDINGS if self.lengths else PADDINGS[:1])
        if self.cell and self.resets:
            raise SubjectError("resets=True: expected of a layer alone")
        _one_of("nonlinearity", self.nonlinearity, ("", "tanh", "relu"))
        if self.nonlinearity and "nonlinearity" not in kind.options:
            raise SubjectError(f"nonlinearity={self.nonlinearity!r}: expected of an RNN alone")
        for name in ("reset_after", "update_keeps"):
            if not getattr(self, name) and name not in kind.forms:
                raise SubjectError(f"{name}=False: expected of a GRU alone")
        words = self.directions
        if not isinstance(words, tuple) or len(words) != 2 or words[0] == words[1]:
            raise SubjectError(f"directions={words!r}: expected two different words")
        if self.cell and not self.layer_axis:
            raise SubjectError("layer_axis=False: expected of a layer alone")
        stated("unsupported=", self.unsupported)
        shapes_of("shapes", self.shapes, self.cell)
        _ = self.conventions
        for name in self.form:
            if name in self.unsupported:
                raise SubjectError(
                    f"unsupported={{{name!r}: ...}} contradicts what the adapter states: "
                    f"{name} is always {self.form[name]!r}"
                )

    def _check_against_own(self) -> None:
        if self.function:
            arguments = arguments_of(self.own)
            for name in self.conventions.weights:
                if arguments is not None and name not in arguments:
                    raise SubjectError(
                        f"weights= names {name!r}, which is no argument of {self.label}; "
                        f"it has {', '.join(arguments)}"
                    )
            return
        gaps = self.gaps
        self._try({})
        for option, value in _VARIANTS:
            offered = option in options_of(self.like) and option not in gaps
            if offered and option not in self.form:
                self._try({option: value})

    def _try(self, options: dict[str, Any]) -> None:
        """Check the own weights against the mapping, for some options."""
        call = f"{self.label}{_TRIAL} with {options}" if options else f"{self.label}{_TRIAL}"
        try:
            with torch.random.fork_rng(devices=[]):
                own = self.own(*_TRIAL, **options)
        except Exception as error:
            if options:
                return  # a fault or a gap that the run will show, with its case
            raise SubjectError(f"{call} raises {type(error).__name__}: {error}") from error
        if self.arrays == "numpy" and isinstance(own, nn.Module):
            raise SubjectError(f"arrays='numpy': {self.label} makes a torch.nn.Module")
        sizes = self.options(*_TRIAL, **options)
        wanted = mapped_shapes(self.conventions, sizes)
        try:
            bound_names(own, wanted, left_out(self.conventions, sizes, self.ignored))
        except SubjectError as error:
            raise SubjectError(f"{call}: {error}") from None


def _one_of(name: str, value: Any, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise SubjectError(f"{name}={value!r}: expected one of {', '.join(map(repr, accepted))}")
