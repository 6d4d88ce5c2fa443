"""A library that does not compute with torch's tensors, behind a torch module.

`through` runs one call of the library on NumPy arrays, and its backward pass pulls gradients back
through the library's own autograd.  `Layer` and `Cell` have the constructor, the parameters and
the call of a class of torch.nn; a subclass says in `compute` what the library does.
`docs/your-own-cell.md` shows the pattern.

The arrays are copies.  So properties about the memory of arguments and results, and about modules
and their parameters, say nothing about the library: they are checks of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

#: Takes the gradients of the results, as arrays, and gives those of the arguments, or None.
Pull = Callable[..., Sequence[Any]]
#: Takes the arguments as arrays, and gives the results and their `Pull`.
Call = Callable[..., tuple[Sequence[Any], Pull | None]]

_ONCE = "the library's backward pass is no operation of torch, so torch cannot differentiate it"
_MADE = "the constructor is torch.nn's"
_PLAIN = "torch.func has no rule for a call of another library"

#: What no module on `through` offers: a class puts it into its `gatewise_unsupported`.
GAPS = {
    "compilation": "torch's compilers and exporters cannot look into another library",
    "double_backward": _ONCE,
    "functional_hvp": _ONCE,
    "gradients_with_create_graph": _ONCE,
    "func_grad": _PLAIN,
    "func_vjp": _PLAIN,
    "func_jvp": _PLAIN,
    "func_jvp_of_grad": _PLAIN,
    "func_jacrev": _PLAIN,
    "func_vmap": _PLAIN,
    "per_sample_gradients": _PLAIN,
    "per_sample_gradients_without_a_state": _PLAIN,
    "ensemble_equals_reference": _PLAIN,
    "batch_sizes_that_do_not_fit_are_refused": "torch's own functions pad and pack here",
    "a_projection_by_position_is_refused": _MADE,
    "refusals_name_the_option": _MADE,
    "unknown_nonlinearity_is_refused": _MADE,
    "meta_module_gives_shapes_then_computes": "another library has no arrays without data",
}


def array_of(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A copy of a tensor as an array of the same shape and dtype, on the CPU.

    bfloat16 needs the package ml_dtypes; raises `NotImplementedError` where it is not installed.
    """
    own = tensor.detach().cpu().contiguous()
    if own.dtype != torch.bfloat16:
        return np.array(own.numpy())
    try:
        import ml_dtypes
    except ImportError as error:
        raise NotImplementedError("arrays of bfloat16 need the package ml_dtypes") from error
    return np.array(own.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)


def tensor_of(array: Any, device: torch.device) -> Tensor:
    """A copy of an array as a tensor of the same shape and dtype on a device."""
    own = np.array(array)
    if own.dtype.name != "bfloat16":
        return torch.from_numpy(own).to(device)
    return torch.from_numpy(own.view(np.int16)).view(torch.bfloat16).to(device)


class _Foreign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        results, ctx.pull = call(*map(array_of, tensors))
        ctx.save_for_backward(*tensors)
        made = tuple(tensor_of(r, tensors[0].device) for r in results)
        if ctx.pull is None:
            ctx.mark_non_differentiable(*made)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors  # raises where the graph is freed, or one was overwritten
        pulled = ctx.pull(*map(array_of, upstream))
        wanted = zip(tensors, pulled, ctx.needs_input_grad[1:], strict=True)
        pairs = [(t, g if n else None) for t, g, n in wanted]
        return None, *(None if g is None else tensor_of(g, t.device) for t, g in pairs)


