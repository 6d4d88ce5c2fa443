"""Adapters: what is not drop-in is checked like what is, and a wrong one is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.known_issues import issues_of
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.properties.subjects.capabilities import SubjectError
from gatewise.properties.subjects.loading import as_subject, load_subject
from tests.subjects.synthetic import Synthetic

#: What a hand-written layer rarely has.
PLAIN = {"packed": "tensors alone", "unbatched": "three dimensions alone"}


def verdicts(adapter: Adapter, *names: str, precision: str = "float32") -> dict[str, Record]:
    """Property → record at the quick profile; all properties where none is named."""
    subject = as_subject(adapter, name="own")
    return {
        p.name: run(Plan(p, subject, precision), profile="quick", seed=1)
        for p in CATALOGUE.values()
        if subject.like in p.of
        and p.about(subject)
        and precision in p.precisions
        and (p.name in names or not names)
    }


def all_well(
    adapter: Adapter, *names: str, precision: str = "float32", made_of: type | None = None
) -> dict[str, Record]:
    """The records; none is falsified but what the class it is made of is known for."""
    records = verdicts(adapter, *names, precision=precision)
    known = set()
    if made_of is not None:
        part = as_subject(made_of)
        known = {n for n in records if issues_of(part, n, precision)}
    wrong = {n: r.message for n, r in records.items() if not r.passed and n not in known}
    assert wrong == {}
    assert records["equals_reference"].status == HOLDS
    return records


class Joined(Synthetic):
    """An LSTM on [x, h], order i o f g, one bias, batch-major, states (c, h), matrix (in, out)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(
            input_size,
            hidden_size,
            "LSTM",
            "iofg",
            transposed=True,
            biases=int(bias),
            form="joined",
            batch_major=True,
            states="ch",
        )

    def forward(self, x: Tensor, state: Any = None) -> Any:
        if state is None:
            state = (x.new_zeros(1, x.shape[0], self.hidden_size),) * 2
        return super().forward(x, state)


JOINED: dict[str, Any] = {
    "like": "LSTM",
    "weights": {"W": "weight_ih|weight_hh", "b": "bias"},
    "gates": "iofc",
    "transposed": True,
    "state": "ch",
    "layout": "batch-major",
    "unsupported": PLAIN,
}


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_a_layer_with_every_convention_changed_is_right(precision: str) -> None:
    names = () if precision == "float32" else ("equals_reference",)
    records = all_well(Adapter(Joined, **JOINED), *names, precision=precision)
    assert records["equals_reference"].discriminating > 0
    if precision == "float32":
        assert records["bias_may_be_split_anyhow"].status == HOLDS
        assert records["batch_first_transposes"].message == "its input is always batch-major"
        assert records["layers_stack"].message == "Joined has no argument num_layers"
        assert records["unbatched_is_a_batch_of_one"].message == "three dimensions alone"
        assert records["names_and_shapes"].message == "an adapter maps its weights"


