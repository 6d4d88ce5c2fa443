"""The table of the kinds of recurrent cell.

All other code reads this table: whether a kind has a cell state, how many gates it has, which
options its constructor takes, its step and its backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cells import Parts, affine, gru_parts, lstm_parts, rnn_parts, weights_of
from .cells_backward import Adjoints, gru_backward, lstm_backward, rnn_backward
from .declared import Declaration
from .options import Options
from .shapes import Shape, shape

#: (options, weights, x_share, state) → the new states, then the other values of the step.
Step = Callable[[Options, Any, Any, tuple[Any, ...]], Parts]
#: (options, weights, tape, loop, last) → the adjoints of one direction of a layer.
Backward = Callable[..., Adjoints]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of recurrent cell.

    `gates` are the letters of its blocks of weights, in torch.nn's order.  `aliases` maps other
    letters in use to these.  `states` are the letters of its states.  `options` are the options
    of its constructor that not every layer has.  `forms` are the fields of `Options` that choose
    between published forms of its equations.  `sums_biases` is true if b_ih and b_hh enter as one
    sum.  `step` is one step.  `backward` is BPTT over all steps, or None if the reference has no
    gradient.

    A network has a `base`, the kind whose equations it uses.  A cell on [x, h] has one linear
    layer for all gates (`shared`) or one for each gate.  A network of `words` takes word ids as
    its input.  A kind that a user adds may be `declared` by its step alone.
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...] = ("h",)
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    options: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    sums_biases: bool = True
    step: Step | None = None
    backward: Backward | None = None
    base: str = ""
    shared: bool = False
    words: bool = False
    declared: Declaration | None = None

    @property
    def output(self) -> int:
        """The place of the output among the values of a step."""
        return 0 if self.declared is None else self.declared.output

    @property
    def start_names(self) -> tuple[str, ...]:
        """The names of the initial states: h_0, and c_0 if there is a cell state."""
        return tuple(f"{letter}_0" for letter in self.states)

    def final_names(self, cell: bool) -> tuple[str, ...]:
        """The names of the states that a call returns: h, c of a cell, and h_n, c_n of a layer."""
        return self.states if cell else tuple(f"{letter}_n" for letter in self.states)

    def result_names(self, cell: bool) -> tuple[str, ...]:
        """The names of the results: h, c of a cell, and output, h_n, c_n of a layer."""
        if not cell:
            return ("output", *self.final_names(cell))
        return self.states if self.output < len(self.states) else (*self.states, "output")

    @property
    def of_gates(self) -> tuple[str, int]:
        """The weight that has a block of rows for each gate, and how many blocks it has."""
        if self.declared is None:
            return "weight_hh", len(self.gates)
        found = {name: s.blocks() for name, s in self.declared.weights.items()}
        name = max(found, key=lambda n: found[n])
        return name, found[name]

    @property
    def shapes(self) -> dict[str, Shape]:
        """Name → shape of the weights of one layer and direction, without a projection."""
        if self.declared is not None:
            return dict(self.declared.weights)
        rows = f"{len(self.gates)}H"
        own = {"weight_ih": f"{rows} I", "weight_hh": f"{rows} H", "bias_ih": rows, "bias_hh": rows}
        return {name: shape(text) for name, text in own.items()}

    def weights(self, weights: Mapping[str, Any], suffix: str, like: Any) -> Any:
        """The weights whose names end with `suffix`, as its step takes them."""
        if self.declared is not None:
            return self.declared.of_layer(weights, suffix, like)
        return weights_of(weights, suffix, like)

    def shares(self, w: Any, x: Any) -> tuple[Any, Any]:
        """What its step takes of the input x (…, I), and the weights that are left for the step.

        x W_ihᵀ + b_ih does not depend on the state, so a layer computes it for all steps at once.
        A declared step takes x itself, or what its declaration makes of the whole input.
        """
        if self.declared is not None:
            return x if self.declared.input is None else self.declared.input(x), w
        shares = affine(x, w.ih, w.b_ih)
        if w.b_hh is not None and self.sums_biases:
            return shares + w.b_hh, w._replace(b_hh=None)
        return shares, w

    @property
    def concat(self) -> bool:
        """Whether it is a cell whose linear layers act on [x, h]."""
        return bool(self.base) and not self.words


_RNN = Kind(
    name="RNN",
    gates=("h",),
    options=("nonlinearity",),
    step=lambda o, w, x, s: rnn_parts(x, s[0], w.hh, w.b_hh, o.nonlinearity),
    backward=rnn_backward,
)
_LSTM = Kind(
    name="LSTM",
    gates=("i", "f", "g", "o"),
    states=("h", "c"),
    aliases={"c": "g"},
    options=("proj_size",),
    step=lambda o, w, x, s: lstm_parts(x, s[0], s[1], w.hh, w.b_hh, w.hr),
    backward=lstm_backward,
)
_GRU = Kind(
    name="GRU",
    gates=("r", "z", "n"),
    aliases={"h": "n"},
    forms=("reset_after", "update_keeps"),
    sums_biases=False,
    step=lambda o, w, x, s: gru_parts(x, s[0], w.hh, w.b_hh, o.reset_after, o.update_keeps),
    backward=gru_backward,
)


def _on_concatenated(prefix: str, of: Kind, shared: bool) -> Kind:
    name = f"{prefix}{of.name}"
    return Kind(name=name, gates=of.gates, states=of.states, base=of.name, shared=shared)


#: Name → kind.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _RNN,
        _LSTM,
        _GRU,
        *(_on_concatenated("Shared", k, True) for k in (_RNN, _LSTM, _GRU)),
        *(_on_concatenated("Independent", k, False) for k in (_RNN, _LSTM, _GRU)),
        Kind(name="Tagger", gates=_LSTM.gates, states=(), base="LSTM", words=True),
    )
}
