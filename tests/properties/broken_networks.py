"""Wrong networks, each with one fault, for the families networks, gates and claims."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softmax

from gatewise.impl import concat_cells as cells
from gatewise.impl.tagger import LSTMTagger


def _steps(cell: Any, input: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    """[x, h] and h."""
    (h,) = cell._states(input, hidden=hidden)
    return torch.cat((input, h), dim=1), h


def _gru(cell: Any, input: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """z, n and h of a right GRU."""
    u, h = _steps(cell, input, hidden)
    r, z = (torch.sigmoid(cell._layer(name, u)) for name in cell.gates[:2])
    return z, torch.tanh(cell._layer(cell.gates[2], torch.cat((input, r * h), dim=1))), h


def _gates(cell: Any, input: Tensor, hidden: Any, cell_state: Any) -> tuple[list[Tensor], Tensor]:
    """Pre-activations of i f g o, and c."""
    h, c = cell._states(input, hidden=hidden, cell=cell_state)
    u = torch.cat((input, h), dim=1)
    return [cell._layer(name, u) for name in cell.gates], c


class _NotInverted:
    """h' = z∘h + (1−z)∘n, as torch has it."""

    def forward(self: Any, input: Tensor, hidden: Any = None) -> Any:
        z, n, h = _gru(self, input, hidden)
        h = z * h + (1 - z) * n
        return self._log_probabilities(h), h


class GRUNotInverted(_NotInverted, cells.GRUCell): ...


class IndependentGRUNotInverted(_NotInverted, cells.IndependentGRUCell): ...


class _ResetAfter:
    """The reset gate after the matrix product, as torch has it."""

    def forward(self: Any, input: Tensor, hidden: Any = None) -> Any:
        u, h = _steps(self, input, hidden)
        r, z = (torch.sigmoid(self._layer(name, u)) for name in self.gates[:2])
        layer = getattr(self, self.gates[2])
        x_part, h_part = layer.weight.split([self.input_size, self.hidden_size], dim=1)
        n = torch.tanh(input @ x_part.T + layer.bias + r * (h @ h_part.T))
        h = (1 - z) * h + z * n
        return self._log_probabilities(h), h


class GRUResetAfter(_ResetAfter, cells.GRUCell): ...


class IndependentGRUResetAfter(_ResetAfter, cells.IndependentGRUCell): ...


class GRUGatesByTheirLabels(cells.IndependentGRUCell):
    """z resets and r updates, as the comments of a tutorial say."""

    gates = ("gate_z", "gate_r", "gate_n")


class GRUWithoutReset(cells.IndependentGRUCell):
    """The candidate reads h as it is."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        u, h = _steps(self, input, hidden)
        z, n = torch.sigmoid(self._layer("gate_z", u)), torch.tanh(self._layer("gate_n", u))
        h = (1 - z) * h + z * n
        return self._log_probabilities(h), h


class GRUOfSoftsign(cells.GRUCell):
    """x/(1+|x|) for tanh: it reaches 1 more slowly."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        u, h = _steps(self, input, hidden)
        r = z = torch.sigmoid(self._layer("gate", u))
        n = nn.functional.softsign(self._layer("gate", torch.cat((input, r * h), dim=1)))
        h = (1 - z) * h + z * n
        return self._log_probabilities(h), h


class LSTMWithAnotherOutputGate(cells.LSTMCell):
    """Three gates from the one layer, of which the output gate is another function."""

    def forward(self, input: Tensor, hidden: Any = None, cell: Any = None) -> Any:
        (a, *_), c = _gates(self, input, hidden, cell)
        s = torch.sigmoid(a)
        c = s * c + s * torch.tanh(a)
        h = torch.sigmoid(2 * a) * torch.tanh(c)
        return self._log_probabilities(h), h, c


class _Coupled:
    """i = 1 − f, as in a coupled LSTM."""

    def forward(self: Any, input: Tensor, hidden: Any = None, cell: Any = None) -> Any:
        (_, f, g, o), c = _gates(self, input, hidden, cell)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return self._log_probabilities(h), h, c


class LSTMCoupled(_Coupled, cells.LSTMCell): ...


class IndependentLSTMCoupled(_Coupled, cells.IndependentLSTMCell): ...


class LSTMWithoutForgetGate(cells.IndependentLSTMCell):
    """c' = c + i∘g, as in 1997."""

    def forward(self, input: Tensor, hidden: Any = None, cell: Any = None) -> Any:
        (i, _, g, o), c = _gates(self, input, hidden, cell)
        c = c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return self._log_probabilities(h), h, c


class LSTMWithSwappedGates(cells.IndependentLSTMCell):
    """The input gate's layer forgets and the forget gate's lets in."""

    gates = ("gate_f", "gate_i", "gate_g", "gate_o")


class RNNOfHiddenFirst(cells.RNN):
    """[h, x] for [x, h]: a checkpoint loads, and means another map."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        _, h = _steps(self, input, hidden)
        u = torch.cat((h, input), dim=1)
        return log_softmax(self.i2o(u), dim=1), self.i2h(u)


class RNNWithTanh(cells.RNN):
    """The nonlinearity that the tutorial leaves out."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        y, h = super().forward(input, hidden)
        return y, torch.tanh(h)


class RNNWithoutTanh(cells.IndependentRNN):
    """The nonlinearity is missing."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        u, _ = _steps(self, input, hidden)
        h = self.gate_h(u)
        return self._log_probabilities(h), h


class RNNOverTheBatch(cells.RNN):
    """log_softmax over the batch."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        u, _ = _steps(self, input, hidden)
        return log_softmax(self.i2o(u), dim=0), self.i2h(u)


class RNNOfProbabilities(cells.RNN):
    """Probabilities for log-probabilities."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        u, _ = _steps(self, input, hidden)
        return softmax(self.i2o(u), dim=1), self.i2h(u)


class RNNOfTheNewState(cells.RNN):
    """The output from the new h."""

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        _, h = super().forward(input, hidden)
        return log_softmax(self.i2o(torch.cat((input, h), dim=1)), dim=1), h


class LSTMOfThreeLayers(cells.IndependentLSTMCell):
    """The output gate's layer is the input gate's."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.gate_o = self.gate_i


class GRUOfTwoLayers(cells.IndependentGRUCell):
    """The update gate's layer is the reset gate's."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.gate_z = self.gate_r


class LSTMWithoutABias(cells.LSTMCell):
    """The one layer has no bias."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.gate = nn.Linear(self.input_size + self.hidden_size, self.hidden_size, bias=False)


class TaggerThatKeepsItsState(LSTMTagger):
    """Its reset does nothing."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes, carry_state=True)

    def reset(self) -> None:
        self.detach()


class TaggerOfNeighbours(LSTMTagger):
    """Each word's tag sees the word after it."""

    def forward(self, sentence: Tensor) -> Tensor:
        y = super().forward(sentence)
        return 0.99 * y + 0.01 * y.roll(-1, 0)


class LSTMOfOneCellState(nn.LSTM):
    """Returns the cell state of the last layer and direction alone."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c[-1:])


class LSTMOfNarrowCellState(nn.LSTM):
    """A projection narrows the cell state as well."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c[..., : h.shape[-1]])


class LSTMOfOneBias(nn.LSTM):
    """One bias where torch.nn has two."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in [n for n, _ in self.named_parameters() if n.startswith("bias_hh")]:
            del self._parameters[name]


class GRUOfTwoStates(nn.GRU):
    """Returns a cell state that a GRU has not."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, h = super().forward(input, hx)
        return output, (h, h)
