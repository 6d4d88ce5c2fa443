"""PaddlePaddle's LSTM, GRU and SimpleRNN and their cells, with Paddle's own backward pass.

Every call takes a network of paddle.nn that no other call uses, gives it the module's weights and
runs it.  Paddle has torch.nn's names, order of gates and two biases.  The module takes the weights
of a layer by the names of its cells, since with a projection the names that Paddle documents for
layers, such as weight_ih_l0_reverse, are those of other weights.  Paddle has `weight_ho` (H, R) for
torch.nn's weight_hr (R, H).

Dropout draws from Paddle's generator.  Each call that drops seeds it from torch's generator.
Importing this module switches off Paddle's handler of signals, which can hang a forked process.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar

import paddle
import torch
from torch import Tensor, nn

from .foreign import GAPS, Cell, Layer, Pull, needed, through

_PROMOTION = "https://paddlepaddle.org.cn/documentation/docs/en/guides/advanced/"
_GAPS = {
    **GAPS,
    "mixed_dtypes_are_refused": f"Paddle promotes: {_PROMOTION}auto_type_promotion_en.html",
    "unbatched": "Paddle takes a batch alone",
    "float16": "Paddle has no CPU kernel for float16",
    "bfloat16": "Paddle has no CPU kernel for bfloat16",
}
_WEIGHTS = {
    "weight_ih": "weight_ih",
    "weight_hh": "weight_hh",
    "bias_ih": "bias_ih",
    "bias_hh": "bias_hh",
    "weight_hr": "weight_ho",
}
_LOCK = threading.Lock()

paddle.disable_signal_handler()


@lru_cache(maxsize=256)
def _idle(name: str, dtype: str, sizes: tuple[int, ...], options: tuple[Any, ...]) -> list[Any]:
    """The networks of these options that no call uses at present."""
    return []


def _network(
    name: str, dtype: str, sizes: tuple[int, ...], options: dict[str, Any]
) -> tuple[Any, list[Any]]:
    """A network of paddle.nn, and the list that it goes back to."""
    idle = _idle(name, dtype, sizes, tuple(options.items()))
    with _LOCK:  # the dtype of new parameters is a setting of the process
        if idle:
            return idle.pop(), idle
        before = paddle.get_default_dtype()
        paddle.set_default_dtype(dtype)
        try:
            return getattr(paddle.nn, name)(*sizes, **options), idle
        finally:
            paddle.set_default_dtype(before)


def _cells(network: Any) -> Iterator[Any]:
    """The cells of a network in torch.nn's order: layer by layer, forward before reverse."""
    for layer in network:
        yield from [layer.cell] if hasattr(layer, "cell") else [layer.cell_fw, layer.cell_bw]


