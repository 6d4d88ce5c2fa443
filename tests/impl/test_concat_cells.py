"""Cells on [x, h]: a tutorial's checkpoints load, they train, and bad input is named."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatewise.impl import concat_cells
from gatewise.impl.concat_cells import (
    RNN,
    GRUCell,
    IndependentGRUCell,
    IndependentLSTMCell,
    IndependentRNN,
    LSTMCell,
)

I, H, O, B = 3, 4, 5, 2  # noqa: E741
CELLS: list[type[nn.Module]] = [
    RNN,
    LSTMCell,
    GRUCell,
    IndependentRNN,
    IndependentLSTMCell,
    IndependentGRUCell,
]
LSTMS = (LSTMCell, IndependentLSTMCell)

#: The layers of a tutorial's cells: its checkpoints hold the weight and the bias of each.
TUTORIAL: dict[type[nn.Module], dict[str, tuple[int, int]]] = {
    RNN: {"i2h": (I + H, H), "i2o": (I + H, O)},
    LSTMCell: {"gate": (I + H, H), "output": (H, O)},
    GRUCell: {"gate": (I + H, H), "output": (H, O)},
}


def make(cell: type[nn.Module], **changes: Any) -> Any:
    sizes = {"input_size": I, "hidden_size": H, "output_size": O}
    if cell in LSTMS:
        sizes["cell_size"] = H
    return cell(**{**sizes, **changes})


def states(cell: type[nn.Module], batch: int = B) -> list[Tensor]:
    torch.manual_seed(3)
    return [torch.randn(batch, H) for _ in range(2 if cell in LSTMS else 1)]


@pytest.mark.parametrize("cell", TUTORIAL)
def test_a_tutorials_checkpoint_loads_and_comes_back(cell: type[nn.Module]) -> None:
    layers = {name: nn.Linear(*sizes) for name, sizes in TUTORIAL[cell].items()}
    checkpoint = nn.ModuleDict(layers).state_dict()
    module = make(cell)
    module.load_state_dict(checkpoint, strict=True)
    assert list(module.state_dict()) == list(checkpoint)
    assert all(torch.equal(module.state_dict()[n], w) for n, w in checkpoint.items())


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (RNN, ["input_size", "hidden_size", "output_size"]),
        (LSTMCell, ["input_size", "hidden_size", "cell_size", "output_size"]),
        (GRUCell, ["input_size", "hidden_size", "output_size"]),
    ],
)
def test_the_arguments_are_the_tutorials_in_its_order(
    cell: type[nn.Module], names: list[str]
) -> None:
    assert list(inspect.signature(cell).parameters)[: len(names)] == names
    forward = list(inspect.signature(cell.forward).parameters)[1:]
    assert forward == ["input", "hidden", "cell"][: 3 if cell is LSTMCell else 2]


@pytest.mark.parametrize("cell", CELLS)
def test_each_gate_has_a_layer_of_its_own_in_the_independent_variant(
    cell: type[nn.Module],
) -> None:
    layers = [n for n, _ in make(cell).named_children() if n not in ("output", "i2o")]
    own = {IndependentRNN: 1, IndependentLSTMCell: 4, IndependentGRUCell: 3}
    assert len(layers) == own.get(cell, 1)


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("cell", CELLS)
def test_any_batch_with_states_given_made_or_left_out(cell: type[nn.Module], batch: int) -> None:
    module, x = make(cell), torch.randn(batch, I)
    zeros = [module.initHidden(batch)]
    if cell in LSTMS:
        zeros.append(module.initCell(batch))
    left_out, made = module(x), module(x, *zeros)
    assert all(map(torch.equal, left_out, made))
    y, *new = module(x, *states(cell, batch))
    assert y.shape == (batch, O)
    assert [s.shape for s in new] == [(batch, H)] * len(zeros)


@pytest.mark.parametrize("cell", CELLS)
def test_a_zero_state_is_of_batch_one_by_default_in_the_weights_dtype(
    cell: type[nn.Module],
) -> None:
    module = make(cell, dtype=torch.float64)
    h = module.initHidden()
    assert (h.shape, h.dtype, h.any().item()) == ((1, H), torch.float64, False)


@pytest.mark.parametrize("cell", CELLS)
def test_training_over_a_sequence_reaches_every_parameter_and_lowers_the_loss(
    cell: type[nn.Module],
) -> None:
    """The class of each step is that of its input: four steps of BPTT an update."""
    torch.manual_seed(0)
    module = make(cell, input_size=O)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.2)
    losses = []
    for _ in range(60):
        ids = torch.randint(O, (4, 8))
        state: list[Tensor] = []
        loss = torch.zeros(())
        for step in nn.functional.one_hot(ids, O).float():
            y, *state = module(step, *state)
            loss = loss + nn.functional.nll_loss(y, step.argmax(dim=1))
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.any() for p in module.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert max(losses[-5:]) < min(losses[:5])


@pytest.mark.parametrize("cell", CELLS)
def test_deepcopy_and_pickle_compute_the_same_bits(cell: type[nn.Module]) -> None:
    module, x = make(cell), torch.randn(B, I)
    want = module(x, *states(cell))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert all(map(torch.equal, want, other(x, *states(cell))))


def sizes_of(cell: type[nn.Module]) -> list[str]:
    names = ["input_size", "hidden_size", "output_size"]
    return [*names, "cell_size"] if cell in LSTMS else names


@pytest.mark.parametrize("value", [0, -3])
@pytest.mark.parametrize(("cell", "name"), [(c, n) for c in CELLS for n in sizes_of(c)])
def test_a_size_below_one_is_named(cell: type[nn.Module], name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be greater than zero, got {value}"):
        make(cell, **{name: value})


@pytest.mark.parametrize("value", [2.0, "3", None, True])
@pytest.mark.parametrize(("cell", "name"), [(c, n) for c in CELLS for n in sizes_of(c)])
def test_a_size_of_another_type_is_named(cell: type[nn.Module], name: str, value: Any) -> None:
    text = f"{name} should be of type int, got: {type(value).__name__} {value!r}"
    with pytest.raises(TypeError, match=text):
        make(cell, **{name: value})


@pytest.mark.parametrize("cell", LSTMS)
def test_a_cell_size_that_is_not_the_hidden_size_is_refused_at_construction(
    cell: type[nn.Module],
) -> None:
    text = r"cell_size must equal hidden_size.*: got cell_size 7 and hidden_size 4"
    with pytest.raises(ValueError, match=text):
        make(cell, cell_size=7)


WRONG_CALLS: list[tuple[str, Any, type[Exception], str]] = [
    ("input", torch.zeros(B, I + 1), ValueError, r"input has shape \(2, 4\), expected \(batch, 3"),
    ("input", torch.zeros(I), ValueError, r"input has shape \(3,\), expected \(batch, 3\)"),
    ("input", torch.zeros(1, B, I), ValueError, r"input has shape \(1, 2, 3\), expected \(batch"),
    ("input", torch.zeros(B, I).double(), ValueError, "input has dtype torch.float64, expected"),
    ("input", torch.zeros(B, I).long(), ValueError, "input has dtype torch.int64, expected"),
    ("input", [[0.0] * I], TypeError, "input should be a Tensor, got: list"),
    ("hidden", torch.zeros(B, H + 1), ValueError, r"hidden has shape \(2, 5\), expected \(2, 4\)"),
    ("hidden", torch.zeros(1, H), ValueError, r"hidden has shape \(1, 4\), expected \(2, 4\)"),
    ("hidden", torch.zeros(H), ValueError, r"hidden has shape \(4,\), expected \(2, 4\)"),
    ("hidden", torch.zeros(B, H).half(), ValueError, "hidden has dtype torch.float16, expected"),
    ("hidden", 0.0, TypeError, "hidden should be a Tensor, got: float 0.0"),
    ("cell", torch.zeros(B, H - 1), ValueError, r"cell has shape \(2, 3\), expected \(2, 4\)"),
    ("cell", torch.zeros(B, H).double(), ValueError, "cell has dtype torch.float64, expected"),
]


@pytest.mark.parametrize(
    ("cell", "name", "value", "error", "text"),
    [(c, *wrong) for c in CELLS for wrong in WRONG_CALLS if wrong[0] != "cell" or c in LSTMS],
)
def test_a_wrong_tensor_is_named(
    cell: type[nn.Module], name: str, value: Any, error: type[Exception], text: str
) -> None:
    given = {"input": torch.zeros(B, I), name: value}
    with pytest.raises(error, match=f"^{cell.__name__}: {text}"):
        make(cell)(**given)


@pytest.mark.parametrize("batch", [0, 1.5])
@pytest.mark.parametrize("cell", CELLS)
def test_a_wrong_batch_of_a_zero_state_is_named(cell: type[nn.Module], batch: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^batch .*{batch}"):
        make(cell).initHidden(batch)


def test_the_repr_shows_the_arguments() -> None:
    assert repr(make(RNN)).startswith("RNN(\n  3, 4, 5\n")
    assert repr(make(LSTMCell)).startswith("LSTMCell(\n  3, 4, 4, 5\n")


def test_every_public_cell_is_tested_here() -> None:
    public = [
        c
        for n, c in vars(concat_cells).items()
        if inspect.isclass(c) and issubclass(c, nn.Module) and not n.startswith("_")
    ]
    assert public == [
        RNN,
        IndependentRNN,
        LSTMCell,
        IndependentLSTMCell,
        GRUCell,
        IndependentGRUCell,
    ]
    assert set(public) == set(CELLS)
