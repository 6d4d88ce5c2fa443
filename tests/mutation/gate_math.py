"""Mutants of the gate equations, of the weights that they read and of their biases."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from .registry import blocks, projected, recurrent, steps, weights

LSTMS, GRUS, RNNS = ("LSTM", "LSTMCell"), ("GRU", "GRUCell"), ("RNN", "RNNCell")
State = tuple[Tensor, ...]


def lstm(module: Any, x: Tensor, state: State, suffix: str, **wrong: Any) -> State:
    """An LSTM step with parts replaced: gates by name, `c` and `h` by functions."""
    i, f, g, o = (x + recurrent(module, state[0], suffix)).chunk(4, dim=-1)
    act = {
        "i": torch.sigmoid,
        "f": torch.sigmoid,
        "g": torch.tanh,
        "o": torch.sigmoid,
    }
    act.update({k: v for k, v in wrong.items() if k in act})
    i, f, g, o = act["i"](i), act["f"](f), act["g"](g), act["o"](o)
    c = wrong.get("c", lambda i, f, g, c: f * c + i * g)(i, f, g, state[1])
    h = wrong.get("h", lambda o, c: o * torch.tanh(c))(o, c)
    return projected(module, h, suffix), c


def gru(module: Any, x: Tensor, state: State, suffix: str, **wrong: Any) -> State:
    """A GRU step with parts replaced: `n` and `h` by functions."""
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    h_r, h_z, h_n = recurrent(module, h, suffix).chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    n = wrong.get("n", lambda x_n, r, h_n: torch.tanh(x_n + r * h_n))(x_n, r, h_n)
    return (wrong.get("h", lambda z, n, h: (1 - z) * n + z * h)(z, n, h),)


def hard_sigmoid(a: Tensor) -> Tensor:
    return (0.2 * a + 0.5).clamp(0, 1)


@steps("hard-sigmoid-forget-gate", "Keras 1's recurrent_activation in place of σ", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, f=hard_sigmoid)


@steps("candidate-added", "torchrecurrent 22: c' uses i + g", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, c=lambda i, f, g, c: f * c + i + g)


@steps("coupled-gates", "f taken as 1 − i, as in a coupled variant", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, c=lambda i, f, g, c: (1 - i) * c + i * g)


@steps("no-tanh-of-the-cell", "fastbook PR 316: h' = o∘c'", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, h=lambda o, c: o * c)


@steps("candidate-by-sigmoid", "g = σ, as one loop over all gates makes it", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, g=torch.sigmoid)


@steps("output-gate-not-applied", "h' = tanh(c')", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, h=lambda o, c: torch.tanh(c))


@steps("forget-bias-of-one", "unit_forget_bias added in the call and not in the weights", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, f=lambda a: torch.sigmoid(a + 1))


@steps("old-cell-in-the-output", "h' = o∘tanh(c), the state of the step before", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    _, c = lstm(module, x, state, suffix)
    o = torch.sigmoid((x + recurrent(module, state[0], suffix)).chunk(4, dim=-1)[3])
    return projected(module, o * torch.tanh(state[1]), suffix), c


@steps("clipped-cell", "cuDNN's cell clipping left on", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return lstm(module, x, state, suffix, c=lambda i, f, g, c: (f * c + i * g).clamp(-1, 1))


@steps("peephole", "a peephole of weight 0.001 from c to the output gate", LSTMS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    i, f, g, o = (x + recurrent(module, state[0], suffix)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o + 0.001 * c) * torch.tanh(c)
    return projected(module, h, suffix), c


@steps("update-gate-inverted", "torch 20129, minGRU 21: z for 1 − z", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return gru(module, x, state, suffix, h=lambda z, n, h: z * n + (1 - z) * h)


@steps("reset-never-applied", "GRU-D 2: the candidate reads all of h", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return gru(module, x, state, suffix, n=lambda x_n, r, h_n: torch.tanh(x_n + h_n))


@steps("reset-before-the-matmul", "torch 99531, burn 2701: Cho et al.'s form", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    h_r, h_z, _ = recurrent(module, h, suffix).chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    h_n = recurrent(module, r * h, suffix).chunk(3, dim=-1)[2]
    return ((1 - z) * torch.tanh(x_n + h_n) + z * h,)


@steps("candidate-by-sigmoid", "n = σ", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return gru(module, x, state, suffix, n=lambda x_n, r, h_n: torch.sigmoid(x_n + r * h_n))


@steps("reset-of-the-input", "r multiplies the input's share and not the recurrent one", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return gru(module, x, state, suffix, n=lambda x_n, r, h_n: torch.tanh(r * x_n + h_n))


@steps("bias-outside-the-reset", "b_hn added outside of r∘(·), as in Keras 1", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    bias = getattr(module, f"bias_hh{suffix}", None)
    b_n = 0.0 if bias is None else bias.chunk(3)[2]
    return gru(
        module,
        x,
        state,
        suffix,
        n=lambda x_n, r, h_n: torch.tanh(x_n + r * (h_n - b_n) + b_n),
    )


@steps("reset-state-in-the-blend", "hgru4rec 11: h' blends n with r∘h", GRUS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    (h,) = state
    r = torch.sigmoid((x + recurrent(module, h, suffix)).chunk(3, dim=-1)[0])
    return gru(module, x, state, suffix, h=lambda z, n, h: (1 - z) * n + z * r * h)


@steps("no-nonlinearity", "the tutorial's RNN: an affine map", RNNS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return (x + recurrent(module, state[0], suffix),)


@steps("nonlinearity-ignored", "relu asked for, tanh computed", RNNS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return (torch.tanh(x + recurrent(module, state[0], suffix)),)


@steps("leaky-relu", "relu with a slope of 0.01 below 0", RNNS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = x + recurrent(module, state[0], suffix)
    if module.nonlinearity == "tanh":
        return (torch.tanh(a),)
    return (torch.nn.functional.leaky_relu(a),)


@steps("capped-relu", "relu capped at 6", RNNS)
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    a = x + recurrent(module, state[0], suffix)
    return (torch.tanh(a) if module.nonlinearity == "tanh" else a.clamp(0, 6),)


def gated(name: str) -> bool:
    return not name.startswith("weight_hr")


@weights("input-and-forget-swapped", "Keras 8720: weights in the wrong gate order", LSTMS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "figo", "ifgo") if gated(name) else w


@weights("iofc-order", "CrispASR 106: ONNX's i o f c read as i f g o", LSTMS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "igof", "ifgo") if gated(name) else w


@weights("candidate-and-output-swapped", "coremltools 93: gate order in the docs", LSTMS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "ifog", "ifgo") if gated(name) else w


@weights("recurrent-gates-swapped", "i and f swapped in weight_hh alone", LSTMS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "figo", "ifgo") if name.startswith("weight_hh") else w


@weights("bias-gates-swapped", "numpy-ml 42: the forget gate uses the output gate's bias", LSTMS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "iogo", "ifgo") if name.startswith("bias_ih") else w


@weights("reset-and-update-swapped", "Keras z r h read as r z n", GRUS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "zrn", "rzn")


@weights("update-and-candidate-swapped", "Keras 8720 for a GRU", GRUS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return blocks(w, "rnz", "rzn")


@weights("no-candidate-bias", "flax 5594: no b_hn", GRUS)
def _(name: str, w: Tensor, module: Any) -> Tensor:
    if not name.startswith("bias_hh"):
        return w
    r, z, n = w.chunk(3)
    return torch.cat((r, z, 0 * n))


@weights("bias-hh-dropped", "torch-xpu-ops 3770: the second bias is ignored")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return 0 * w if name.startswith("bias_hh") else w


@weights("bias-ih-dropped", "flax 17: the first bias is ignored")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return 0 * w if name.startswith("bias_ih") else w


@weights("bias-twice", "bias_ih added in both places")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    other = name.replace("bias_hh", "bias_ih")
    return getattr(module, other) if name.startswith("bias_hh") else w


@weights("recurrent-weights-transposed", "h W in place of h Wᵀ")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    if not name.startswith("weight_hh") or w.shape[0] % w.shape[1]:
        return w
    return torch.cat([b.T for b in w.split(w.shape[1])])


@weights("recurrent-weights-halved", "a scale of 1/2 left in the recurrent product")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return w / 2 if name.startswith("weight_hh") else w


@weights("relative-error-of-1e-3", "a weight quantized to eleven bits")
def _(name: str, w: Tensor, module: Any) -> Tensor:
    return w * (1 + 1e-3) if name.startswith("weight_ih") else w


def projection_of_the_cell(module: Any, x: Tensor, state: State, suffix: str) -> State:
    i, f, g, o = (x + recurrent(module, state[0], suffix)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    w_hr = getattr(module, f"weight_hr{suffix}", None)
    if w_hr is None:
        return torch.sigmoid(o) * torch.tanh(c), c
    return linear(torch.tanh(c), w_hr) * torch.sigmoid(o)[..., : w_hr.shape[0]], c


@steps("gate-after-the-projection", "torch 139582: when the projection applies", ("LSTM",))
def _(kind: str, module: Any, x: Tensor, state: State, suffix: str) -> State:
    return projection_of_the_cell(module, x, state, suffix)
