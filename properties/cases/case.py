"""A case: everything that decides one call of a subject, small enough to paste."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gatewise.reference.concat_cells import CONCAT_KINDS
from gatewise.reference.concat_cells import weight_shapes as concat_weight_shapes
from gatewise.reference.formats import PRECISIONS, Array, Precision
from gatewise.reference.parameters import Options, weight_shapes
from gatewise.reference.tagger import tagger_weight_shapes

from .layouts import LAYOUTS, fitted
from .sizes import NAMES, TILE_EDGES, Sizes, sizes
from .values import ANY, Triple, seeded, values


@dataclass(frozen=True, repr=False)
class Case:
    """One call: options as torch.nn names them, sizes, value regimes, seed, layout, precision.

    `batch` None means unbatched; `lengths` None means a dense tensor, else a PackedSequence;
    `with_state` False passes no initial state.  The arrays follow from the seed and the regimes.
    `output_size` is that of a network that ends in a log softmax, `vocab_size` that of a tagger.
    `variant` is for the property to read: one of those that it lists.
    `reset_after`, `update_keeps` and `biases` are the subject's form, as in
    `reference.parameters.Options`; they are torch's unless an adapter states another.
    """

    kind: str
    cell: bool = False
    input_size: int = 1
    hidden_size: int = 1
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    nonlinearity: str = "tanh"
    output_size: int = 0
    vocab_size: int = 0
    batch: int | None = 1
    time: int = 1
    lengths: tuple[int, ...] | None = None
    enforce_sorted: bool = False
    with_state: bool = True
    weights: str = "normal"
    inputs: str = "normal"
    states: str = "normal"
    seed: int = 0
    layout: str = "contiguous"
    precision: str = "float32"
    variant: str = ""
    reset_after: bool = True
    update_keeps: bool = True
    biases: tuple[str, ...] = ("ih", "hh")

    def __repr__(self) -> str:
        shown = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)[1:]
            if f.default is MISSING or getattr(self, f.name) != f.default
        ]
        return f"Case({', '.join([repr(self.kind), *shown])})"

    def but(self, **changes: Any) -> Case:
        """This case with some fields changed; arrays of unchanged shape keep their values."""
        return replace(self, **changes)

    @property
    def form(self) -> str:
        """How the input is passed: `dense`, `unbatched`, or packed `equal` or `ragged`."""
        if self.lengths is None:
            return "unbatched" if self.batch is None else "dense"
        return "equal" if len(set(self.lengths)) == 1 else "ragged"

    @property
    def options(self) -> Options:
        """What decides the weights and the equations."""
        return Options(
            self.kind,
            self.input_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bias=self.bias,
            bidirectional=self.bidirectional,
            proj_size=self.proj_size,
            nonlinearity=self.nonlinearity,
            reset_after=self.reset_after,
            update_keeps=self.update_keeps,
            biases=self.biases,
            cell=self.cell,
        )

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name → shape of every weight."""
        sizes = (self.input_size, self.hidden_size)
        if self.kind in CONCAT_KINDS:
            return concat_weight_shapes(self.kind, *sizes, self.output_size)
        if self.kind == "Tagger":
            return tagger_weight_shapes(*sizes, self.vocab_size, self.output_size)
        return weight_shapes(self.options)

    @property
    def rounding(self) -> Precision:
        """The precision as the reference charges it."""
        return PRECISIONS[self.precision]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(B, I) of a cell; (T, B, I) or (B, T, I) of a layer; without B when unbatched."""
        batch = () if self.batch is None else (self.batch,)
        if self.cell:
            return (*batch, self.input_size)
        lead = (*batch, self.time) if self.batch_first else (self.time, *batch)
        return (*lead, self.input_size)

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of h, and of c where there is one."""
        options = self.options
        batch = () if self.batch is None else (self.batch,)
        lead = () if self.cell else (self.num_layers * options.directions,)
        h = (*lead, *batch, options.state_size)
        if self.kind == "Tagger":
            return ()
        return (h, (*lead, *batch, self.hidden_size)) if "LSTM" in self.kind else (h,)

    def _stream(self, purpose: int) -> np.random.RandomState:
        return seeded(self.seed, purpose)

    @cached_property
    def weight_arrays(self) -> dict[str, Array]:
        """Name → array of every weight, exact in the format; matrices scaled by 1/√fan-in."""
        rng, fmt = self._stream(0), self.rounding.storage
        arrays = {}
        for name, shape in self.weight_shapes.items():
            array = values(rng, self.weights, shape, fmt)
            if len(shape) == 2 and self.weights in ("spread", "normal", "large") and shape[1] > 1:
                array = fmt.round(array / np.sqrt(shape[1]))
            arrays[name] = array
        return arrays

    @cached_property
    def input_array(self) -> Array:
        """The input, of `input_shape`; values repeat where the layout makes them.

        A tagger's is word ids (T,).
        """
        if self.kind == "Tagger":
            return self._stream(1).randint(self.vocab_size, size=self.time).astype(np.float64)
        x = values(self._stream(1), self.inputs, self.input_shape, self.rounding.storage)
        return fitted(x, self.layout)

    @cached_property
    def state_arrays(self) -> tuple[Array, ...]:
        """Initial states; zeros when the case passes none."""
        rng, fmt = self._stream(2), self.rounding.storage
        regime = self.states if self.with_state else "zeros"
        arrays = [values(rng, regime, shape, fmt) for shape in self.state_shapes]
        return tuple(fitted(s, self.layout) for s in arrays)


