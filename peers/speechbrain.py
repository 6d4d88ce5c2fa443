"""SpeechBrain's RNN, LSTM, GRU and LiGRU of `speechbrain.nnet.RNN`; the input is (B, T, I).

`--subject gatewise.peers.speechbrain:LSTM`, and `--subject gatewise.peers.speechbrain:LiGRU --like
SbLiGRU`; needs the package speechbrain.  The first three hold a layer of torch.nn.  They take
lengths relative to the longest row.

LiGRU has its own equations.  It is checked here with a layer norm: with batch norm, its default, a
row's result depends on the other rows, as no step says.  `PlainLiGRU` has no norm, as LiGRU's
documentation promises for every other word.  `BidirectionalLiGRU` is for properties of rows and
final states alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from speechbrain.nnet import RNN as layers
from torch import nn

import gatewise as gw

from .held import HELD, Held

_GAPS = {
    "unbatched": "it takes three dimensions alone",
    "a_row_of_length_zero_keeps_its_state": "it packs, and torch packs no row of length zero",
}


def _factory(name: str, **fixed: str) -> Callable[..., nn.Module]:
    """A factory with torch.nn's order of arguments."""

    def own(
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> nn.Module:
        made: nn.Module = getattr(layers, name)(
            hidden_size,
            input_size=input_size,
            num_layers=num_layers,
            bias=bias,
            dropout=dropout,
            bidirectional=bidirectional,
            **fixed,
        )
        return made

    own.__name__ = name
    return own


def _call(own: Any, x: Any, state: Any, lengths: Any = None) -> Any:
    """Call a layer; lengths are relative to the longest row."""
    return own(x, state[0] if state is not None and len(state) == 1 else state, lengths)


def _adapter(name: str, **fixed: str) -> gw.Adapter:
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return gw.Adapter(
        _factory(name, **fixed),
        like=name,
        weights={f"rnn.{part}_l{{layer}}{{direction}}": part for part in parts},
        layout="batch-major",
        lengths="relative",
        call=_call,
        unsupported=_GAPS,
        **fixed,  # type: ignore[arg-type]
    )


LSTM = _adapter("LSTM")
GRU = _adapter("GRU")
#: Its default is relu, and torch.nn's is tanh.
RNN = _adapter("RNN", nonlinearity="tanh")
ReluRNN = _adapter("RNN", nonlinearity="relu")


@gw.kind(
    weights={"weight_ih": "2H I", "weight_hh": "2H H", "scale": "2H", "bias": "2H"}, gates="n z"
)
def SbLiGRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """Layer norm of W x over both gates, whose shift is the bias; h' = z∘h + (1−z)∘relu(n)."""
    a = gw.layer_norm(x @ w.weight_ih.T, w.scale, w.bias, 1e-5) + h @ w.weight_hh.T
    n, z = np.split(a, 2, axis=-1)
    h = gw.blend(gw.sigmoid(z), h, np.maximum(n, 0.0))
    return h, (h,)


@gw.kind(weights={"weight_ih": "2H I", "weight_hh": "2H H"}, gates="n z")
def SbPlainLiGRU(np: Any, x: Any, h: Any, w: Any) -> Any:
    """The same without a norm, and so without a bias."""
    n, z = np.split(x @ w.weight_ih.T + h @ w.weight_hh.T, 2, axis=-1)
    h = gw.blend(gw.sigmoid(z), h, np.maximum(n, 0.0))
    return h, (h,)


_LIGRU_GAPS = {
    **HELD,
    "packed": "it takes a padded tensor, and computes its padding",
    "unbatched": _GAPS["unbatched"],
    "bidirectional": "both directions have the same weights",
    "dropout": "it drops units of the candidate within a layer, and none between layers",
}


class LiGRU(Held):
    """LiGRU with a layer norm; the input is (T, B, I) here, and (B, T, I) for SpeechBrain."""

    normalization = "layernorm"
    bidirectional = False
    gatewise_unsupported: ClassVar[dict[str, str]] = _LIGRU_GAPS

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True
    ) -> None:
        own = layers.LiGRU(
            hidden_size,
            (1, 1, input_size),
            normalization=self.normalization,
            num_layers=num_layers,
            bias=bias,
            bidirectional=self.bidirectional,
        )
        places = [(f"_l{k}", f"rnn.{k}") for k in range(num_layers)]
        weights = {
            name + end: [f"{layer}.{part}"]
            for end, layer in places
            for name, part in self.parts(bias).items()
        }
        norms = [f"{layer}.norm.{n}" for _, layer in places for n in ("weight", "bias")]
        super().__init__(own, weights, ignored=norms)

    @staticmethod
    def parts(bias: bool) -> dict[str, str]:
        """Names of the kind → own names in one layer."""
        named = {"weight_ih": "w.weight", "weight_hh": "u.weight", "scale": "norm.weight"}
        return {**named, "bias": "norm.bias"} if bias else named

    def forward(self, x: Any, hx: Any = None) -> Any:
        """x (T, B, I), hx (L, B, H) → output (T, B, H) and the last states (L, B, H)."""
        output, states = self.run(x.transpose(0, 1), hx=hx)
        return output.transpose(0, 1), states


class BidirectionalLiGRU(LiGRU):
    """LiGRU in both directions, which have the same weights.

    The weights that the kind has for the reverse direction are not used.  So no property that
    knows them says anything; `batch_permutation` and `final_state_is_a_slice_of_the_output` do.
    """

    bidirectional = True
    gatewise_unsupported: ClassVar[dict[str, str]] = {
        **{name: reason for name, reason in _LIGRU_GAPS.items() if name != "bidirectional"},
        "state": "it takes those of one batch alone; see StatefulLiGRU",
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        bidirectional: bool = False,
    ) -> None:
        self.bidirectional = bidirectional
        super().__init__(input_size, hidden_size, num_layers, bias)
        if bidirectional:
            for name, parameter in list(self.named_parameters()):
                unused = nn.Parameter(torch.zeros_like(parameter))
                self.register_parameter(f"{name}_reverse", unused)


class StatefulLiGRU(BidirectionalLiGRU):
    """The same with states, which SpeechBrain takes for the batch of its constructor alone."""

    gatewise_unsupported: ClassVar[dict[str, str]] = {
        name: reason
        for name, reason in BidirectionalLiGRU.gatewise_unsupported.items()
        if name != "state"
    }


class PlainLiGRU(LiGRU):
    """LiGRU with a `normalization` that is no name of one: documented as none."""

    normalization = "none"
    gatewise_unsupported: ClassVar[dict[str, str]] = {**_LIGRU_GAPS, "bias": "the norm has it"}

    @staticmethod
    def parts(bias: bool) -> dict[str, str]:
        """The two matrices; the norm that should not be there keeps its initial values."""
        return {"weight_ih": "w.weight", "weight_hh": "u.weight"}