@pytest.mark.parametrize(
    "change",
    [
        {"gates": "ifoc"},
        {"state": "hc"},
        {"weights": {"W": "weight_hh|weight_ih", "b": "bias"}},
        {"transposed": False},
        {"layout": ""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_adapter_that_is_wrong_about_it_is_refused_or_falsified(change: dict[str, Any]) -> None:
    if change == {"transposed": False}:
        with pytest.raises(SubjectError, match="has shape"):
            Adapter(Joined, **{**JOINED, **change})
        return
    adapter = Adapter(Joined, **{**JOINED, **change})
    assert verdicts(adapter, "equals_reference")["equals_reference"].status == FALSIFIED


class GRUOfForm(Synthetic):
    """A GRU cell of any form, order z r n."""

    def __init__(self, *sizes: int, biases: int, after: bool, keeps: bool) -> None:
        super().__init__(
            *sizes,
            "GRU",
            "zrn",
            biases=biases,
            cell=True,
            reset_after=after,
            update_keeps=keeps,
        )

    def forward(self, x: Tensor, state: Any = None) -> Any:
        h = x.new_zeros(*x.shape[:-1], self.hidden_size) if state is None else state
        return super().forward(x, h)


#: Limits whose statement depends on the form, so each must be claimed of it and hold.
FORMS_OF_A_GRU = (
    "update_gate_at_one_keeps_the_state",
    "update_gate_at_zero_takes_the_candidate",
    "closed_reset_gate_cuts_the_recurrence",
    "gru_state_lies_in_the_hull",
)


@pytest.mark.parametrize("biases", [1, 2])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_every_form_of_a_gru_passes_what_is_claimed_of_it(
    after: bool, keeps: bool, biases: int
) -> None:
    def own(input_size: int, hidden_size: int) -> nn.Module:
        return GRUOfForm(input_size, hidden_size, biases=biases, after=after, keeps=keeps)

    both = {"b": "bias_ih", "d": "bias_hh"}
    one = {"b": "bias_ih" if after else "bias"}
    records = all_well(
        Adapter(
            own,
            "GRUCell",
            weights={"W": "weight_ih", "U": "weight_hh", **(both if biases == 2 else one)},
            gates="zrh",
            reset_after=after,
            update_keeps=keeps,
        ),
        "equals_reference",
        "candidate_bias_is_reset",
        "bias_may_be_split_anyhow",
        *FORMS_OF_A_GRU,
    )
    for name in FORMS_OF_A_GRU:
        assert records[name].status == HOLDS
    torn = records["candidate_bias_is_reset"]
    assert torn.status == (HOLDS if after and biases == 2 else UNSUPPORTED)
    if not after:
        assert torn.message == "the reset gate comes before the matmul, and b_hn after it"


def test_a_gru_said_to_be_of_another_form_is_falsified() -> None:
    def own(input_size: int, hidden_size: int) -> nn.Module:
        return GRUOfForm(input_size, hidden_size, biases=2, after=True, keeps=True)

    weights = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "d": "bias_hh"}
    for wrong in ({"reset_after": False}, {"update_keeps": False}, {"gates": "rzn"}):
        adapter = Adapter(own, "GRUCell", weights=weights, **{"gates": "zrn", **wrong})
        assert verdicts(adapter, "equals_reference")["equals_reference"].status == FALSIFIED


def numpy_step(x: Any, h: Any, c: Any, Wf: Any, Wi: Any, Wg: Any, Wo: Any, b: Any = 0) -> Any:
    """A NumPy step on [h, x], one matrix for each gate, biases in one vector f i g o."""
    both = np.concatenate([h, x], axis=-1)
    bf, bi, bg, bo = np.split(b, 4) if np.ndim(b) else (0, 0, 0, 0)
    f, i, o = (1 / (1 + np.exp(-(both @ w.T + k))) for w, k in ((Wf, bf), (Wi, bi), (Wo, bo)))
    c = f * c + i * np.tanh(both @ Wg.T + bg)
    return o * np.tanh(c), c


STEP: dict[str, Any] = {
    "like": "LSTMCell",
    "weights": {f"W{g}": f"weight_hh.{g}|weight_ih.{g}" for g in "figo"}
    | {"b": "bias.f;bias.i;bias.g;bias.o"},
    "function": True,
}


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_numpy_step_function(precision: str) -> None:
    with np.errstate(over="ignore"):
        records = all_well(Adapter(numpy_step, arrays="numpy", **STEP), precision=precision)
    assert records["results_require_grad_as_weights_do"].message == (
        "NumPy has no automatic differentiation"
    )
    assert records["missing_state_is_zero"].message == "with_state is always True here"


def torch_step(x: Tensor, h: Tensor, c: Tensor, **w: Tensor) -> Any:
    """A step of the same, in torch: gradients reach the weights through the adapter."""
    both = torch.cat([h, x], dim=-1)
    b = dict(zip("figo", w["b"].chunk(4), strict=True)) if "b" in w else dict.fromkeys("figo", 0)
    f, i, o = (torch.sigmoid(both @ w[f"W{g}"].T + b[g]) for g in "fio")
    c = f * c + i * torch.tanh(both @ w["Wg"].T + b["g"])
    return o * torch.tanh(c), c


def test_a_torch_step_function_is_differentiable() -> None:
    records = all_well(Adapter(torch_step, **STEP))
    assert records["results_require_grad_as_weights_do"].status == HOLDS
    module = Adapter(torch_step, **STEP).module(3, 2)
    peer = nn.LSTMCell(3, 2)
    module.load_state_dict(peer.state_dict())
    x = torch.ones(1, 3)
    for m in (module, peer):
        m(x)[1].sum().backward()
    got, want = (dict(m.named_parameters())["bias_hh"].grad for m in (module, peer))
    # The forget gate's bias has no gradient from a cell state of zero; the others have one.
    assert (got != 0).tolist() == (want != 0).tolist()


class Stacked(nn.Module):
    """Layers and directions as modules of their own, by their own names."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.turned, self.both = batch_first, bidirectional
        self.layers = nn.ModuleList()
        for index in range(num_layers):
            width = input_size if index == 0 else hidden_size * (1 + bidirectional)
            ways = {"there": nn.GRU(width, hidden_size, bias=bias)}
            if bidirectional:
                ways["back"] = nn.GRU(width, hidden_size, bias=bias)
            self.layers.append(nn.ModuleDict(ways))

    def forward(self, x: Tensor, h: Tensor | None = None) -> Any:
        x = x.transpose(0, 1) if self.turned else x
        finals, ways = [], 1 + self.both
        for index, layer in enumerate(self.layers):
            outputs = []
            for k, (way, gru) in enumerate(layer.items()):
                start = None if h is None else h[index * ways + k][None]
                output, final = gru(x.flip(0) if way == "back" else x, start)
                outputs.append(output.flip(0) if way == "back" else output)
                finals.append(final[0])
            x = torch.cat(outputs, -1)
        return x.transpose(0, 1) if self.turned else x, torch.stack(finals)


def test_names_of_layers_and_directions() -> None:
    pattern = "layers.{layer}.{direction}."
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    adapter = Adapter(
        Stacked,
        "GRU",
        weights={f"{pattern}{part}_l0": part for part in parts},
        directions=("there", "back"),
        unsupported=PLAIN,
    )
    records = all_well(adapter, made_of=nn.GRU)
    assert records["layers_stack"].status == HOLDS
    assert records["directions_are_independent"].status == HOLDS
    # functional_call swaps the weights of the module itself, so two calls at once would mix them.
    assert records["two_threads_get_the_same_bits"].status == UNSUPPORTED


class Renamed(nn.Module):
    """A drop-in whose parameters have names of their own, and torch.nn's in its state_dict."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.inner = nn.GRUCell(input_size, hidden_size, bias)

        def rename(module: nn.Module, stored: dict[str, Any], prefix: str, _: Any) -> None:
            for name in list(stored):
                stored[name.removeprefix("inner.")] = stored.pop(name)

        self._register_state_dict_hook(rename)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.inner(x, h)


class RenamedAndWrong(Renamed):
    """The same, with the state ignored."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.inner(x)


def test_parameters_are_found_by_the_names_in_the_state_dict() -> None:
    for own, status in ((Renamed, HOLDS), (RenamedAndWrong, FALSIFIED)):
        subject = as_subject(own, "GRUCell")
        for name in ("equals_reference", "weight_updates_are_seen"):
            record = run(Plan(CATALOGUE[name], subject, "float32"), profile="standard")
            assert record.status == status, record.message


class RenamedInBfloat16(Renamed):
    """The same, made in a precision that NumPy lacks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.to(torch.bfloat16)


def test_an_adapted_module_may_be_made_in_bfloat16() -> None:
    record = run(
        Plan(CATALOGUE["equals_reference"], as_subject(RenamedInBfloat16, "GRUCell"), "float32"),
        profile="quick",
    )
    assert (record.status, record.message) == (HOLDS, "")


def test_a_file_may_hold_an_adapter(tmp_path: Path) -> None:
    path = tmp_path / "adapted_cells.py"
    path.write_text(
        "import torch\nfrom gatewise import Adapter\n"
        "MINE = Adapter(torch.nn.GRU, 'GRU')\n"
        "WRONG = 'Adapter'\n"
    )
    subject = load_subject(f"{path}:MINE")
    assert (subject.like, subject.name) == ("GRU", f"{path}:MINE")
    with pytest.raises(SubjectError, match="is an adapter like GRU"):
        load_subject(f"{path}:MINE", "LSTM")
    assert load_subject(f"{path}:MINE", "auto").like == "GRU"
    path.write_text(
        "import torch\nfrom gatewise import Adapter\n"
        "MINE = Adapter(torch.nn.GRU, 'GRU', gates='zr')\n"
    )
    with pytest.raises(SubjectError) as caught:
        load_subject(f"{path}:MINE")
    assert "gates='zr': expected each of the 3 letters r z n once; h may stand" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_layout_of_weights_has_a_way_back() -> None:
    adapter = Adapter(Joined, **JOINED)
    own = Joined(3, 2)
    with torch.no_grad():
        for k, p in enumerate(own.parameters()):
            p.copy_(torch.arange(p.numel()).view(p.shape) + 100.0 * k)
    layout, options = adapter.conventions, adapter.options(3, 2)
    arrays = {n: p.detach().numpy() for n, p in own.named_parameters()}
    canonical = layout.canonical(options, arrays)
    assert (canonical["bias_hh_l0"] == 0).all()
    again = layout.own(options, {n: torch.from_numpy(a) for n, a in canonical.items()})
    for name, p in own.named_parameters():
        assert (again[name].numpy() == arrays[name]).all()
        assert p.shape == again[name].shape
