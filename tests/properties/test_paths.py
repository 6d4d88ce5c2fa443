"""The family paths sees a fault that lies along one path alone, and names the path."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.paths.errors import _paths
from gatewise.properties.families.paths.results import threads, without_onednn
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Subject


def record_of(name: str, factory: Callable[..., nn.Module], precision: str = "float32") -> Record:
    # A partial, since a subclass of torch.nn.LSTM has its known issues.
    subject = Subject(f"wrong.{name}", "LSTM", partial(factory))
    plan = Plan(CATALOGUE[name], subject, precision)
    return run(plan, profile="standard", seed=1)


class _Nudged(nn.LSTM):
    """Its cell state is off by a hundredth where `here` says so."""

    def here(self, input: Any, hx: Any) -> bool:
        raise NotImplementedError

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c + 0.01 * (1 + c.abs()) if self.here(input, hx) else c)


class WithoutOneDNN(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return not torch._C._get_mkldnn_enabled()


class WithGradients(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return torch.is_grad_enabled()


class WithGradientsOfInput(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return isinstance(input, Tensor) and input.requires_grad


class Frozen(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return torch.is_grad_enabled() and not self.weight_ih_l0.requires_grad


class WithoutGradients(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return not torch.is_grad_enabled()


class Inferring(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return torch.is_inference_mode_enabled()


class InferenceTensors(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return isinstance(input, Tensor) and input.is_inference()


class SeveralThreads(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return torch.get_num_threads() > 1


class Float32Dense(_Nudged):
    def here(self, input: Any, hx: Any) -> bool:
        return isinstance(input, Tensor) and input.dtype == torch.float32


class AlwaysFloat32(nn.LSTM):
    """Computes in float64 and returns float32."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h.float(), c.float())


class RefusesAnEmptyBatch(nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, Tensor) and input.numel() == 0:
            raise RuntimeError("cannot reshape a tensor of no elements")
        return super().forward(input, hx)


class DropsAnEmptyBatch(nn.LSTM):
    """Returns the final states of an empty batch without their axis of layers."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, ((h, c) if h.numel() else (h[0], c[0]))


class AveragesOverTheBatch(nn.LSTM):
    """Divides by the number of rows on the way back."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        if isinstance(input, Tensor) and input.dim() == 3:
            rows = input.shape[0 if self.batch_first else 1]
            c = c + 0 * self.weight_hh_l0.sum() / rows if rows else c + self.weight_hh_l0.sum() / 0
            h = h + (self.weight_hh_l0 * (rows / rows if rows else torch.nan)).sum() * 0
        return output, (h, c)


class ProjectsLast(nn.LSTM):
    """Projects what it returns, and not what it feeds back."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, ((h.flip(-1), c) if self.proj_size else (h, c))


class AcceptsWhenPacked(nn.LSTM):
    """Checks its arguments where the input is dense, and makes them fit where it is packed."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            missing = self.input_size - input.data.shape[-1]
            data = nn.functional.pad(input.data, (0, missing)).to(self.weight_ih_l0.dtype)
            input = PackedSequence(data, *input[1:])
            batch = int(input.batch_sizes[0])
            rows = self.num_layers * (2 if self.bidirectional else 1)
            h, c = (s.to(data.dtype)[:rows, :batch] for s in hx)
            hx = (h[..., : self.proj_size or self.hidden_size], c[..., : self.hidden_size])
        return super().forward(input, hx)


class RaisesWithGradients(nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("no backward")
        return super().forward(input, hx)


class InferenceAlone(nn.LSTM):
    """States in the call that it offers no gradients."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError("no backward")
        return super().forward(input, hx)


class AcceptsAnyWeight(nn.LSTM):
    """Cuts a weight that has too many rows or columns to size."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        plain = nn.LSTM(
            self.input_size,
            self.hidden_size,
            self.num_layers,
            batch_first=self.batch_first,
            bidirectional=self.bidirectional,
            proj_size=self.proj_size,
            device="meta",
        )
        cut = {
            name: p[tuple(slice(n) for n in plain.get_parameter(name).shape)]
            for name, p in self.named_parameters()
        }
        return torch.func.functional_call(plain, cut, (input, hx))


