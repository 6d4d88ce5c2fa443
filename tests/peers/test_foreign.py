"""`through` and the modules on it, with a library that is written here in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise.peers.foreign import Cell, Layer, array_of, needed, tensor_of, through


def doubled(x: Any, y: Any) -> Any:
    """2x + y, and the gradient of x alone."""
    return (2 * x + y,), lambda above: (2 * above, None)


def test_gradients_are_those_of_pull() -> None:
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    (z,) = through(doubled, x, y)
    assert z.tolist() == [3, 3, 3]
    z.sum().backward(retain_graph=True)
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [4, 4, 4]
    assert y.grad is None
    with pytest.raises(RuntimeError, match="second time"):
        z.sum().backward()


def test_an_argument_that_was_overwritten_is_an_error() -> None:
    x = torch.ones(3, requires_grad=True)
    inner = x * 1
    (z,) = through(doubled, inner, x)
    inner.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_a_library_without_gradients_gives_results_without() -> None:
    x = torch.ones(3, requires_grad=True)
    (z,) = through(lambda a: ((a + 1,), None), x)
    assert not z.requires_grad


def test_the_library_gets_copies() -> None:
    x = torch.ones(3)

    def spoils(a: Any) -> Any:
        a[:] = 7
        return (a,), None

    (z,) = through(spoils, x)
    assert (x.tolist(), z.tolist()) == ([1, 1, 1], [7, 7, 7])


def test_what_is_needed_follows_grad_mode() -> None:
    x, y = torch.ones(1, requires_grad=True), torch.ones(1)
    assert needed(x, y) == (True, False)
    with torch.no_grad():
        assert needed(x, y) == (False, False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_arrays_keep_dtype_and_bits(dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16:
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    x = torch.tensor([[1.5, float("nan")], [-0.0, 3.0]], dtype=dtype).t()
    array = array_of(x)
    assert array.dtype.name == str(dtype).removeprefix("torch.")
    back = tensor_of(array, x.device)
    assert back.dtype == dtype
    assert back.contiguous().view(torch.uint8).equal(x.contiguous().view(torch.uint8))


class Sums(Layer):
    """Adds up a sequence, from a state, up to its length."""

    like = nn.RNN

    def compute(
        self, x: Tensor, states: tuple[Tensor, ...] | None, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        axis = 1 if self.batch_first else 0
        start = 0 if states is None else states[0][0].unsqueeze(axis)
        output = x.cumsum(axis) + start
        whole = torch.full((x.shape[1 - axis],), x.shape[axis])
        ends = (whole if lengths is None else lengths) - 1
        rows = torch.arange(x.shape[1 - axis])
        final = output[rows, ends] if self.batch_first else output[ends, rows]
        return output, (final[None],)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("lengths", [[3, 2, 1], [1, 3, 2]])
def test_a_packed_sequence_is_padded_and_packed_again(batch_first: bool, lengths: Any) -> None:
    layer = Sums(2, 2, batch_first=batch_first)
    x = torch.arange(18.0).reshape(3, 3, 2)
    h = torch.ones(1, 3, 2)
    sizes = torch.tensor(lengths)
    given = pack_padded_sequence(x, sizes, batch_first, lengths == sorted(lengths, reverse=True))
    packed, final = layer(given, h)
    assert packed.batch_sizes.equal(given.batch_sizes)
    assert packed.sorted_indices is given.sorted_indices
    assert packed.unsorted_indices is given.unsorted_indices
    output, found = pad_packed_sequence(packed, batch_first)
    dense, _ = layer(x, h)
    assert found.tolist() == lengths
    for row, length in enumerate(lengths):
        own, whole = (output[row], dense[row]) if batch_first else (output[:, row], dense[:, row])
        assert own[:length].equal(whole[:length])
        assert final[0, row].equal(whole[length - 1])


def test_a_module_has_the_constructor_of_torch() -> None:
    layer = Sums(3, 4, 2, bidirectional=True)
    theirs = nn.RNN(3, 4, 2, bidirectional=True)
    assert [(n, p.shape) for n, p in layer.named_parameters()] == [
        (n, p.shape) for n, p in theirs.named_parameters()
    ]
    assert repr(layer) == repr(theirs).replace("RNN", "Sums")
    assert "nonlinearity=relu" in repr(Sums(3, 4, nonlinearity="relu"))
    with pytest.raises(ValueError, match="hidden_size"):
        Sums(3, 0)


def test_a_cell_returns_one_state_as_it_is_and_several_in_a_tuple() -> None:
    class Same(Cell):
        like = nn.LSTMCell

        def compute(self, x: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
            assert states is not None
            return states

    class One(Same):
        like = nn.GRUCell

    h = torch.ones(1, 2)
    assert One(2, 2)(h, h) is h
    assert Same(2, 2)(h, (h, h)) == (h, h)
    with pytest.raises(TypeError, match="hx must be one tensor; got a tuple"):
        One(2, 2)(h, (h,))
    with pytest.raises(TypeError, match="hx must be a tuple of two tensors; got a Tensor"):
        Same(2, 2)(h, h)


def test_several_devices_are_an_error() -> None:
    here, nowhere = torch.ones(1), torch.ones(1, device="meta")
    with pytest.raises(RuntimeError, match="one device; found cpu and meta"):
        through(lambda *arrays: (arrays, None), here, nowhere)


def test_numbers_of_numpy_are_not_shared() -> None:
    held = np.ones(2)
    assert tensor_of(held, torch.device("cpu")).add_(1).tolist() == [2, 2]
    assert held.tolist() == [1, 1]