def case_from(text: str) -> Case:
    """The case of a `repr`, as a record, a known issue or a message has it."""
    case: Case = eval(text, {"__builtins__": {}, "Case": Case})
    return case


#: Draws that decide options: few, since each costs Hypothesis time in every example.
_FLAGS = st.integers(0, 2**7 - 1)
_SEED = st.integers(0, 2**32 - 1)
_LAYERS = (1,) * 6 + (2, 2, 3)
_PROJECTION = ("none",) * 6 + ("one", "most")
_STACK = st.sampled_from([(n, p) for p in _PROJECTION for n in _LAYERS])
_FORM = ("dense",) * 5 + ("unbatched",) + ("equal",) + ("ragged",) * 3
_LAYOUT = (LAYOUTS[0],) * 8 + LAYOUTS[1:]
_OUTPUTS = st.integers(1, 7)
_VOCABULARY = st.integers(1, 20)
_PASSING = st.sampled_from([(f, o) for o in _LAYOUT for f in _FORM])


@st.composite
def cases(
    draw: st.DrawFn,
    /,
    kind: str,
    cell: bool,
    precision: str,
    *,
    least: dict[str, int] | None = None,
    most: dict[str, int] | None = None,
    forms: tuple[str, ...] = ("dense", "unbatched", "equal", "ragged"),
    regimes: st.SearchStrategy[Triple] = ANY,
    variants: tuple[str, ...] = (),
    **fixed: Any,
) -> Case:
    """Draw a case of `kind` in `precision`; `fixed` fields are not drawn.

    `forms` are the admissible ways of passing the input, of `dense`, `unbatched`, and the packed
    `equal` and `ragged`; `least` and `most` bound the sizes; `variant` is one of `variants`.
    """
    weights, inputs, states = draw(regimes)
    size: Sizes = draw(sizes(tuple((least or {}).items()), tuple((most or {}).items())))
    flags = draw(_FLAGS)
    form, layout = draw(_PASSING)
    if form not in forms:
        form = forms[0]
    fields_: dict[str, Any] = {
        "kind": kind,
        "cell": cell,
        "precision": precision,
        "input_size": size.input,
        "hidden_size": size.hidden,
        "batch": size.batch,
        "bias": not flags & 1,
        "with_state": (flags & 70) != 66,
        "weights": weights,
        "inputs": inputs,
        "states": states,
        "layout": layout,
    }
    if kind == "RNN" and flags & 8:
        fields_["nonlinearity"] = "relu"
    if cell:
        if form == "unbatched":
            fields_["batch"] = None
    else:
        num_layers, projection = draw(_STACK)
        fields_ |= {
            "time": size.time,
            "num_layers": num_layers,
            "bidirectional": bool(flags & 16),
            "batch_first": bool(flags & 32),
        }
        if kind == "LSTM":
            widths = {"none": 0, "one": min(1, size.hidden - 1), "most": size.hidden - 1}
            fields_["proj_size"] = widths[projection]
    if variants:
        fields_["variant"] = draw(st.sampled_from(variants))
    fields_["seed"] = draw(_SEED)
    fields_ |= fixed
    if not cell:
        fields_ |= _lengths(fields_["seed"], form, fields_["batch"], fields_["time"])
    return Case(**fields_)


