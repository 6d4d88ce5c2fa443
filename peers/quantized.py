"""torch.ao.nn.quantized.dynamic: LSTM, GRU and the three cells, with weights of int8 or float16.

Each call makes a module of torch.nn with the present weights, converts it with `from_float` and the
default configuration for that dtype, and runs the result.  `quantized_kinds` declares what it
computes.  The modules are for inference: they have no gradients and no dropout.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import default_dynamic_qconfig, float16_dynamic_qconfig

from . import quantized_kinds as quantized_kinds  # declares the kinds

_GAPS = {
    "gradients": "a quantized module is for inference",
    "dropout": "a quantized module is for inference",
    "bias": "from_float asserts that there is one",
    "unbatched": "it takes a batch alone",
    **dict.fromkeys(("float64", "float16", "bfloat16"), "it takes float32 alone"),
    "compilation": "the adapter converts the weights at each call",
    "meta_module_gives_shapes_then_computes": "a weight is packed from its numbers",
}
_INT8 = {**_GAPS, "nan_weight_reaches_its_unit": "an integer is never NaN"}


class _Dynamic(nn.Module):
    """What the classes share; the parameters are those of torch.nn's class."""

    gatewise_unsupported: ClassVar[dict[str, str]] = _GAPS
    configuration: ClassVar[Any]
    #: The class of torch.nn that is converted.
    plain: ClassVar[type[nn.Module]]
    options: dict[str, Any]

    def _set(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__()
        self.sizes, self.options = (input_size, hidden_size), options
        made = dict(self.plain(*self.sizes, **options).named_parameters())
        self.names = list(made)
        for name, parameter in made.items():
            self.register_parameter(name, parameter)

    def converted(self) -> Any:
        """The quantized module of the present weights."""
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # it draws weights first
            module = self.plain(*self.sizes, **self.options)
            for name in self.names:
                setattr(module, name, nn.Parameter(getattr(self, name).detach().clone()))
            module.qconfig = self.configuration
            return getattr(dynamic, self.plain.__name__).from_float(module)

    @torch.no_grad()
    def forward(self, x: Any, hx: Any = None) -> Any:
        """The call of torch.nn's class, on the converted module."""
        return self.converted()(x, hx)


class _Layer(_Dynamic):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> None:
        self._set(
            input_size,
            hidden_size,
            num_layers=num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
        )


class _Cell(_Dynamic):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        self._set(input_size, hidden_size, **self.form)

    form: ClassVar[dict[str, Any]] = {}


class _Int8(_Dynamic):
    gatewise_unsupported: ClassVar[dict[str, str]] = _INT8
    configuration = default_dynamic_qconfig


class _Float16(_Dynamic):
    configuration = float16_dynamic_qconfig


class Int8LSTM(_Int8, _Layer):
    """LSTM with weights of int8."""

    plain = nn.LSTM


class Int8GRU(_Int8, _Layer):
    """GRU with weights of int8."""

    plain = nn.GRU


class Int8LSTMCell(_Int8, _Cell):
    """LSTMCell with weights of int8."""

    plain = nn.LSTMCell


class Int8GRUCell(_Int8, _Cell):
    """GRUCell with weights of int8."""

    plain = nn.GRUCell


class Int8RNNCell(_Int8, _Cell):
    """RNNCell of tanh with weights of int8."""

    plain = nn.RNNCell


class Int8ReluRNNCell(Int8RNNCell):
    """RNNCell of relu with weights of int8."""

    form: ClassVar[dict[str, Any]] = {"nonlinearity": "relu"}


class Float16LSTM(_Float16, _Layer):
    """LSTM with weights of float16."""

    plain = nn.LSTM


class Float16GRU(_Float16, _Layer):
    """GRU with weights of float16."""

    plain = nn.GRU


class Float16LSTMCell(_Float16, _Cell):
    """LSTMCell with weights of float16."""

    plain = nn.LSTMCell


class Float16GRUCell(_Float16, _Cell):
    """GRUCell with weights of float16."""

    plain = nn.GRUCell


class Float16RNNCell(_Float16, _Cell):
    """RNNCell of tanh with weights of float16."""

    plain = nn.RNNCell


class Float16ReluRNNCell(Float16RNNCell):
    """RNNCell of relu with weights of float16."""

    form: ClassVar[dict[str, Any]] = {"nonlinearity": "relu"}
