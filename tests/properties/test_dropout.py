"""Faults of dropout, each falsified by the claim that it breaks; and the exact binomial test."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from gatewise.properties.checking.binomial import ALPHA, TESTS_PER_RUN, accepted, check_rate
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.dropout.masks import seeded_generators
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.profiles import EXAMPLES
from gatewise.properties.running.records import HOLDS
from gatewise.properties.subjects.protocol import Subject

from .planted import assert_falsified, subject_of


def on_data(x: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`change` put to a tensor or to a packed sequence's data."""
    return x._replace(data=change(x.data)) if isinstance(x, PackedSequence) else change(x)


class StackedLSTM(nn.LSTM):
    """An LSTM whose layers are torch.nn's, one by one, with `between` put to what lies between."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        x, directions, ends = input, 2 if self.bidirectional else 1, []
        for index in range(self.num_layers):
            weights = {
                name.replace(f"_l{index}", "_l0"): p
                for name, p in self.named_parameters()
                if f"_l{index}" in name
            }
            plain = nn.LSTM(
                weights["weight_ih_l0"].shape[1],
                self.hidden_size,
                bias=self.bias,
                batch_first=self.batch_first,
                bidirectional=self.bidirectional,
                proj_size=self.proj_size,
                device="meta",
            )
            rows = slice(index * directions, (index + 1) * directions)
            args = (x,) if hx is None else (x, tuple(s[rows] for s in hx))
            x, end = torch.func.functional_call(plain, weights, args)
            ends.append(end)
            if index < self.num_layers - 1:
                x = on_data(x, self.between)
        return x, tuple(torch.cat(part) for part in zip(*ends, strict=True))

    def between(self, y: Tensor) -> Tensor:
        return dropout(y, self.dropout, self.training)

    def kept(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A mask of ones and zeros."""
        return torch.empty_like(y).bernoulli_(1 - self.dropout, generator=generator)

    @property
    def scale(self) -> float:
        return 1 / (1 - self.dropout) if self.dropout < 1 else 0.0


class Right(StackedLSTM):
    """Correct, and none of torch.nn's own dropout."""

    def between(self, y: Tensor) -> Tensor:
        return y * self.kept(y) * self.scale if self.training else y


class DropsInEvaluation(StackedLSTM):
    def between(self, y: Tensor) -> Tensor:
        return dropout(y, self.dropout, True)


class ScalesInEvaluation(StackedLSTM):
    """The form that scales where nothing is dropped, beside one that scales where it is."""

    def between(self, y: Tensor) -> Tensor:
        return super().between(y) if self.training else y * (1 - self.dropout)


