"""This project's cells and layers stand in for torch.nn's: arguments, weights, errors, tools."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization
from torch.utils._python_dispatch import TorchDispatchMode

from gatewise import impl
from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.checking.oracle import compare_all, expected
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.reference.classes import TORCH, TORCH_LAYERS

LAYERS = list(TORCH_LAYERS)
CELLS = [name for name in TORCH if name not in LAYERS]
CLASSES = [*CELLS, *LAYERS]

#: Layer options, each away from its default at least once.
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "dropout": 0.25, "batch_first": True},
]


def pairs() -> list[Any]:
    found: list[Any] = [(k, o) for k in LAYERS for o in OPTIONS]
    found += [(k, o) for k in CELLS for o in OPTIONS[:2]]
    found += [("LSTM", {"proj_size": 2}), ("LSTM", {"proj_size": 1, "num_layers": 2})]
    found += [(k, {"nonlinearity": "relu"}) for k in ("RNN", "RNNCell")]
    return found


def both(kind: str, *args: Any, **options: Any) -> tuple[nn.Module, nn.Module]:
    """torch.nn's module and this project's, from the same seed."""
    made = []
    for module in (torch.nn, impl):
        torch.manual_seed(11)
        made.append(getattr(module, kind)(*args, **options))
    return made[0], made[1]


def call(module: nn.Module, kind: str) -> Any:
    torch.manual_seed(5)
    return module(torch.randn(4, 3) if kind in CELLS else torch.randn(5, 4, 3))


def torchs_repr(module: nn.Module) -> str:
    """The repr as torch.nn prints it, whose RNN does not name a nonlinearity that is not tanh."""
    text = repr(module)
    return text.replace(", nonlinearity=relu", "") if type(module).__name__ == "RNN" else text


@pytest.mark.parametrize(("kind", "options"), pairs())
def test_weights_start_alike_and_the_repr_reads_alike(kind: str, options: dict[str, Any]) -> None:
    theirs, ours = both(kind, 3, 4, **options)
    a, b = dict(theirs.named_parameters()), dict(ours.named_parameters())
    assert list(a) == list(b)
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert torchs_repr(ours) == repr(theirs)
    assert ours.load_state_dict(theirs.state_dict(), strict=True)
    assert theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_takes_torchs_arguments_in_torchs_order(kind: str) -> None:
    theirs, ours = (inspect.signature(getattr(m, kind)).parameters for m in (nn, impl))
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_takes_torchs_arguments_in_torchs_order(kind: str) -> None:
    relu = ("relu",) if kind == "RNN" else ()
    theirs, ours = both(kind, 3, 4, 2, *relu, False, True, 0.5, True)
    assert torchs_repr(ours) == repr(theirs)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"):
        assert getattr(ours, name) == getattr(theirs, name)
    made = both(kind, 3, 4, device="meta", dtype=torch.float64)[1]
    assert {(p.device.type, p.dtype) for p in made.parameters()} == {("meta", torch.float64)}


WRONG_OPTIONS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"hidden_size": 0}, ValueError),
    ({"hidden_size": -1}, ValueError),
    ({"hidden_size": 2.0}, TypeError),
    ({"num_layers": 0}, ValueError),
    ({"num_layers": "2"}, TypeError),
    ({"dropout": 1.5}, ValueError),
    ({"dropout": True}, ValueError),
    ({"dropout": "half"}, ValueError),
]


@pytest.mark.parametrize(("options", "error"), WRONG_OPTIONS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_wrong_option_raises_as_torch_does(
    kind: str, options: dict[str, Any], error: type[Exception]
) -> None:
    (name,) = options
    for module in (torch.nn, impl):
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(module, kind)(**{"input_size": 3, "hidden_size": 4, **options})
        if module is impl:
            assert isinstance(caught.value, error)
            assert name in str(caught.value)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_a_projection_is_the_lstms_alone(kind: str) -> None:
    with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
        getattr(impl, kind)(3, 4, proj_size=2)
    with pytest.raises(ValueError, match=r"proj_size has to be smaller than hidden_size"):
        impl.LSTM(3, 4, proj_size=4)


def test_dropout_on_one_layer_warns_as_torch_does() -> None:
    texts = []
    for module in (torch.nn, impl):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module.GRU(3, 4, dropout=0.5)
        texts.append(str(caught[0].message))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("kind", CLASSES)
def test_deepcopy_and_pickle_compute_the_same_bits(kind: str) -> None:
    module = both(kind, 3, 4)[1]
    want = _flat(call(module, kind))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert all(map(torch.equal, want, _flat(call(other, kind))))


def _flat(results: Any) -> list[torch.Tensor]:
    if isinstance(results, torch.Tensor):
        return [results]
    return [t for part in results for t in _flat(part)]


class _Products(TorchDispatchMode):
    """Counts the matrix products that are dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("mm", "addmm", "bmm"):
            self.counts["products"] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", LAYERS)
