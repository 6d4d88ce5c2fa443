"""Backpropagation through time (BPTT), derived by hand: the gradients of layers and cells.

The caller gives the derivative of the loss by each result (`upstream`).  The functions return the
gradients of the loss by the input, the initial states and every weight.  They accept float64
arrays, complex arrays, Balls and Duals.  If any array is a Ball, then x, the states and the
upstream gradients must all be Balls.

Why the radius of a gradient covers every correct implementation: in reverse mode each value of
the forward pass has one adjoint, in every implementation, and this adjoint is the same sum of the
same products.  Implementations differ in the following points.  Each is charged where it arises:

- the order of the factors of a product (`product`) and of the terms of a sum (every Ball);
- a derivative from the output or from the pre-activation, by 1−t² or by (1−t)(1+t) (`slopes`);
- a matrix product over gates or over time: one product, or several that are summed in storage
  (`also_summed`);
- the forms of the GRU's last equation (`cells_backward.gru_local`).

An implementation may compute a value of the forward pass again.  The new value lies in the same
Ball as the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .activations import join, settled, stack
from .cells import Weights, affine, weights_of
from .cells_backward import Adjoints, Last, Tape, weight_gradients
from .kinds import KINDS
from .options import Options, suffixes
from .recurrence import Loop, Running, plus, through
from .steps import parts
from .unroll import Lengths, direction, reversed_in_time

Gradients = dict[str, Any]
#: (index of the layer and direction, then the arguments of `direction_backward`) → its result.
Leg = Callable[..., tuple[Weights, Any, tuple[Any, ...]]]


def direction_backward(
    options: Options,
    w: Weights,
    x: Any,
    tape: Tape,
    upstream: Any,
    last: Last,
    running: Running | None = None,
) -> tuple[Weights, Any, tuple[Any, ...]]:
    """Gradients of one direction: by its weights, by x (T, B, I) and by the initial state.

    `upstream` (T, B, R) is the derivative of the loss by the hidden states, `last` that by the
    final state.  None means zero, for `upstream` and for each part of `last`; but `upstream` and
    last[0] must not both be None.  `running` (T, B, 1) is true where a row runs.  Raises
    `NotImplementedError` for a kind that has no backward pass.
    """
    a = adjoints(options, w, tape, Loop(upstream, running), last)
    return by_weights(options, w, x, a), by_input(options, w, a), a.state


def adjoints(options: Options, w: Weights, tape: Tape, loop: Loop, last: Last) -> Adjoints:
    """The adjoints of one direction; the arguments are those of `direction_backward`."""
    kind = KINDS[options.kind]
    if kind.backward is None:
        raise NotImplementedError(f"the reference has no gradient of {kind.name}")
    return kind.backward(options, w, tape, loop, last)


def by_input(options: Options, w: Weights, a: Adjoints) -> Any:
    """The gradient of one direction by its input x (T, B, I)."""
    return through(a.share, w.ih, len(KINDS[options.kind].gates))


def by_weights(options: Options, w: Weights, x: Any, a: Adjoints) -> Weights:
    """The gradients of one direction by its weights."""
    h, size = a.fed[0], options.hidden_size
    if a.recurrent is a.share:
        ih, hh, b_ih = weight_gradients(a.share, x, h)
        b_hh = b_ih
    else:
        ih, b_ih = weight_gradients(a.share, x)
        hh, b_hh = weight_gradients(a.recurrent, h)
    if len(a.fed) == 2:
        n = weight_gradients(a.recurrent[..., 2 * size :], a.fed[1])[0]
        hh = np.concatenate([hh[: 2 * size], n])
    b_ih = None if w.b_ih is None else b_ih
    b_hh = None if w.b_hh is None else b_hh
    hr = None if a.projected is None else weight_gradients(*a.projected)[0]
    return Weights(ih, hh, b_ih, b_hh, hr)


def _own_leg(index: int, *arguments: Any) -> tuple[Weights, Any, tuple[Any, ...]]:
    return direction_backward(*arguments)


def _layer_upstream(
    upstream: Mapping[str, Any], state: Sequence[Any], unbatched: bool, batch_first: bool
) -> tuple[Any, list[Any]]:
    """Upstream gradients of the output, as (T, B, D·R), and of h_n and c_n; None where absent."""
    output = upstream.get("output")
    finals = [upstream.get(name) for name in ("h_n", "c_n")[: len(state)]]
    if unbatched:
        output = None if output is None else output[:, None]
        finals = [None if d is None else d[:, None] for d in finals]
    elif batch_first and output is not None:
        output = np.swapaxes(output, 0, 1)
    return output, finals


def layer_backward(
    options: Options,
    weights: Mapping[str, Any],
    x: Any,
    state: Sequence[Any],
    upstream: Mapping[str, Any],
    lengths: Sequence[int] | None = None,
    batch_first: bool = False,
    masks: Sequence[Any] = (),
    leg: Leg = _own_leg,
    masks_back: Sequence[Any] | None = None,
) -> Gradients:
    """Gradients of a torch.nn layer by name: input, h_0, c_0 of an LSTM, and every weight.

    Arguments and shapes are those of `unroll.layer`.  `upstream` maps any of output, h_n and c_n
    to the derivative of the loss by it, which has the result's shape; a missing name means zero.
    With `lengths` the upstream gradient of padding is ignored, and the gradient by padding is
    exactly zero.  `leg` is the backward pass of one layer in one direction, and `masks_back` are
    the masks of the backward pass: who gives another computes what a wrong implementation does.
    Raises `ValueError` when time is 0.
    """
    unbatched = x.ndim == 2
    if unbatched:
        x, state = x[:, None, :], [s[:, None, :] for s in state]
    elif batch_first:
        x = np.swapaxes(x, 0, 1)
    if x.shape[0] == 0:
        raise ValueError("the input has time 0; expected at least one step")
    d_output, d_finals = _layer_upstream(upstream, state, unbatched, batch_first)
    ends = None if lengths is None else np.asarray(lengths, dtype=np.int64)
    running = None
    if ends is not None and not (ends == x.shape[0]).all():
        running = (np.arange(x.shape[0])[:, None] < ends)[..., None]
        x = np.where(running, x, 0.0)  # padding may hold anything, and 0·∞ is not 0
        d_output = None if d_output is None else np.where(running, d_output, 0.0)
    else:
        ends = None
    with np.errstate(all="ignore"):
        own = [weights_of(weights, suffix, x) for suffix in suffixes(options)]
        inputs, tapes = _forward(options, own, x, state, ends, masks)
        gradients, dx, d_states = _backward(
            options,
            own,
            inputs,
            tapes,
            d_output,
            d_finals,
            ends,
            running,
            masks if masks_back is None else masks_back,
            leg,
        )
        starts = [stack([d[k] for d in d_states]) for k in range(len(state))]
    if unbatched:
        dx, starts = dx[:, 0], [s[:, 0] for s in starts]
    elif batch_first:
        dx = np.swapaxes(dx, 0, 1)
    named = dict(zip(("h_0", "c_0"), starts, strict=False))
    return {"input": dx, **named, **gradients}


def _forward(
    options: Options,
    weights: Sequence[Weights],
    x: Any,
    state: Sequence[Any],
    lengths: Lengths | None,
    masks: Sequence[Any],
) -> tuple[list[Any], list[Any]]:
    """The input of each layer (T, B, ·), and the tape of each layer and direction."""
    inputs, tapes = [], []
    for layer in range(options.num_layers):
        inputs.append(x)
        halves: list[Any] = []
        for half in range(options.directions):
            index = layer * options.directions + half
            tape: list[Any] = []
            start = tuple(s[index] for s in state)
            outputs, _ = direction(options, weights[index], x, start, lengths, half == 1, tape)
            tapes.append(tape)
            if layer < options.num_layers - 1:
                halves.append(stack(outputs))
        if halves:
            x = halves[0] if len(halves) == 1 else join(halves)
            x = x * masks[layer] if masks else x
    return inputs, tapes


def _backward(
    options: Options,
    weights: Sequence[Weights],
    inputs: list[Any],
    tapes: list[Any],
    d_output: Any,
    d_finals: list[Any],
    lengths: Lengths | None,
    running: Running | None,
    masks: Sequence[Any],
    leg: Leg,
) -> tuple[Gradients, Any, list[tuple[Any, ...]]]:
    """Gradients of the weights, of the input (T, B, I), and of each direction's first state."""
    gradients: Gradients = {}
    width, names = options.state_size, suffixes(options)
    d_states: list[tuple[Any, ...]] = [()] * len(names)
    for layer in range(options.num_layers - 1, -1, -1):
        dx = None
        for half in range(options.directions):
            index = layer * options.directions + half
            d = None if d_output is None else d_output[..., half * width : (half + 1) * width]
            x = inputs[layer]
            if half:
                x = reversed_in_time(x, lengths)
                d = None if d is None else reversed_in_time(d, lengths)
            last = tuple(None if final is None else final[index] for final in d_finals)
            if d is None and last[0] is None:
                last = (np.zeros_like(tapes[index][0][0][0]), *last[1:])
            own, d_half, d_states[index] = leg(
                index, options, weights[index], x, tapes[index], d, last, running
            )
            gradients |= _named(own, names[index])
            dx = plus(dx, reversed_in_time(d_half, lengths) if half else d_half)
        if layer and masks:
            dx = dx * masks[layer - 1]
        d_output = settled(dx)
    return gradients, d_output, d_states