def through(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The results of `call` on the tensors' arrays, as tensors that autograd goes back through.

    `call(*arrays)` returns `(results, pull)`: a sequence of arrays, and a function.
    `pull(*upstream)` takes an array for each result, of its shape, and returns for each argument
    an array of its shape, or None where it gives no gradient.  `pull` may be called again.  A
    library without gradients gives None for `pull`; the results then require no gradient.
    Raises `RuntimeError` where the tensors are on several devices.
    """
    places = sorted({str(t.device) for t in tensors})
    if len(places) > 1:
        raise RuntimeError(f"all tensors must be on one device; found {' and '.join(places)}")
    return _Foreign.apply(call, *tensors)  # type: ignore[no-untyped-call]


def needed(*tensors: Tensor) -> tuple[bool, ...]:
    """For each tensor whether a gradient will be asked for."""
    return tuple(torch.is_grad_enabled() and t.requires_grad for t in tensors)


class _Module(nn.Module):
    """What `Layer` and `Cell` share: torch.nn's constructor, attributes and parameters."""

    #: The class of torch.nn whose constructor, parameters and call it has.
    like: ClassVar[type[nn.Module]]

    input_size: int
    hidden_size: int
    bias: bool
    nonlinearity: str  # of an RNN alone

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what the class of torch.nn takes, and raises what it raises."""
        super().__init__()
        own = self.like(*arguments, **options)
        self.names = [name for name, _ in own.named_parameters()]
        for name in self.names:
            self.register_parameter(name, getattr(own, name))
        plain = {n: v for n, v in vars(own).items() if n[0] != "_" and n not in vars(self)}
        self.__dict__.update(plain)

    def extra_repr(self) -> str:
        """Sizes, and options that differ from the defaults."""
        text = self.like.extra_repr(self)
        if getattr(self, "nonlinearity", "tanh") == "tanh" or "nonlinearity" in text:
            return text
        return f"{text}, nonlinearity={self.nonlinearity}"  # torch.nn.RNN leaves it out

    def weights(self) -> dict[str, Tensor]:
        """The present weights by name, in torch.nn's order."""
        return {name: getattr(self, name) for name in self.names}

    def state_tuple(self, hx: Any) -> tuple[Tensor, ...] | None:
        """The states of an argument `hx`, in a tuple; raises `TypeError` where torch.nn does."""
        several = self.like in (nn.LSTM, nn.LSTMCell)
        if hx is not None and isinstance(hx, tuple) != several:
            wanted = "a tuple of two tensors" if several else "one tensor"
            raise TypeError(f"hx must be {wanted}; got a {type(hx).__name__}")
        return hx if several or hx is None else (hx,)


class Cell(_Module):
    """A cell: a subclass sets `like` and defines `compute`."""

    def compute(self, x: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """x (B, I) and states (B, H) → the new states (B, H)."""
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """torch.nn's call: a single state as it is, several in a tuple."""
        states = self.compute(input, self.state_tuple(hx))
        return states[0] if len(states) == 1 else states


class Layer(_Module):
    """A layer: a subclass sets `like` and defines `compute`.

    A PackedSequence is padded with `padding`, in the caller's order, and goes to `compute` with
    its lengths; the output is packed again.
    """

    padding: ClassVar[float] = 0.0

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def compute(
        self, x: Tensor, states: tuple[Tensor, ...] | None, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (T, B, I), or (B, T, I) with batch_first; states (layers·directions, B, H).

        Returns the output (T, B, directions·H), or (B, T, directions·H), and the final states.
        """
        raise NotImplementedError

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        """torch.nn's call: (output, h_n), or (output, (h_n, c_n))."""
        output: Tensor | PackedSequence
        if isinstance(input, PackedSequence):
            output, states = self._packed(input, self.state_tuple(hx))
        else:
            output, states = self.compute(input, self.state_tuple(hx), None)
        return output, states[0] if len(states) == 1 else states

    def _packed(
        self, packed: PackedSequence, states: tuple[Tensor, ...] | None
    ) -> tuple[PackedSequence, tuple[Tensor, ...]]:
        first = self.batch_first
        x, lengths = pad_packed_sequence(packed, first, self.padding)
        output, final = self.compute(x, states, lengths)
        if packed.sorted_indices is not None:
            output = output.index_select(0 if first else 1, packed.sorted_indices)
            lengths = lengths[packed.sorted_indices.cpu()]
        data = pack_padded_sequence(output, lengths, first).data
        return PackedSequence(data, *packed[1:]), final
