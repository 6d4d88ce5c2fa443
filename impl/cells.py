"""One step: `RNNCell`, `LSTMCell` and `GRUCell`, drop-in for torch.nn's, and the step functions.

The equations are those of the torch.nn documentation.  Differences from torch.nn 2.13: sizes must
be positive; `nonlinearity` is checked at construction; a state of the wrong rank or a weight with
too many rows is an error, while torch broadcasts it or ends the process.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .arguments import check_dtype, check_nonlinearity, check_size


def _kept(new: Tensor, old: Tensor) -> Tensor:
    """Return `new`; raise `RuntimeError` if broadcasting over a wrong weight changed its shape."""
    if new.shape != old.shape:
        raise RuntimeError(
            f"a step took a state of shape {tuple(old.shape)} to {tuple(new.shape)}: "
            "a weight has the wrong number of rows"
        )
    return new


def rnn_step(
    x: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None, nonlinearity: str = "tanh"
) -> Tensor:
    """h' = tanh(x + W_hh h + b_hh), or relu; x (B, H) is the input's share W_ih x_t + b_ih."""
    a = x + linear(h, w_hh, b_hh)
    return _kept(torch.tanh(a) if nonlinearity == "tanh" else torch.relu(a), h)


def lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w_hh: Tensor,
    b_hh: Tensor | None,
    w_hr: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """c' = f∘c + i∘g, h' = o∘tanh(c'), projected by W_hr if given; x (B, 4H) as in `rnn_step`.

    Gates in the order i f g o (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000;
    projection: Sak et al. 2014).
    """
    i, f, g, o = (x + linear(h, w_hh, b_hh)).chunk(4, dim=-1)
    c = _kept(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g), c)
    h = torch.sigmoid(o) * torch.tanh(c)
    return (h if w_hr is None else linear(h, w_hr)), c


def gru_step(x: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None) -> Tensor:
    """h' = (1−z)∘n + z∘h with n = tanh(x_n + r∘(W_hn h + b_hn)); x (B, 3H) as in `rnn_step`.

    Gates in the order r z n.  The reset gate comes after the recurrent product, as in torch and
    unlike Cho et al. 2014.
    """
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    h_r, h_z, h_n = linear(h, w_hh, b_hh).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * h_n)
    return _kept((1 - z) * n + z * h, h)


class _Cell(nn.Module):
    """Weights and checks of a cell with `gates` blocks of rows."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        gates: int,
        input_size: int,
        hidden_size: int,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        check_size("input_size", input_size)
        check_size("hidden_size", hidden_size)
        if not isinstance(bias, bool):
            raise TypeError(f"bias should be of type bool, got: {type(bias).__name__}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for name, shape in shapes.items():
            absent = name.startswith("bias") and not bias
            empty = None if absent else torch.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name, None if empty is None else nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight from U(−1/√H, 1/√H)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and the options that differ from their defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += ", bias=False"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _checked(self, x: Tensor, states: dict[str, Tensor]) -> None:
        """Raise `ValueError` or `RuntimeError` for a wrong rank, size or dtype of x or a state."""
        name = type(self).__name__
        if x.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {x.dim()}D instead")
        if x.size(-1) != self.input_size:
            raise RuntimeError(
                f"{name}: input has inconsistent input_size: got {x.size(-1)}, "
                f"expected {self.input_size}"
            )
        check_dtype(f"{name}: input", x, self.weight_ih)
        for label, state in states.items():
            if state.dim() != x.dim():
                raise ValueError(
                    f"{name}: Expected {label} to be {x.dim()}D like the input, "
                    f"got {state.dim()}D instead"
                )
            expected = (*x.shape[:-1], self.hidden_size)
            if tuple(state.shape) != expected:
                raise RuntimeError(
                    f"{name}: {label} has shape {tuple(state.shape)}, expected {expected}"
                )
            check_dtype(f"{name}: {label}", state, self.weight_ih)

    def _zeros(self, x: Tensor) -> Tensor:
        return x.new_zeros((*x.shape[:-1], self.hidden_size))

    def _one(self, x: Tensor, hx: Tensor | None) -> Tensor:
        """Check the input and hx; return the hidden state, or zeros if hx is None."""
        if hx is not None and not isinstance(hx, Tensor):
            raise TypeError(
                f"{type(self).__name__}: hx should be a Tensor, got: {type(hx).__name__}"
            )
        self._checked(x, {} if hx is None else {"hidden": hx})
        return self._zeros(x) if hx is None else hx


class RNNCell(_Cell):
    """An Elman cell; see `torch.nn.RNNCell` for arguments, shapes and weights.

    Inputs x (B, I) or (I), hx (B, H) or (H), zeros by default; returns h' of hx's shape.
    Raises `ValueError`/`TypeError` for a bad option, `RuntimeError`/`ValueError` for an input or
    a state of the wrong size, rank or dtype.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(1, input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """One step."""
        h = self._one(input, hx)
        x = linear(input, self.weight_ih, self.bias_ih)
        return rnn_step(x, h, self.weight_hh, self.bias_hh, self.nonlinearity)


class LSTMCell(_Cell):
    """An LSTM cell; see `torch.nn.LSTMCell` for arguments, shapes and weights.

    Inputs x (B, I) or (I), hx = (h, c) of (B, H) or (H), zeros by default; returns (h', c').
    Raises as `RNNCell` does.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(4, input_size, hidden_size, bias, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step."""
        if hx is None:
            self._checked(input, {})
            h = c = self._zeros(input)
        else:
            if not isinstance(hx, tuple | list) or len(hx) != 2:
                raise TypeError(f"LSTMCell: hx should be a tuple (h, c), got: {type(hx).__name__}")
            h, c = hx
            self._checked(input, {"hx[0]": h, "hx[1]": c})
        x = linear(input, self.weight_ih, self.bias_ih)
        return lstm_step(x, h, c, self.weight_hh, self.bias_hh)


class GRUCell(_Cell):
    """A GRU cell; see `torch.nn.GRUCell` for arguments, shapes and weights.

    Inputs x (B, I) or (I), hx (B, H) or (H), zeros by default; returns h' of hx's shape.
    Raises as `RNNCell` does.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(3, input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """One step."""
        h = self._one(input, hx)
        x = linear(input, self.weight_ih, self.bias_ih)
        return gru_step(x, h, self.weight_hh, self.bias_hh)