def test_the_input_products_of_all_steps_are_one_matmul(kind: str) -> None:
    module = both(kind, 3, 4, 2, bidirectional=True)[1]
    for time in (1, 7):
        with _Products() as mode:
            module(torch.randn(time, 2, 3))
        assert mode.counts["products"] == 4 * (1 + time)


@pytest.mark.parametrize("kind", CLASSES)
def test_torch_func_gives_autograds_gradient(kind: str) -> None:
    module = both(kind, 3, 4)[1]
    weights = dict(module.named_parameters())

    def loss(given: dict[str, torch.Tensor]) -> torch.Tensor:
        torch.manual_seed(5)
        x = torch.randn(4, 3) if kind in CELLS else torch.randn(5, 4, 3)
        results = torch.func.functional_call(module, given, (x,))
        return torch.stack([r.sum() for r in _flat(results)]).sum()

    found = torch.func.grad(loss)(weights)
    loss(weights).backward()
    for name, p in weights.items():
        assert p.grad is not None
        assert torch.equal(found[name], p.grad)


@pytest.mark.parametrize("kind", CLASSES)
def test_vmap_over_models_agrees_with_the_reference(kind: str) -> None:
    cell = kind in CELLS
    time = {} if cell else {"time": 3}
    case = Case(kind.removesuffix("Cell"), cell, 3, 4, batch=2, precision="float64", **time)
    cases = [case.but(seed=s) for s in range(3)]
    subject = BUILTIN[f"gatewise.impl.{kind}"]
    module = subject.build(case)
    stacked = {
        n: torch.stack([torch.from_numpy(c.weight_arrays[n]) for c in cases])
        for n in case.weight_arrays
    }
    x = torch.from_numpy(case.input_array)

    def one(weights: dict[str, torch.Tensor]) -> Any:
        return torch.func.functional_call(module, weights, (x,))

    results = torch.func.vmap(one)(stacked)
    check = Check()
    names = {1: ("h",), 2: ("h", "c")}[len(_flat(results))] if cell else ("output", "h_n", "c_n")
    for k, other in enumerate(cases):
        got = {n: r[k] for n, r in zip(names, _flat(results), strict=False)}
        want = expected(case.but(with_state=False), weights=other.weight_arrays)
        compare_all(check, got, want)
    assert check.comparisons >= 3


class _Counted(nn.Module):
    """A parametrization that counts how often it is evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return weight


@pytest.mark.parametrize("kind", LAYERS)
def test_a_parametrized_weight_is_evaluated_once_a_forward(kind: str) -> None:
    module = both(kind, 3, 4)[1]
    for name in [n for n, _ in module.named_parameters()]:
        counted = _Counted()
        register_parametrization(module, name, counted, unsafe=True)
        counted.count = 0
        call(module, kind)
        assert counted.count == 1


def test_the_repr_names_the_nonlinearity() -> None:
    assert repr(impl.RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4, nonlinearity=relu)"


@pytest.mark.parametrize("kind", CLASSES)
def test_compile_takes_the_whole_graph(kind: str) -> None:
    module = both(kind, 3, 4)[1]
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    assert all(map(torch.equal, _flat(call(module, kind)), _flat(call(compiled, kind))))
