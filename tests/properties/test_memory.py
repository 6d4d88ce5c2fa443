"""The family memory sees faults of layout, ownership and growth, and names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.cases.layouts import place
from gatewise.properties.checking.comparison import Check
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.memory.claims import STRANGE_LAYOUTS, WEIGHT_LAYOUTS
from gatewise.properties.families.memory.peak import peak_bytes
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.put import put
from gatewise.properties.running.records import FALSIFIED, HOLDS, Record
from gatewise.properties.subjects.protocol import Subject
from tests.mutation.correct import CORRECT


def record_of(name: str, factory: Callable[..., nn.Module], precision: str = "float32") -> Record:
    plan = Plan(CATALOGUE[name], Subject(f"wrong.{name}", "LSTM", factory), precision)
    return run(plan, profile="standard", seed=1)


def _data(input: Any) -> Tensor:
    return input.data if isinstance(input, PackedSequence) else input


class StridedInput(nn.LSTM):
    """Wrong for an input that is not contiguous, packed or not."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        if _data(input).is_contiguous():
            return output, state
        return output, tuple(s + 1 for s in state)


class StridedStates(nn.LSTM):
    """Reads the initial hidden state as if it were contiguous."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if hx is not None and not hx[0].is_contiguous():
            hx = (0.9 * hx[0], hx[1])
        return super().forward(input, hx)


class StridedWeights(nn.LSTM):
    """Takes the rows of a weight to lie one after the other."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c if self.weight_hh_l0.is_contiguous() else c + 1)


class OneChunk(nn.LSTM):
    """Takes each weight to start its own storage."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c + self.weight_hh_l0.storage_offset())


class WritesIntoInput(nn.LSTM):
    """Sanitises its input in place."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        with torch.no_grad():
            _data(input).nan_to_num_()
        return super().forward(input, hx)


class WritesIntoStateWhenTraining(nn.LSTM):
    """Keeps the carried state where the caller's was, in grad mode alone."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        if torch.is_grad_enabled() and hx is not None:
            with torch.no_grad():
                hx[1].copy_(c)
        return output, (h, c)


class WritesIntoInputInInference(nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        result = super().forward(input, hx)
        if torch.is_inference_mode_enabled():
            _data(input).data.mul_(0.5)
        return result


class _WritesIntoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, c: Tensor) -> Tensor:
        return c.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.mul_(0.5) * 2


class WritesIntoUpstreamGradient(nn.LSTM):
    """Its backward uses the upstream gradient as scratch."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, _WritesIntoGradient.apply(c))


class FinalIsAView(nn.LSTM):
    """h_n is a view of the output's last step."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        single = self.num_layers == 1 and not self.bidirectional
        if single and isinstance(output, Tensor) and output.dim() == 3 and not self.batch_first:
            h = output[-1:]
        return output, (h, c)


class StateGoesThrough(nn.LSTM):
    """Returns the carried state in the memory of the one that it was given."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        if hx is not None and hx[1].is_contiguous() and not hx[1].requires_grad:
            c = hx[1].detach().copy_(c.detach())
        return output, (h, c)


class RepeatedRows(nn.LSTM):
    """The rows of c_n are one row in memory."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        return output, (h, c[..., :1, :].expand_as(c))


class OneBuffer(nn.LSTM):
    """Returns its cell state in a buffer that the next call of that size reuses."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, (h, c) = super().forward(input, hx)
        old = getattr(self, "kept", None)
        if old is not None and old.shape == c.shape:
            c = old.copy_(c.detach())
        self.kept = c.detach()
        return output, (h, self.kept)


class Memoised(nn.LSTM):
    """Returns the tensors of an earlier call for an input that is equal to that call's."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        old = getattr(self, "kept", None)
        if old is None or not torch.equal(old[0], _data(input)):
            self.kept = old = (_data(input).clone(), super().forward(input, hx))
        return old[1]


class Quadratic(nn.LSTM):
    """Makes a mask of all steps against all steps, as attention does."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        steps = _data(input).reshape(-1, self.input_size)
        mask = steps @ steps.T
        output, (h, c) = super().forward(input, hx)
        return output, (h, c + 0 * mask.sum())