def _named(gradients: Weights, suffix: str) -> Gradients:
    """The gradients of one direction's weights by torch.nn's names, settled."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    pairs = zip(names, gradients, strict=True)
    return {name + suffix: settled(d) for name, d in pairs if d is not None}


def cell_backward(
    options: Options,
    weights: Mapping[str, Any],
    x: Any,
    state: Sequence[Any],
    upstream: Mapping[str, Any],
    leg: Leg = _own_leg,
) -> Gradients:
    """Gradients of a torch.nn cell by name: input, h_0, c_0 of an LSTM, and every weight.

    x (B, I) or (I,), states (B, H) or (H,).  `upstream` maps any of h and c to the derivative of
    the loss by it; a missing name means zero.  `leg` is as in `layer_backward`.
    """
    unbatched = x.ndim == 1
    last = [upstream.get(name) for name in ("h", "c")[: len(state)]]
    if unbatched:
        x, state = x[None], [s[None] for s in state]
        last = [None if d is None else d[None] for d in last]
    if last[0] is None:
        last[0] = np.zeros_like(state[0])
    with np.errstate(all="ignore"):
        before = tuple(state)
        w = weights_of(weights, "", x)
        tape = [(before, parts(options, w, affine(x, w.ih, w.b_ih), before))]
        own, dx, first = leg(0, options, w, x[None], tape, None, tuple(last), None)
        gradients = {"input": dx[0], **dict(zip(("h_0", "c_0"), first, strict=False))}
        gradients = {n: settled(d[0] if unbatched else d) for n, d in gradients.items()}
        return {**gradients, **_named(own, "")}
