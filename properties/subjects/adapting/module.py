"""A drop-in module around an implementation with other conventions; see `adapters`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.reference.classes import class_of
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.parameters import state_widths, weight_shapes

from ...cases.arrays import as_array
from ..capabilities import SubjectError, SubjectFault
from .conventions import Conventions, conventions
from .lengths import Sequences

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Calling:
    """How an own implementation is called; the fields are those of `Adapter`."""

    cell: bool
    states: tuple[str, ...]
    layout: str
    layer_axis: bool
    arrays: str
    function: bool
    needs_state: bool
    call: Callable[..., Any] | None
    sequences: Sequences = field(default_factory=Sequences)


def mapped_shapes(layout: Conventions, options: Options) -> Shapes:
    """Own name → shape that the mapping gives it."""
    zeros = {n: torch.zeros(s) for n, s in weight_shapes(options).items()}
    return {n: tuple(t.shape) for n, t in layout.own(options, zeros).items()}


def left_out(layout: Conventions, options: Options, ignored: tuple[str, ...]) -> tuple[str, ...]:
    """The own names that `ignored` stands for, in every layer and direction."""
    return tuple(own for pattern in ignored for own in layout.named(pattern, options))


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

    def __init__(self, own: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.own = own
        self.call = call

    def forward(self, x: Any, state: Any, **given: Any) -> Any:
        return self.call(self.own, x, state, **given)


def plain_call(own: Callable[..., Any], x: Any, state: Any, **given: Any) -> Any:
    """`own(x)`, or `own(x, state)` with a tuple of two and a single state as it is."""
    if state is None:
        return own(x, **given)
    return own(x, state if len(state) > 1 else state[0], **given)


def spread_call(own: Callable[..., Any], x: Any, state: Any, **given: Any) -> Any:
    """`own(x, *state)`."""
    return own(x, *state, **given)


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
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        self.batch_first = batch_first
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
                left = left_out(layout, options, ignored)
                self.names = bound_names(own, mapped_shapes(layout, options), left)
                _freeze(own, left)
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

    def forward(
        self,
        input: Any,
        hx: Any = None,
        *,
        lengths: Any = None,
        steps: Any = None,
        resets: Any = None,
    ) -> Any:
        """As torch.nn's module of the kind has it.

        `lengths` (B,), `steps` (T, B) and `resets` (T, B) go with a time-major input (T, B, I), if
        the implementation takes them: a row's length, the steps that count, and the steps before
        which the state is zero again.  `lengths` need an input that is padded at the right.
        """
        seq = self.calling.sequences
        if isinstance(input, PackedSequence) and seq.lengths:
            results = seq.padded(input, lambda x, n: self._padded(x, hx, **seq.arguments(x, n)))
        elif lengths is not None:
            x = seq.placed(input, lengths)
            results = self._padded(x, hx, **seq.arguments(x, lengths))
            results["output"] = seq.placed(results["output"], lengths, back=True)
        elif steps is not None:
            results = self._padded(input, hx, mask=steps)
        elif resets is not None:
            results = self._padded(input, hx, resets=resets)
        else:
            turned = self.calling.layout == "batch-major" and isinstance(input, Tensor)
            results = self._call(input, hx, {}, turned and input.ndim == 3)
        states = tuple(results[n] for n in KINDS[self.options.kind].states)
        new = states if len(states) > 1 else states[0]
        if "output" not in results:
            return new
        return results["output"], new

    def _padded(self, x: Tensor, hx: Any, **given: Tensor) -> dict[str, Any]:
        """The results for a time-major input, in the layout that the implementation takes."""
        turned = self.batch_first or self.calling.layout == "batch-major"
        own = {n: v.T if turned and v.ndim == 2 else v for n, v in given.items()}
        return self._call(x, hx, own, turned)

    def _call(self, input: Any, hx: Any, given: dict[str, Any], turned: bool) -> dict[str, Any]:
        """The results by name for one input, which is `turned` for the call; `given` goes along."""
        a = self.calling
        weights = {n: getattr(self, n) for n in weight_shapes(self.options)}
        own = self.layout.own(self.options, weights)
        x = input.transpose(0, 1) if turned else input
        state = self._state(x, hx)
        returned = flat(self._computed(own, x, state, given))
        kind = KINDS[self.options.kind]
        apart = not a.cell or kind.output == len(kind.states)
        names = (("output",) if apart else ()) + a.states
        if len(returned) != len(names):
            raise SubjectFault(
                f"the own implementation returns {len(returned)} arrays, expected "
                f"{len(names)}: {', '.join(names)}; an adapter's call= can arrange them"
            )
        results = dict(zip(names, returned, strict=True))
        if turned:
            results["output"] = results["output"].transpose(0, 1)
        if not a.layer_axis:
            results |= {n: results[n][None] for n in a.states}
        return results

    def _state(self, x: Any, hx: Any) -> tuple[Tensor, ...] | None:
        """The states in the own order; zeros where one must be passed, for x as it is passed."""
        a, o = self.calling, self.options
        kind = KINDS[o.kind]
        if hx is None:
            if not (a.needs_state or a.function):
                return None
            lead = () if a.cell else (o.num_layers * o.directions,)
            major = (self.batch_first or a.layout == "batch-major") and x.ndim == 3
            batch = x.shape[:-1] if a.cell else x.shape[:1] if major else x.shape[1:-1]
            hx = tuple(x.new_zeros(*lead, *batch, *width) for width in state_widths(o))
        named = dict(zip(kind.states, hx if isinstance(hx, tuple) else (hx,), strict=True))
        return tuple(named[n] if a.layer_axis else named[n][0] for n in a.states)

    def _computed(
        self, weights: dict[str, Tensor], x: Any, state: Any, given: dict[str, Any]
    ) -> Any:
        a, own = self.calling, self.held[0]
        if a.arrays == "numpy":
            return self._in_numpy(weights, x, state, given)
        if a.function:
            return (a.call or spread_call)(partial(own, **weights), x, state, **given)
        call = a.call or plain_call
        if isinstance(own, nn.Module):
            # A registered parameter may be (1, n) where the mapping gives (n,).
            shapes = {n: p.shape for n, p in own.named_parameters()}
            swaps = {
                f"own.{self.names[n]}": w.reshape(shapes[self.names[n]]) for n, w in weights.items()
            }
            return torch.func.functional_call(_Called(own, call), swaps, (x, state), given)
        _assign(own, self.names, weights)
        return call(own, x, state, **given)

    def _in_numpy(
        self, weights: dict[str, Tensor], x: Any, state: Any, given: dict[str, Any]
    ) -> Any:
        a, own = self.calling, self.held[0]
        given = {n: _to_numpy(value) for n, value in given.items()}
        arrays = {n: _to_numpy(w) for n, w in weights.items()}
        states = None if state is None else tuple(_to_numpy(s) for s in state)
        if a.function:
            returned = (a.call or spread_call)(
                partial(own, **arrays), _to_numpy(x), states, **given
            )
        else:
            _assign(own, self.names, arrays)
            returned = (a.call or plain_call)(own, _to_numpy(x), states, **given)
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
    states = KINDS[options.kind].states
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
