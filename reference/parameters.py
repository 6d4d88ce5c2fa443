"""The canonical weights of a recurrent layer or cell: names, shapes and counts.

Names and layout are those of torch.nn: gates stacked along the first axis, LSTM in the order
i f g o, GRU in the order r z n; `_reverse` marks the reverse direction.
"""

from __future__ import annotations

from math import prod

from .kinds import KINDS
from .options import Options, suffixes


def weight_shapes(options: Options) -> dict[str, tuple[int, ...]]:
    """Name → shape of every weight, in torch.nn's order of registration."""
    kind = KINDS[options.kind]
    rows = len(kind.gates) * options.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for index, suffix in enumerate(suffixes(options)):
        width = options.input_size if index < options.directions else options.output_size
        if kind.declared is not None:
            sizes = {"I": width, "H": options.hidden_size}
            for name, shape in kind.declared.weights.items():
                if options.bias or not kind.declared.bias(name):
                    shapes[name + suffix] = shape.of(sizes)
            continue
        shapes[f"weight_ih{suffix}"] = (rows, width)
        shapes[f"weight_hh{suffix}"] = (rows, options.state_size)
        if options.bias:
            shapes |= {f"bias_{end}{suffix}": (rows,) for end in options.biases}
        if options.proj_size:
            shapes[f"weight_hr{suffix}"] = (options.proj_size, options.hidden_size)
    return shapes


def state_widths(options: Options) -> tuple[tuple[int, ...], ...]:
    """The shape of each state of one row, in one layer and direction: (R,) of h, (H,) of c."""
    kind = KINDS[options.kind]
    if kind.declared is not None:
        sizes = {"I": options.input_size, "H": options.hidden_size}
        return tuple(s.of(sizes) for s in kind.declared.states.values())
    return ((options.state_size,), (options.hidden_size,))[: len(kind.states)]


def count(options: Options) -> int:
    """Number of parameters."""
    return sum(prod(shape) for shape in weight_shapes(options).values())


def projection_departure(options: Options) -> int:
    """Parameters of an LSTM with projection, minus 4 × those of an RNN with equal H, D and L.

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