FAULTS = [
    ("onednn_off_gives_the_same", WithoutOneDNN, r"c_n with oneDNN off\["),
    ("grad_mode_gives_the_same", WithGradients, r"c_n with gradients of weights\["),
    ("grad_mode_gives_the_same", WithGradientsOfInput, r"c_n with gradients of everything\["),
    ("grad_mode_gives_the_same", Frozen, r"c_n with gradients of nothing\["),
    ("grad_mode_gives_the_same", WithoutGradients, r"c_n with gradients of \w+\["),
    ("inference_mode_gives_the_same", Inferring, r"c_n in inference mode, tensors \w+ \w+ \w+\[|"),
    ("inference_mode_gives_the_same", InferenceTensors, r"inference mode, tensors of its own\["),
    ("several_threads_give_the_same", SeveralThreads, r"c_n with 3 threads\["),
    ("float64_gives_the_same", Float32Dense, r"c_n in float64\["),
    ("float64_gives_the_same", AlwaysFloat32, r"dtype of h_n in float64 is torch.float32, expec"),
    ("empty_batch_gives_empty_results", RefusesAnEmptyBatch, r"a tensor of no elements"),
    ("empty_batch_gives_empty_results", DropsAnEmptyBatch, r"shape of h_n for an empty batch"),
    ("empty_batch_has_zero_gradients", AveragesOverTheBatch, r"gradient of weight_hh_l0 for an em"),
    ("projection_picks_units", ProjectsLast, r"h_n with a projection\["),
    ("paths_agree_on_raising", AcceptsWhenPacked, r"packed with equal lengths it returns"),
    ("paths_agree_on_raising", RaisesWithGradients, r"in grad mode it raises RuntimeError"),
    ("paths_agree_on_raising_for_c", AcceptsWhenPacked, r"c: \w+ wrong, the plain call raises \w+"),
    ("paths_agree_on_raising_for_layers", AcceptsWhenPacked, r"h: layers wrong, .* it returns"),
    ("wrong_weights_are_refused", AcceptsAnyWeight, r"\w+_l0 of shape \(.*\), plain: .* returns"),
]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(("name", "factory", "line"), FAULTS)
def test_a_fault_along_a_path_is_falsified_and_named(
    name: str, factory: type[nn.LSTM], line: str, precision: str
) -> None:
    if precision not in CATALOGUE[name].precisions:
        assert "float32" in CATALOGUE[name].precisions
        precision = "float32"
    record = record_of(name, factory, precision)
    assert record.status == FALSIFIED
    assert re.search(line, record.message), record.message


def test_the_doors_are_closed_again() -> None:
    before = torch.get_num_threads()
    with threads(before + 2):
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    assert torch._C._get_mkldnn_enabled()
    with without_onednn():
        assert not torch._C._get_mkldnn_enabled()
    assert torch._C._get_mkldnn_enabled()


def test_a_torch_without_onednn_leaves_the_property_unsupported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(torch.backends.mkldnn), "is_available", lambda self: False)
    record = record_of("onednn_off_gives_the_same", nn.LSTM)
    assert record.status == UNSUPPORTED
    assert "needs a torch with oneDNN" in record.message
    # The other paths are still compared.
    assert record_of("paths_agree_on_raising", RaisesWithGradients).status == FALSIFIED


def test_a_path_that_a_subject_states_it_does_not_offer_is_unsupported() -> None:
    record = record_of("grad_mode_gives_the_same", InferenceAlone)
    assert record.status == UNSUPPORTED
    assert "no backward" in record.message


def test_every_path_is_walked() -> None:
    seen: list[tuple[bool, bool, bool, bool, str, int]] = []

    class Noting(nn.LSTM):
        def forward(self, input: Any, hx: Any = None) -> Any:
            x = input.data if isinstance(input, PackedSequence) else input
            seen.append(
                (
                    torch.is_grad_enabled(),
                    torch.is_inference_mode_enabled(),
                    torch._C._get_mkldnn_enabled(),
                    isinstance(input, PackedSequence),
                    str(x.dtype).removeprefix("torch."),
                    hx[0].dim(),
                )
            )
            return super().forward(input, hx)

    subject = Subject("noting", "LSTM", Noting)
    case = Case("LSTM", input_size=2, batch=2, time=2)
    names = []
    for name, call in _paths(subject, case, subject.build):
        names.append(name)
        call()
    plain = (False, False, True, False, "float32", 3)
    assert dict(zip(names, seen, strict=True)) == {
        "plain": plain,
        "in grad mode": (True, *plain[1:]),
        "in inference mode": (False, True, *plain[2:]),
        "with 3 threads": plain,
        "with oneDNN off": (False, False, False, *plain[3:]),
        "in float64": (*plain[:4], "float64", 3),
        "packed with equal lengths": (*plain[:3], True, *plain[4:]),
        "unbatched": (*plain[:5], 2),
    }


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_unbatched_path_is_the_first_row(batch_first: bool) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Noting(nn.LSTM):
        def forward(self, input: Any, hx: Any = None) -> Any:
            seen.append((input, hx[1]))
            return super().forward(input, hx)

    subject = Subject("noting", "LSTM", Noting)
    case = Case("LSTM", hidden_size=3, batch=4, time=5, batch_first=batch_first)
    paths = dict(_paths(subject, case, subject.build))
    paths["plain"]()
    paths["unbatched"]()
    (x, c), (x_row, c_row) = seen
    assert torch.equal(x.select(0 if batch_first else 1, 0), x_row)
    assert torch.equal(c[:, 0], c_row)


def test_a_right_subject_passes_with_the_arguments_all_right() -> None:
    for name in ("paths_agree_on_raising", "paths_agree_on_raising_for_c"):
        plan = Plan(CATALOGUE[name], BUILTIN["gatewise.impl.LSTM"], "float32")
        assert run(plan, profile="standard", seed=3).status == HOLDS