def _held(cells: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Paddle's parameters for torch.nn's names: those of a cell, or of a layer's cells."""
    found = []
    for name in names:
        kind, _, place = name.partition("_l")
        layer, _, reverse = place.partition("_")
        directions = 2 if any(n.endswith("_reverse") for n in names) else 1
        cell = cells[int(layer or 0) * directions + bool(reverse)]
        found.append(getattr(cell, _WEIGHTS[kind]))
    return found


def _options(module: _Cell | _Layer) -> dict[str, Any]:
    """What Paddle's layers and cells are made with, beside the sizes."""
    options: dict[str, Any] = {}
    if not module.bias:
        options |= {"bias_ih_attr": False, "bias_hh_attr": False}
    if hasattr(module, "nonlinearity"):
        options["activation"] = module.nonlinearity
    return options


def _gradients(results: list[Any], leaves: list[Any], *upstream: Any) -> list[Any]:
    """The gradients of the leaves, or None, for those of the results, as arrays."""
    for leaf in leaves:
        leaf.clear_gradient(set_to_zero=False)
    above = [paddle.to_tensor(u) for u in upstream]
    paddle.autograd.backward(results, above, retain_graph=True)
    return [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]


def _run(
    module: _Cell | _Layer,
    x: Tensor,
    states: tuple[Tensor, ...] | None,
    options: dict[str, Any],
    *more: Any,
) -> tuple[Tensor, ...]:
    """The results of a network on x, the states and `more`, flat, as tensors of torch."""
    weights = [w.t() if n.startswith("weight_hr") else w for n, w in module.weights().items()]
    tensors = [x, *(states or ()), *weights]
    asked = needed(*tensors)
    sizes = (module.input_size, module.hidden_size)
    drops = module.training and options.get("dropout", 0) > 0 and options["num_layers"] > 1
    seed = int(torch.randint(2**31 - 1, (), device="cpu")) if drops else None

    def call(*arrays: Any) -> tuple[list[Any], Pull]:
        first = len(arrays) - len(weights)
        # A new network draws initial weights, so it is made before the generator is seeded.
        network, idle = _network(module.own, arrays[-1].dtype.name, sizes, options)
        network.train() if module.training else network.eval()
        cells = [network] if isinstance(module, Cell) else list(_cells(network))
        parameters = _held(cells, module.names)
        for parameter, array in zip(parameters, arrays[first:], strict=True):
            parameter.set_value(array)
        leaves = [*map(paddle.to_tensor, arrays[:first]), *parameters]
        for leaf, wanted in zip(leaves, asked, strict=True):
            leaf.stop_gradient = not wanted
        given = tuple(leaves[1:first])
        start = None if states is None else given[0] if len(given) == 1 else given
        if seed is not None:
            paddle.seed(seed)
        with paddle.set_grad_enabled(any(asked)):
            output, final = network(leaves[0], start, *more)
        results = list(final) if isinstance(final, tuple) else [final]
        if isinstance(module, Layer):  # the output of a cell is h again
            results.insert(0, output)
        pull = partial(_gradients, results, leaves)
        if any(asked):
            weakref.finalize(pull, idle.append, network)  # its graph may be used until then
        else:
            idle.append(network)
        return [r.numpy() for r in results], pull

    return through(call, *tensors)


class _Layer(Layer):
    own: ClassVar[str]
    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS

    def compute(
        self, x: Tensor, states: tuple[Tensor, ...] | None, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One call of a layer of paddle.nn."""
        options = _options(self) | {
            "num_layers": self.num_layers,
            "direction": "bidirect" if self.bidirectional else "forward",
            "time_major": not self.batch_first,
            "dropout": self.dropout,
        }
        if self.proj_size:
            options["proj_size"] = self.proj_size
        sizes = () if lengths is None else (paddle.to_tensor(lengths.numpy()),)
        output, *final = _run(self, x, states, options, *sizes)
        return output, tuple(final)


class _Cell(Cell):
    own: ClassVar[str]
    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS

    def compute(self, x: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """One step of a cell of paddle.nn."""
        return _run(self, x, states, _options(self))


class LSTM(_Layer):
    """paddle.nn.LSTM."""

    like, own = nn.LSTM, "LSTM"


class GRU(_Layer):
    """paddle.nn.GRU."""

    like, own = nn.GRU, "GRU"


class SimpleRNN(_Layer):
    """paddle.nn.SimpleRNN."""

    like, own = nn.RNN, "SimpleRNN"


_BIASED = {**_GAPS, "bias": "left out here: see docs/found.md"}


class BiasedLSTM(LSTM):
    """LSTM with biases alone: without them a layer of Paddle ends the process."""

    gatewise_unsupported = _BIASED


class BiasedGRU(GRU):
    """GRU with biases alone."""

    gatewise_unsupported = _BIASED


class BiasedSimpleRNN(SimpleRNN):
    """SimpleRNN with biases alone."""

    gatewise_unsupported = _BIASED


class LSTMCell(_Cell):
    """paddle.nn.LSTMCell."""

    like, own = nn.LSTMCell, "LSTMCell"


class GRUCell(_Cell):
    """paddle.nn.GRUCell."""

    like, own = nn.GRUCell, "GRUCell"


class SimpleRNNCell(_Cell):
    """paddle.nn.SimpleRNNCell."""

    like, own = nn.RNNCell, "SimpleRNNCell"
