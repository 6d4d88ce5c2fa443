"""A drop-in module around an implementation with other conventions; see `adapters`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.reference.classes import class_of
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.parameters import weight_shapes

from ...cases.arrays import as_array
from ..capabilities import SubjectError, SubjectFault
from .conventions import Conventions, conventions

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Calling:
    """How an own implementation is called; the fields are those of `Adapter`."""

    cell: bool
    states: str
    layout: str
    layer_axis: bool
    arrays: str
    function: bool
    needs_state: bool
    call: Callable[[Any, Any, Any], Any] | None


def mapped_shapes(layout: Conventions, options: Options) -> Shapes:
    """Own name → shape that the mapping gives it."""
    zeros = {n: torch.zeros(s) for n, s in weight_shapes(options).items()}
    return {n: tuple(t.shape) for n, t in layout.own(options, zeros).items()}


def own_arrays(own: Any) -> dict[str, Any]:
    """The floating-point arrays and tensors that an object has as attributes."""
    found = {}
    for name, value in vars(own).items():
        floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        if floats or (isinstance(value, Tensor) and value.is_floating_point()):
            found[name] = value
    return found


def bound_names(own: Any, wanted: Shapes, ignored: tuple[str, ...]) -> dict[str, str]:
    """Own name → name of the parameter or attribute that holds it.

    A module's names are those of `named_parameters`, else those of `state_dict`, which some
    modules rename.  Raises `SubjectError` where a name is missing, a shape is another, or a
    weight is left over.
    """
    if isinstance(own, nn.Module):
        held: dict[str, Any] = dict(own.named_parameters())
        names = {n: n for n in held}
        if not set(wanted) <= set(held):
            by_identity = {id(p): n for n, p in held.items()}
            stored = own.state_dict(keep_vars=True)
            names = {n: by_identity[id(t)] for n, t in stored.items() if id(t) in by_identity}
        left = [n for n in names if n not in wanted and n not in ignored]
    else:
        held = own_arrays(own)
        names = {n: n for n in held}
        left = [n for n in names if n not in wanted and n not in ignored]
    what = "parameter" if isinstance(own, nn.Module) else "array"
    missing = [n for n in wanted if n not in names]
    if missing:
        has = f"it has {', '.join(names) or 'none'}"
        raise SubjectError(f"weights= names {missing[0]!r}, and there is no such {what}; {has}")
    if left:
        shape = tuple(held[names[left[0]]].shape)
        raise SubjectError(
            f"weights= leaves out the {what} {left[0]!r} of shape {shape}; map it, or name it in "
            "ignored="
        )
    for name, shape in wanted.items():
        actual = tuple(held[names[name]].shape)
        if [n for n in actual if n != 1] != [n for n in shape if n != 1]:
            raise SubjectError(f"{name!r} has shape {actual}, and the mapping gives it {shape}")
    return {n: names[n] for n in wanted}


class _Called(nn.Module):
    """Lets any way of calling a module run under `functional_call`."""

    def __init__(self, own: nn.Module, call: Callable[[Any, Any, Any], Any]) -> None:
        super().__init__()
        self.own = own
        self.call = call

    def forward(self, x: Any, state: Any) -> Any:
        return self.call(self.own, x, state)


def plain_call(own: Callable[..., Any], x: Any, state: Any) -> Any:
    """`own(x)`, or `own(x, state)` with a tuple of two and a single state as it is."""
    if state is None:
        return own(x)
    return own(x, state if len(state) > 1 else state[0])


def spread_call(own: Callable[..., Any], x: Any, state: Any) -> Any:
    """`own(x, *state)`."""
    return own(x, *state)


class Adapted(nn.Module):
    """torch.nn's names, shapes and call; the own implementation computes.

    The weights are parameters here, and each call puts them into the own layout by differentiable
    operations, so gradients reach them through a torch implementation.
    """

    def __init__(
        self,
        own: Any,
        options: Options,
        layout: Conventions,
        calling: Calling,
        ignored: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.options = options
        self.layout = layout
        self.calling = calling
        # In a tuple the own module is no submodule, so its parameters are not listed here.
        self.held = (own,)
        place = _place_of(own)
        for name, shape in weight_shapes(options).items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape, **place)))
        if not calling.function:
            try:
                self.names = bound_names(own, mapped_shapes(layout, options), ignored)
                _freeze(own, ignored)
            except SubjectError as error:
                raise SubjectFault(str(error)) from None
            self._start_from(own)

    def _start_from(self, own: Any) -> None:
        """Take over the own initial weights; on the device meta there are none."""
        held = dict(own.named_parameters()) if isinstance(own, nn.Module) else own_arrays(own)
        if any(isinstance(w, Tensor) and w.is_meta for w in held.values()):
            return
        arrays = {n: as_array(held[own_name]) for n, own_name in self.names.items()}
        initial = self.layout.canonical(self.options, arrays)
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.copy_(torch.from_numpy(initial[name]))

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        own = self.held[0]
        if isinstance(own, nn.Module):
            own._apply(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return super()._apply(fn, *args, **kwargs)  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> Adapted:
        """Set the mode here and of the own module."""
        if isinstance(self.held[0], nn.Module):
            self.held[0].train(mode)
        return super().train(mode)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch.nn's module of the kind has it."""
        a = self.calling
        weights = {n: getattr(self, n) for n in weight_shapes(self.options)}
        own = self.layout.own(self.options, weights)
        state = self._state(input, hx)
        swapped = a.layout == "batch-major" and isinstance(input, Tensor) and input.ndim == 3
        x = input.transpose(0, 1) if swapped else input
        returned = flat(self._computed(own, x, state))
        names = (() if a.cell else ("output",)) + tuple(a.states)
        if len(returned) != len(names):
            raise SubjectFault(
                f"the own implementation returns {len(returned)} arrays, expected "
                f"{len(names)}: {', '.join(names)}; an adapter's call= can arrange them"
            )
        results = dict(zip(names, returned, strict=True))
        if swapped:
            results["output"] = results["output"].transpose(0, 1)
        states = tuple(results[n] for n in ("h", "c") if n in results)
        if not a.layer_axis:
            states = tuple(s[None] for s in states)
        new = states if len(states) > 1 else states[0]
        return new if a.cell else (results["output"], new)

    def _state(self, input: Any, hx: Any) -> tuple[Tensor, ...] | None:
        """The states in the own order; zeros where one must be passed."""
        a = self.calling
        if hx is None:
            if not (a.needs_state or a.function):
                return None
            lead = () if a.cell else (self.options.num_layers * self.options.directions,)
            batch = tuple(input.shape[:-1]) if a.cell else tuple(input.shape[1:-1])
            zeros = [input.new_zeros(*lead, *batch, self.options.state_size)]
            if "c" in a.states:
                zeros.append(input.new_zeros(*lead, *batch, self.options.hidden_size))
            hx = tuple(zeros)
        named = dict(zip("hc", hx if isinstance(hx, tuple) else (hx,), strict=False))
        return tuple(named[n] if a.layer_axis else named[n][0] for n in a.states)

    def _computed(self, weights: dict[str, Tensor], x: Any, state: Any) -> Any:
        a, own = self.calling, self.held[0]
        if a.arrays == "numpy":
            return self._in_numpy(weights, x, state)
        if a.function:
            return (a.call or spread_call)(partial(own, **weights), x, state)
        call = a.call or plain_call
        if isinstance(own, nn.Module):
            # A registered parameter may be (1, n) where the mapping gives (n,).
            shapes = {n: p.shape for n, p in own.named_parameters()}
            swaps = {
                f"own.{self.names[n]}": w.reshape(shapes[self.names[n]]) for n, w in weights.items()
            }
            return torch.func.functional_call(_Called(own, call), swaps, (x, state))
        _assign(own, self.names, weights)
        return call(own, x, state)

    def _in_numpy(self, weights: dict[str, Tensor], x: Any, state: Any) -> Any:
        a, own = self.calling, self.held[0]
        arrays = {n: _to_numpy(w) for n, w in weights.items()}
        states = None if state is None else tuple(_to_numpy(s) for s in state)
        if a.function:
            returned = (a.call or spread_call)(partial(own, **arrays), _to_numpy(x), states)
        else:
            _assign(own, self.names, arrays)
            returned = (a.call or plain_call)(own, _to_numpy(x), states)
        return [torch.from_numpy(np.array(r)).to(x.device) for r in flat(returned)]


