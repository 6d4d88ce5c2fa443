"""A case: everything that decides one call of a subject.  Its repr is short enough to paste."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from gatewise.reference.concat_cells import weight_shapes as concat_weight_shapes
from gatewise.reference.formats import PRECISIONS, Array, Precision
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.parameters import state_widths, weight_shapes
from gatewise.reference.tagger import tagger_weight_shapes

from .layouts import fitted
from .values import seeded, values


@dataclass(frozen=True, repr=False)
class Case:
    """One call: options as torch.nn names them, sizes, value regimes, seed, layout, precision.

    If `batch` is None, the input is unbatched.  If `lengths` is None, the input is a dense tensor,
    else a PackedSequence.  If `with_state` is False, no initial state is passed.  The arrays
    follow from the seed and the regimes.  Only networks that end in a log softmax have an
    `output_size`, and only taggers have a `vocab_size`.  The property reads `variant`, which is
    one of the variants that it lists.  The module is in evaluation mode if `training` is False.
    `reset_after`, `update_keeps` and `biases` are the
    subject's form, as in `reference.options.Options`; they are torch's unless an adapter states
    others.
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
    training: bool = True
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
        """A copy of this case with some fields changed.

        Weights, input and states have separate random streams.  So a change of `batch` or `time`
        does not change the values of the weights.
        """
        return replace(self, **changes)

    @property
    def form(self) -> str:
        """How the input is passed: `dense`, `unbatched`, or packed `equal` or `ragged`."""
        if self.lengths is None:
            return "unbatched" if self.batch is None else "dense"
        return "equal" if len(set(self.lengths)) == 1 else "ragged"

    @property
    def options(self) -> Options:
        """The options of the reference: they decide the shapes of the weights and the equations."""
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
        kind = KINDS[self.kind]
        if kind.concat:
            return concat_weight_shapes(self.kind, *sizes, self.output_size)
        if kind.words:
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
    def time_axis(self) -> int | None:
        """The axis of time in a layer's input and output; None for a cell."""
        if self.cell:
            return None
        return 1 if self.batch_first and self.batch is not None else 0

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of h, and of c if the kind has it; empty for a network that takes no state."""
        options = self.options
        batch = () if self.batch is None else (self.batch,)
        lead = () if self.cell else (self.num_layers * options.directions,)
        return tuple((*lead, *batch, *width) for width in state_widths(options))

    @property
    def start_names(self) -> tuple[str, ...]:
        """Names of the initial states: h_0, and c_0 if there is a cell state."""
        return KINDS[self.kind].start_names

    @property
    def final_names(self) -> tuple[str, ...]:
        """Names of the states that a call returns: h, c of a cell, and h_n, c_n of a layer."""
        return KINDS[self.kind].final_names(self.cell)

    def _stream(self, purpose: int) -> np.random.RandomState:
        return seeded(self.seed, purpose)

    @cached_property
    def weight_arrays(self) -> dict[str, Array]:
        """Name → array of every weight, exact in the format.

        In the regimes spread, normal and large, matrices are scaled by 1/√fan-in.
        """
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
        """The input, of `input_shape`; its values repeat where the layout has stride 0.

        For a tagger it is word ids (T,).
        """
        if KINDS[self.kind].words:
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
    """The case of a repr, such as records, known issues and messages contain."""
    case: Case = eval(text, {"__builtins__": {}, "Case": Case})
    return case