class KeepsEveryPrefix(nn.LSTM):
    """Keeps a copy of the output up to each step."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        data = _data(output)
        prefixes = [data[:t].clone() for t in range(len(data))]
        assert len(prefixes) == len(data)
        return output, state


FAULTS = [
    ("input_layout_does_not_matter", StridedInput, r"[hc]_n for \w+ input\["),
    ("state_layout_does_not_matter", StridedStates, r"for \w+ states\["),
    ("weight_layout_does_not_matter", StridedWeights, r"c_n for (transposed|strided|expanded) w"),
    ("weight_layout_does_not_matter", OneChunk, r"c_n for (chunk|offset) weights\["),
    ("arguments_are_unmodified", WritesIntoInput, r"version of input is 1, expected 0"),
    ("arguments_are_unmodified", WritesIntoStateWhenTraining, r"c_0"),
    ("arguments_are_unmodified", WritesIntoInputInInference, r"input keeps its bytes is False"),
    ("arguments_are_unmodified", WritesIntoUpstreamGradient, r"the gradient of c_n keeps its b"),
    ("results_share_no_memory_with_arguments", StateGoesThrough, r"elements of c_n that lie in c_"),
    ("results_share_no_memory_with_each_other", FinalIsAView, r"elements of h_n that lie in outpu"),
    ("results_share_no_memory_with_each_other", RepeatedRows, r"elements of c_n that lie where o"),
    ("earlier_results_are_kept", OneBuffer, r"c_n keeps its bytes is False"),
    ("results_are_the_callers_to_overwrite", Memoised, r"after overwriting\["),
    ("memory_grows_linearly_in_time", Quadratic, r"growth of memory more than doubles with time"),
    (
        "memory_grows_linearly_in_time",
        KeepsEveryPrefix,
        r"growth of memory more than doubles with time",
    ),
]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(("name", "factory", "line"), FAULTS)
def test_a_fault_of_memory_is_falsified_and_named(
    name: str, factory: type[nn.LSTM], line: str, precision: str
) -> None:
    record = record_of(name, factory, precision)
    assert record.status == FALSIFIED
    assert re.search(line, record.message), record.message
    case = case_from(record.case)
    assert case.precision == precision


def test_the_layouts_reach_the_module() -> None:
    seen: dict[str, set[tuple[str, bool]]] = {"input": set(), "state": set(), "weight": set()}

    class Noting(nn.LSTM):
        def forward(self, input: Any, hx: Any = None) -> Any:
            form = "packed" if isinstance(input, PackedSequence) else "dense"
            x = _data(input)
            seen["input"].add((form, x.is_contiguous() and x.storage_offset() == 0))
            if hx is not None:
                seen["state"].add((form, all(s.is_contiguous() for s in hx)))
            seen["weight"].add((form, all(w.is_contiguous() for w in self.parameters())))
            return super().forward(input, hx)

    both = {(form, dense) for form in ("packed", "dense") for dense in (True, False)}
    for what in seen:
        for found in seen.values():
            found.clear()
        assert record_of(f"{what}_layout_does_not_matter", Noting).status == HOLDS
        assert seen[what] == both


@pytest.mark.parametrize("layout", STRANGE_LAYOUTS)
def test_a_layout_is_what_it_promises_and_holds_the_values(layout: str) -> None:
    values = torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4).numpy()
    for array in (values, values * 0 + 1):
        placed = place(array, layout, torch.float32, "cpu")
        assert torch.equal(placed.double(), torch.from_numpy(array.copy()))
        assert not placed.is_contiguous() or placed.storage_offset() == 3
    same = place(values * 0 + 1, layout, torch.float32, "cpu").stride()
    assert (0 in same) == (layout in ("expanded", "single"))


def test_every_weight_layout_is_drawn() -> None:
    prop = CATALOGUE["weight_layout_does_not_matter"]
    assert prop.constraints["variants"] == WEIGHT_LAYOUTS
    assert set(WEIGHT_LAYOUTS) - {"chunk"} <= set(STRANGE_LAYOUTS)


def test_the_peak_counts_what_is_alive_at_once() -> None:
    def chain() -> Tensor:
        x = torch.zeros(100)
        for _ in range(10):
            x = x + 1
        return x

    def kept() -> list[Tensor]:
        return [torch.zeros(100) for _ in range(10)]

    def views() -> list[Tensor]:
        x = torch.zeros(100)
        return [x[i:] for i in range(10)]

    assert peak_bytes(chain, "cpu") == 800
    assert peak_bytes(kept, "cpu") == 4000
    assert peak_bytes(views, "cpu") == 400
    assert peak_bytes(chain, "cpu") == peak_bytes(chain, "cpu")


def test_memory_whose_first_step_holds_less_than_the_others_is_linear() -> None:
    # Its peak more than doubles with every doubling of time, and its growth does not.
    subject = CORRECT["GRU-step-in-double"].subject
    case = Case("GRU", input_size=2, hidden_size=3, bidirectional=True, batch=2, time=8, seed=942)
    plan = Plan(CATALOGUE["memory_grows_linearly_in_time"], subject, "float32")
    put(plan, case.but(variant="grad"), Check())