def drop_in(module: nn.Module, options: Options) -> nn.Module:
    """The module, or where its state_dict alone has torch.nn's names, a module that has them.

    Some drop-ins rename their parameters on the way to the state_dict.
    """
    wanted = weight_shapes(options)
    own = dict(module.named_parameters())
    if own.keys() == wanted.keys() or isinstance(module, Adapted):
        return module
    stored = module.state_dict(keep_vars=True)
    same = {id(p) for p in own.values()} == {id(t) for t in stored.values()}
    if stored.keys() != wanted.keys() or not same:
        return module
    states = "".join(KINDS[options.kind].states)
    calling = Calling(options.cell, states, "", True, "torch", False, False, None)
    return Adapted(module, options, conventions(class_of(options.kind, options.cell)), calling)


def _place_of(own: Any) -> dict[str, Any]:
    """The device and dtype of the own parameters, which a constructor may have been given."""
    parameters = own.parameters() if isinstance(own, nn.Module) else ()
    first = next((p for p in parameters if p.is_floating_point()), None)
    return {} if first is None else {"device": first.device, "dtype": first.dtype}


def _freeze(own: Any, ignored: tuple[str, ...]) -> None:
    """Parameters that are no weights of the equations get no gradient: they are not listed here."""
    if isinstance(own, nn.Module):
        for name, parameter in own.named_parameters():
            if name in ignored:
                parameter.requires_grad_(False)


def _assign(own: Any, names: Mapping[str, str], weights: Mapping[str, Any]) -> None:
    for name, value in weights.items():
        setattr(own, names[name], value.reshape(getattr(own, names[name]).shape))


def flat(returned: Any) -> list[Any]:
    if isinstance(returned, tuple | list) and not isinstance(returned, PackedSequence):
        return [leaf for part in returned for leaf in flat(part)]
    return [returned]


def _to_numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