class DropsTheLastOutput(StackedLSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        return on_data(output, lambda y: dropout(y, self.dropout, self.training)), state


class DropsTheInput(StackedLSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        x = on_data(input, lambda y: dropout(y, self.dropout, self.training))
        return super().forward(x, hx)


class DropsTheFinalState(StackedLSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (dropout(h, self.dropout, self.training), c)


class DropsTheState(StackedLSTM):
    """Dropout of the recurrent state at the start, as Chainer's early LSTM had it."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if hx is not None:
            hx = tuple(dropout(s, self.dropout, self.training) for s in hx)
        return super().forward(input, hx)


class WithoutScale(StackedLSTM):
    def between(self, y: Tensor) -> Tensor:
        return y * self.kept(y) if self.training else y


class KeepsAtTheRateOfDropping(StackedLSTM):
    """Keeps with probability p, and scales by 1/(1−p)."""

    def between(self, y: Tensor) -> Tensor:
        return y * (1 - self.kept(y)) * self.scale if self.training else y


class LockedMask(StackedLSTM):
    """One mask for all rows of the leading axis, as variational dropout has it."""

    def between(self, y: Tensor) -> Tensor:
        return y * self.kept(y[:1]) * self.scale if self.training else y


class SameMaskEachCall(StackedLSTM):
    def between(self, y: Tensor) -> Tensor:
        fixed = torch.Generator().manual_seed(torch.initial_seed())
        return y * self.kept(y, fixed) * self.scale if self.training else y


class SameMaskEachLayer(StackedLSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        self.mask: Tensor | None = None
        return super().forward(input, hx)

    def between(self, y: Tensor) -> Tensor:
        self.mask = self.kept(y) if self.mask is None else self.mask
        return y * self.mask * self.scale if self.training else y


class IgnoresTheSeed(StackedLSTM):
    """Goes on from the state that the last call left, as a kernel that is seeded once does."""

    calls = 0

    def between(self, y: Tensor) -> Tensor:
        if not self.training:
            return y
        self.calls += 1
        mask = self.kept(y)
        return y * (mask if self.calls % 2 else 1 - mask) * self.scale


class MaskOfItsOwnBackward(StackedLSTM):
    """The backward pass draws its mask anew; without dropout it is torch.nn's in all."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, hx) if self.dropout else nn.LSTM.forward(self, input, hx)

    def between(self, y: Tensor) -> Tensor:
        if not self.training:
            return y
        value, path = (y * self.kept(y) * self.scale for _ in range(2))
        return path + (value - path).detach() if y.requires_grad else value


class NoScaleBackward(StackedLSTM):
    """The backward pass masks and does not scale."""

    def between(self, y: Tensor) -> Tensor:
        if not self.training:
            return y
        path = y * self.kept(y)
        return path + (path * self.scale - path).detach()


class KeepsItsFirstProbability(StackedLSTM):
    """The probability is copied at construction, as into a kernel's descriptor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.copied = self.dropout

    def between(self, y: Tensor) -> Tensor:
        return dropout(y, self.copied, self.training)


class DropsALittleAtZero(StackedLSTM):
    def between(self, y: Tensor) -> Tensor:
        return dropout(y, max(self.dropout, 0.1), self.training)


class DividesByZeroAtOne(StackedLSTM):
    def between(self, y: Tensor) -> Tensor:
        return y * (self.kept(y) / (1 - self.dropout)) if self.training else y


VALUE = r"got \S+, expected"


@pytest.mark.parametrize(
    ("fault", "prop", "message"),
    [
        (DropsInEvaluation, "evaluation_drops_nothing", VALUE),
        (ScalesInEvaluation, "evaluation_drops_nothing", VALUE),
        (DropsALittleAtZero, "zero_probability_drops_nothing", VALUE),
        (DividesByZeroAtOne, "certain_dropout_silences_between_layers", "got nan"),
        (DropsTheLastOutput, "certain_dropout_silences_between_layers", r"output\[.*got 0, exp"),
        (DropsTheInput, "certain_dropout_silences_between_layers", r"h_n\[0.*" + VALUE),
        (DropsTheState, "certain_dropout_silences_between_layers", VALUE),
        (DropsTheFinalState, "certain_dropout_silences_between_layers", r"h_n\[.*got 0, exp"),
        (DropsTheLastOutput, "single_layer_drops_nothing", r"output\[.*" + VALUE),
        (WithoutScale, "survivors_are_scaled", "nearest of kept and scaled by 2, dropped"),
        (DropsTheFinalState, "survivors_are_scaled", r"h_n\[.*" + VALUE),
        (DropsTheState, "equals_reference_given_its_mask", VALUE),
        (DropsTheInput, "equals_reference_given_its_mask", VALUE),
        (MaskOfItsOwnBackward, "backward_uses_the_forward_mask", r"gradient of \S+\[.*"),
        (NoScaleBackward, "backward_uses_the_forward_mask", r"gradient of \S+\[.*got \S+"),
        (KeepsAtTheRateOfDropping, "keep_rate_is_binomial", r"units kept: \d+ of 2048, expected"),
        (LockedMask, "units_are_dropped_independently", "neighbouring (steps|rows) kept or drop"),
        (SameMaskEachCall, "each_call_draws_its_mask", "in both of two calls: 2048 of 2048"),
        (SameMaskEachLayer, "each_layer_draws_its_mask", r"by the first mask .*: (\d+) of \1,"),
        (
            IgnoresTheSeed,
            "seed_reproduces_the_mask",
            r"units whose mask differs is \d+, expected 0",
        ),
        (KeepsItsFirstProbability, "probability_may_be_changed", r"output.*" + VALUE),
    ],
)
def test_a_fault_of_dropout_is_falsified(fault: Any, prop: str, message: str) -> None:
    assert_falsified(fault, prop, message)


def test_a_right_subject_with_masks_of_its_own_holds() -> None:
    for prop in CATALOGUE.values():
        if prop.family == "dropout":
            record = run(Plan(prop, subject_of(Right), "float32"), profile="quick", seed=2)
            assert record.status == HOLDS, record


def test_generators_are_seeded_and_put_back() -> None:
    before, drawn = torch.get_rng_state(), []
    for seed in (3, 3, 4):
        with seeded_generators(Subject("torch.nn.GRU", "GRU", nn.GRU), seed):
            drawn.append(torch.rand(8))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("q", [Fraction(1, 2), Fraction(1, 4), Fraction(5, 8), Fraction(1)])
@pytest.mark.parametrize("n", [0, 1, 40, 60, 300])
def test_the_accepted_counts_are_those_of_the_two_tails(n: int, q: Fraction) -> None:
    weights = [comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)]
    assert sum(weights) == 1
    inside = [
        x
        for x in range(n + 1)
        if sum(weights[: x + 1]) >= ALPHA / 2 and sum(weights[x:]) >= ALPHA / 2
    ]
    assert accepted(n, q) == (inside[0], inside[-1])
    assert sum(w for x, w in enumerate(weights) if x not in inside) <= ALPHA


def test_a_rate_off_by_a_tenth_is_seen_and_a_right_one_is_not() -> None:
    check = Check()
    check_rate(check, "units kept", 1024, 2048, Fraction(1, 2))
    with pytest.raises(Mismatch, match="units kept: 1229 of 2048, expected 843 to 1205"):
        check_rate(check, "units kept", 1229, 2048, Fraction(1, 2))


def test_a_run_makes_no_more_tests_than_share_the_rate() -> None:
    statistical = {
        "keep_rate_is_binomial": 1,
        "units_are_dropped_independently": 3,
        "each_call_draws_its_mask": 1,
        "each_layer_draws_its_mask": 1,
    }
    plans = 100 * 2 * 2  # subjects, precisions, devices
    share = sum(CATALOGUE[name].share * tests for name, tests in statistical.items())
    assert EXAMPLES["thorough"] * share * plans <= TESTS_PER_RUN
