"""Options of a recurrent layer, and its canonical weights: names, shapes and counts.

Names and layout are those of torch.nn: gates stacked along the first axis, LSTM in the order
i f g o, GRU in the order r z n; `_reverse` marks the reverse direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
GATE_NAMES = {"RNN": ("h",), "LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}


@dataclass(frozen=True)
class Options:
    """What decides the weights and the equations of a layer (or, with `cell`, of one step).

    `reset_after` and `update_keeps` choose the form of the GRU: torch's applies the reset gate
    after the recurrent matmul and keeps the old state where z = 1.  `biases` names those that
    there are, of b_ih and b_hh: a GRU without b_hh has no b_hn inside its reset product.
    """

    kind: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    proj_size: int = 0
    nonlinearity: str = "tanh"
    reset_after: bool = True
    update_keeps: bool = True
    biases: tuple[str, ...] = ("ih", "hh")
    cell: bool = False

    @property
    def directions(self) -> int:
        """1, or 2 when bidirectional."""
        return 2 if self.bidirectional else 1

    @property
    def state_size(self) -> int:
        """Width of the hidden state: `proj_size` where there is a projection."""
        return self.proj_size or self.hidden_size

    @property
    def output_size(self) -> int:
        """Width of a layer's output: the hidden states of all directions side by side."""
        return self.directions * self.state_size


def suffixes(options: Options) -> list[str]:
    """Suffix of the weight names of each layer and direction, in the order of the states.

    A cell's is the empty string.
    """
    if options.cell:
        return [""]
    ends = ("", "_reverse")[: options.directions]
    return [f"_l{layer}{end}" for layer in range(options.num_layers) for end in ends]


def weight_shapes(options: Options) -> dict[str, tuple[int, ...]]:
    """Name → shape of every weight, in torch.nn's order of registration."""
    rows = GATES[options.kind] * options.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for index, suffix in enumerate(suffixes(options)):
        width = options.input_size if index < options.directions else options.output_size
        shapes[f"weight_ih{suffix}"] = (rows, width)
        shapes[f"weight_hh{suffix}"] = (rows, options.state_size)
        if options.bias:
            shapes |= {f"bias_{end}{suffix}": (rows,) for end in options.biases}
        if options.proj_size:
            shapes[f"weight_hr{suffix}"] = (options.proj_size, options.hidden_size)
    return shapes


def count(options: Options) -> int:
    """Number of parameters."""
    return sum(prod(shape) for shape in weight_shapes(options).values())


def projection_departure(options: Options) -> int:
    """How many parameters an LSTM with projection has more than 4 × those of the RNN beside it.

    With H hidden, P projected, D directions and L layers, each layer and direction gains the
    P·H of `weight_hr` and loses 4H(H−P) in `weight_hh`; above the first layer it also loses
    4H·D(H−P) in `weight_ih`, whose input is the projected state.  Zero where P = 0.
    """
    H, P, D, L = (
        options.hidden_size,
        options.proj_size,
        options.directions,
        options.num_layers,
    )
    if P == 0:
        return 0
    per_direction = P * H - 4 * H * (H - P)
    return L * D * per_direction - (L - 1) * D * 4 * H * D * (H - P)