@st.composite
def network_cases(
    draw: st.DrawFn,
    /,
    kind: str,
    cell: bool,
    precision: str,
    *,
    regimes: st.SearchStrategy[Triple] = ANY,
    variants: tuple[str, ...] = (),
    **fixed: Any,
) -> Case:
    """Draw a case of a network that ends in a log softmax: a concat cell or a tagger."""
    weights, inputs, states = draw(regimes)
    bounds = (tuple(fixed.pop(name, {}).items()) for name in ("least", "most"))
    size: Sizes = draw(sizes(*bounds))
    fixed.pop("forms", None)
    fields_: dict[str, Any] = {
        "kind": kind,
        "cell": cell,
        "precision": precision,
        "input_size": size.input,
        "hidden_size": size.hidden,
        "weights": weights,
        "inputs": inputs,
        "states": states,
        "output_size": draw(_OUTPUTS),
    }
    if cell:
        fields_ |= {"batch": size.batch, "layout": draw(_PASSING)[1]}
        fields_["with_state"] = draw(_FLAGS) % 8 != 7
    else:
        fields_ |= {"batch": None, "time": size.time, "vocab_size": draw(_VOCABULARY)}
    if variants:
        fields_["variant"] = draw(st.sampled_from(variants))
    return Case(**(fields_ | fixed), seed=draw(_SEED))


def edge_cases(kind: str, cell: bool, precision: str, seed: int) -> Iterator[Case]:
    """A case for every tile edge of every size, the other sizes small; values by the seed.

    Drawing meets each of them by chance only, and a kernel's fault may show at one alone.
    """
    for name in NAMES[:3] if cell else NAMES:
        for place, edge in enumerate(TILE_EDGES):
            size = {"input": 2, "hidden": 3, "batch": 2, "time": 2, name: edge}
            yield Case(
                kind,
                cell=cell,
                input_size=size["input"],
                hidden_size=size["hidden"],
                batch=size["batch"],
                time=1 if cell else size["time"],
                weights="spread",
                inputs="spread",
                states="spread",
                seed=(seed + place) % 2**32,
                precision=precision,
            )


def variant_cases(
    kind: str, cell: bool, precision: str, seed: int, variants: Iterable[str]
) -> Iterator[Case]:
    """A small dense case of at least two rows and steps for every variant; options by the seed."""
    for place, variant in enumerate(variants):
        rng = seeded(seed, place)
        input_size, hidden_size, batch, time, layers, flags = (
            int(n) for n in rng.randint(48, size=6)
        )
        case = Case(
            kind,
            cell=cell,
            input_size=1 + input_size % 4,
            hidden_size=1 + hidden_size % 4,
            batch=2 + batch % 2,
            bias=flags % 4 > 0,
            nonlinearity="relu" if kind == "RNN" and flags % 3 == 0 else "tanh",
            seed=(seed + place) % 2**32,
            precision=precision,
            variant=variant,
        )
        if not cell:
            narrow = min(1, case.hidden_size - 1) if kind == "LSTM" and flags % 5 == 0 else 0
            case = case.but(
                time=2 + time % 2,
                num_layers=1 + layers % 2,
                bidirectional=layers % 3 == 0,
                proj_size=narrow,
            )
        yield case


def _lengths(seed: int, form: str, batch: int, time: int) -> dict[str, Any]:
    """Fields for a way of passing the input; the longest sequence always fills `time`."""
    if form == "dense":
        return {}
    if form == "unbatched":
        return {"batch": None}
    if form == "equal" or batch == 1:
        return {"lengths": (time,) * batch, "enforce_sorted": True}
    rng = seeded(seed, 3)
    lengths = [int(n) for n in rng.randint(1, time + 1, size=batch)]
    lengths[rng.randint(batch)] = time
    ordered = bool(rng.randint(2))
    if ordered:
        lengths.sort(reverse=True)
    return {"lengths": tuple(lengths), "enforce_sorted": ordered}
