"""Options of a recurrent layer or cell, and the names of its layers and directions."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The options that decide the weights and equations of a layer (or, with `cell`, of one step).

    `reset_after` and `update_keeps` choose the form of the GRU: torch's applies the reset gate
    after the recurrent matmul and keeps the old state where z = 1.  `biases` names the
    biases that exist, of b_ih and b_hh: a GRU without b_hh has no b_hn inside its reset product.
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

    The suffix of a cell is the empty string.
    """
    if options.cell:
        return [""]
    ends = ("", "_reverse")[: options.directions]
    return [f"_l{layer}{end}" for layer in range(options.num_layers) for end in ends]


def own_name(name: str) -> str:
    """The name of a layer's weight without the suffix of its layer and direction."""
    return re.sub(r"_l\d+(_reverse)?$", "", name)
