"""Every kind and option of the reference as one function of named arrays, and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.reference import concat_cells
from gatewise.reference.activations import constant
from gatewise.reference.backward import cell_backward, layer_backward
from gatewise.reference.concat_backward import concat_backward, tag_backward
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes
from gatewise.reference.steps import cell
from gatewise.reference.tagger import tag, tagger_weight_shapes
from gatewise.reference.unroll import layer

T, B, I, H, O, V = 4, 3, 2, 3, 4, 5  # noqa: E741
Named = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """Results of arguments by name, and gradients of arguments and upstream gradients by name."""

    shapes: dict[str, tuple[int, ...]]
    forward: Callable[[Named], dict[str, Any]]
    backward: Callable[[Named, Named], dict[str, Any]]

    def draw(self, seed: int) -> dict[str, Array]:
        """Arguments."""
        rng = np.random.RandomState(seed)
        return {name: rng.standard_normal(shape) for name, shape in self.shapes.items()}

    def upstream(self, seed: int) -> dict[str, Array]:
        """A loss's derivative by every result."""
        rng = np.random.RandomState(seed + 10_000)
        results = self.forward(self.draw(seed))
        return {name: rng.standard_normal(np.shape(r)) for name, r in results.items()}


def _states(arguments: Named) -> tuple[Any, ...]:
    return tuple(arguments[name] for name in ("h_0", "c_0") if name in arguments)


def _weights(arguments: Named) -> dict[str, Any]:
    return {n: a for n, a in arguments.items() if n not in ("input", "h_0", "c_0")}


def of_layer(
    o: Options,
    lengths: tuple[int, ...] | None = None,
    batch_first: bool = False,
    unbatched: bool = False,
    masked: bool = False,
) -> Problem:
    """A layer."""
    batch = () if unbatched else (B,)
    rows = o.num_layers * o.directions
    shapes: dict[str, tuple[int, ...]] = {
        "input": (*batch, T, I) if batch_first else (T, *batch, I),
        "h_0": (rows, *batch, o.state_size),
    }
    if o.kind == "LSTM":
        shapes["c_0"] = (rows, *batch, H)
    rng = np.random.RandomState(7)
    masks = [2.0 * rng.randint(0, 2, (T, B, o.output_size)) for _ in range(o.num_layers - 1)]
    form: dict[str, Any] = {"lengths": lengths, "batch_first": batch_first}
    if masked:
        form["masks"] = masks
    return Problem(
        shapes | weight_shapes(o),
        lambda a: layer(o, _weights(a), a["input"], _states(a), **form).named(),
        lambda a, d: layer_backward(o, _weights(a), a["input"], _states(a), d, **form),
    )


def of_cell(o: Options, unbatched: bool = False) -> Problem:
    """A cell."""
    batch = () if unbatched else (B,)
    shapes: dict[str, tuple[int, ...]] = {"input": (*batch, I), "h_0": (*batch, H)}
    if o.kind == "LSTM":
        shapes["c_0"] = (*batch, H)
    return Problem(
        shapes | weight_shapes(o),
        lambda a: cell(o, _weights(a), a["input"], _states(a)),
        lambda a, d: cell_backward(o, _weights(a), a["input"], _states(a), d),
    )


def of_concat_cell(kind: str) -> Problem:
    """A cell on [x, h]."""
    shapes: dict[str, tuple[int, ...]] = {"input": (B, I), "h_0": (B, H)}
    if "LSTM" in kind:
        shapes["c_0"] = (B, H)
    return Problem(
        shapes | concat_cells.weight_shapes(kind, I, H, O),
        lambda a: concat_cells.step(kind, _weights(a), a["input"], _states(a)),
        lambda a, d: concat_backward(kind, _weights(a), a["input"], _states(a), d),
    )


def of_tagger() -> Problem:
    """A tagger of a sentence in which a word stands twice and another never."""
    ids = np.array([3, 0, 3, 1])

    def forward(a: Named) -> dict[str, Any]:
        words = a["word_embeddings.weight"][ids]
        zero = constant(words, np.zeros((1, H)))
        return {"output": tag(a, words, (zero, zero))}

    return Problem(tagger_weight_shapes(I, H, V, O), forward, lambda a, d: tag_backward(a, ids, d))


_STACKED = {"num_layers": 2, "bidirectional": True}

PROBLEMS: dict[str, Problem] = {
    **{
        f"{kind}-{name}": of_layer(Options(kind, I, H, **options), **form)
        for kind in ("RNN", "LSTM", "GRU")
        for name, options, form in (
            ("plain", {}, {}),
            ("no-bias-unbatched", {"bias": False}, {"unbatched": True}),
            ("stacked-ragged", _STACKED, {"lengths": (2, 4, 1)}),
            ("stacked-equal", _STACKED, {"lengths": (4, 4, 4), "batch_first": True}),
            ("stacked-masked", _STACKED, {"masked": True, "batch_first": True}),
        )
    },
    "RNN-relu": of_layer(Options("RNN", I, H, nonlinearity="relu", **_STACKED)),
    "LSTM-projected": of_layer(Options("LSTM", I, H, proj_size=2, **_STACKED)),
    "LSTM-projected-ragged": of_layer(Options("LSTM", I, H, proj_size=1), lengths=(1, 4, 2)),
    **{
        f"GRU-after-{after}-keeps-{keeps}": of_layer(
            Options("GRU", I, H, reset_after=after, update_keeps=keeps, **_STACKED),
            lengths=(2, 4, 1),
        )
        for after in (True, False)
        for keeps in (True, False)
    },
    "GRU-one-bias": of_layer(Options("GRU", I, H, biases=("ih",))),
    "LSTM-one-bias": of_layer(Options("LSTM", I, H, biases=("hh",))),
    **{f"{kind}Cell": of_cell(Options(kind, I, H, cell=True)) for kind in ("RNN", "LSTM", "GRU")},
    "GRUCell-unbatched": of_cell(Options("GRU", I, H, cell=True), unbatched=True),
    **{f"{kind}Cell": of_concat_cell(kind) for kind, own in KINDS.items() if own.concat},
    "Tagger": of_tagger(),
}
