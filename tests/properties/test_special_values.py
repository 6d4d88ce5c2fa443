"""Faults with NaN, infinities, extremes and zeros, each falsified by the claim that it breaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gatewise.properties.checking.comparison import Check, Mismatch

from .planted import assert_falsified


def power_of_two(x: Tensor) -> Tensor:
    """2^e next to each |x|: dividing by it and multiplying again changes no ordinary number."""
    x = x.detach()
    exponent = torch.where(x == 0, torch.zeros_like(x), x.abs().log2().floor())
    return torch.exp2(exponent.clamp(-60, 60))


class OneScaleForTheBatch(nn.LSTM):
    """The input is divided by the power of two at its largest element, and multiplied again."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        own = isinstance(input, Tensor) and input.dtype == next(self.parameters()).dtype
        if own and input.numel():
            scale = power_of_two(input.abs().max())
            input = input / scale * scale
        return super().forward(input, hx)


class OneScaleForTheSequence(nn.LSTM):
    """The same for each row over all its steps, so that an earlier step reads a later one."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor) and input.dim() == 3:
            scale = power_of_two(input.abs().amax((1 if self.batch_first else 0, 2), keepdim=True))
            input = input / scale * scale
        return super().forward(input, hx)


class HidesNaN(nn.LSTM):
    """NaN in the input counts as 0."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor):
            input = torch.where(torch.isnan(input), torch.zeros_like(input), input)
        return super().forward(input, hx)


class HidesNaNInWeights(nn.GRUCell):
    """NaN in a weight counts as 0."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        weights = {
            name: torch.where(torch.isnan(p), torch.zeros_like(p), p)
            for name, p in self.named_parameters()
        }
        plain = nn.GRUCell(self.input_size, self.hidden_size, self.bias, device="meta")
        args = (input,) if hx is None else (input, hx)
        return torch.func.functional_call(plain, weights, args)


class NaNWeightsSpread(nn.GRUCell):
    """Weights are divided by one power of two for each matrix, and multiplied again."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        weights = {
            name: p / power_of_two(p.abs().max()) * power_of_two(p.abs().max())
            for name, p in self.named_parameters()
        }
        plain = nn.GRUCell(self.input_size, self.hidden_size, self.bias, device="meta")
        args = (input,) if hx is None else (input, hx)
        return torch.func.functional_call(plain, weights, args)


class OneNormForGradients(nn.LSTM):
    """The gradient of the input is multiplied by the ratio of its largest element to itself."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor) and input.requires_grad:
            input = input.clone()
            input.register_hook(lambda g: g * (g.abs().max() + 1) / (g.abs().max() + 1))
        return super().forward(input, hx)


class ElmanCell(nn.RNNCell):
    """An Elman cell by hand, tanh alone."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity == "relu":
            return super().forward(input, hx)
        h = input.new_zeros((*input.shape[:-1], self.hidden_size)) if hx is None else hx
        x = linear(input, self.weight_ih, self.bias_ih)
        return self.activation(x + linear(h, self.weight_hh, self.bias_hh))

    def activation(self, a: Tensor) -> Tensor:
        return torch.tanh(a)


class TanhOfTwoExponentials(ElmanCell):
    """tanh as (eᵃ − e⁻ᵃ)/(eᵃ + e⁻ᵃ), which is ∞/∞ for large a."""

    def activation(self, a: Tensor) -> Tensor:
        e, minus = a.double().exp(), (-a).double().exp()
        return ((e - minus) / (e + minus)).to(a)


class DividesByTheLargest(ElmanCell):
    """Multiplies by the reciprocal of a power of two, which is ∞ where that is subnormal."""

    def activation(self, a: Tensor) -> Tensor:
        scale = torch.where(a == 0, torch.ones_like(a), torch.exp2(a.abs().log2().floor()))
        return torch.tanh(a * (1 / scale) * scale)


class NegativeZeroIsMissing(nn.LSTM):
    """−0 stands for a missing value, and is replaced by 1."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor):
            missing = torch.signbit(input) & (input == 0)
            input = torch.where(missing, torch.ones_like(input), input)
        return super().forward(input, hx)


@pytest.mark.parametrize(
    ("fault", "kind", "prop", "message"),
    [
        (OneScaleForTheBatch, "LSTM", "nonfinite_value_stays_in_its_row", "got nan, expected"),
        (OneScaleForTheSequence, "LSTM", "nonfinite_value_stays_in_its_row", "got nan, expected"),
        (HidesNaN, "LSTM", "nonfinite_value_stays_in_its_row", r"got \S+, expected nan"),
        (
            OneNormForGradients,
            "LSTM",
            "nan_leaves_other_rows_gradients",
            r"gradient of input in other rows\[.*got nan, expected",
        ),
        (TanhOfTwoExponentials, "RNNCell", "infinite_input_saturates", "got nan, expected -?1"),
        (TanhOfTwoExponentials, "RNNCell", "extreme_values_saturate", "got nan, expected -?1"),
        (
            DividesByTheLargest,
            "RNNCell",
            "subnormals_are_kept_or_flushed",
            r"h\[.*got -?1, expected",
        ),
        (
            NegativeZeroIsMissing,
            "LSTM",
            "sign_of_zero_does_not_matter",
            r"with −0 for 0\[.*got \S+, expected",
        ),
        (HidesNaNInWeights, "GRUCell", "nan_weight_reaches_its_unit", r"got \S+, expected nan"),
        (NaNWeightsSpread, "GRUCell", "nan_weight_reaches_its_unit", "got nan, expected"),
        (
            TanhOfTwoExponentials,
            "RNNCell",
            "infinite_weight_saturates_its_gate",
            "got nan, expected -?1",
        ),
    ],
)
def test_a_fault_with_special_values_is_falsified(
    fault: Any, kind: str, prop: str, message: str
) -> None:
    assert_falsified(fault, prop, message, kind)


def test_nan_is_required_where_it_is_expected() -> None:
    check, got = Check(), torch.tensor([float("nan"), 1.0, 2.0])
    check.not_a_number("h", got, torch.tensor([True, False, False]).numpy())
    assert (check.comparisons, check.elements) == (1, 1)
    check.not_a_number("h", got, torch.zeros(3, dtype=torch.bool).numpy())
    assert check.comparisons == 1
    with pytest.raises(Mismatch, match=r"h\[1\]: got 1, expected nan; 2 of 3 NaN are lost"):
        check.not_a_number("h", got, torch.ones(3, dtype=torch.bool).numpy())
    with pytest.raises(Mismatch, match=r"h has shape \(3,\), expected \(2,\)"):
        check.not_a_number("h", got, torch.ones(2, dtype=torch.bool).numpy())
