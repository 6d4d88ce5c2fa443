"""Each published kind in PyTorch, in two forms: as printed, and fused or in another order.

The slope of relu at 0 is 0, as in torch.relu.  That of torch.clamp(min=0) is 1 there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, logsigmoid, relu, softplus, threshold

from .modules import Step

States = tuple[Tensor, ...]
Result = tuple[Tensor, States]
sigmoid, tanh = torch.sigmoid, torch.tanh


def peephole(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    a = linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)
    i, f, g, o = a.chunk(4, -1)
    i, f = sigmoid(i + w.peephole[0] * c), sigmoid(f + w.peephole[1] * c)
    c = f * c + i * tanh(g)
    h = sigmoid(o + w.peephole[2] * c) * tanh(c)
    return h, (h, c)


def peephole_fused(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    whole = torch.cat([w.weight_ih, w.weight_hh], 1)
    a = torch.cat([x, h], -1) @ whole.T + w.bias
    i, f, g, o = a.chunk(4, -1)
    seen = torch.cat([c, c], -1) * w.peephole[:2].flatten()
    i, f = sigmoid(torch.cat([i, f], -1) + seen).chunk(2, -1)
    c = i * tanh(g) + c * f
    h = tanh(c) * sigmoid(c * w.peephole[2] + o)
    return h, (h, c)


def coupled(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    a = linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)
    i, g, o = a.chunk(3, -1)
    i = sigmoid(i)
    c = (1 - i) * c + i * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def coupled_lerp(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    whole = torch.cat([w.weight_ih, w.weight_hh], 1)
    i, g, o = linear(torch.cat([x, h], -1), whole, w.bias).chunk(3, -1)
    c = c + sigmoid(i) * (tanh(g) - c)
    h = tanh(c) * sigmoid(o)
    return h, (h, c)


def forget_one(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    i, f, g, o = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(4, -1)
    c = sigmoid(f + 1.0) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def forget_one_in_the_bias(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    one = torch.zeros_like(w.bias)
    one[h.shape[-1] : 2 * h.shape[-1]] = 1.0
    i, f, g, o = (linear(h, w.weight_hh, w.bias) + one + linear(x, w.weight_ih)).chunk(4, -1)
    c = torch.addcmul(sigmoid(i) * tanh(g), sigmoid(f), c)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def clipped(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    i, f, g, o = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(4, -1)
    c = (sigmoid(f) * c + sigmoid(i) * tanh(g)).clamp(-3.0, 3.0)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def clipped_by_minimum(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    i, f, g, o = (linear(h, w.weight_hh) + linear(x, w.weight_ih) + w.bias).chunk(4, -1)
    c = torch.addcmul(sigmoid(f) * c, sigmoid(i), tanh(g))
    limit = torch.full_like(c, 3.0)
    c = torch.maximum(torch.minimum(c, limit), -limit)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def layer_norm_lstm(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    size = h.shape[-1]
    a = layer_norm(linear(x, w.weight_ih), (4 * size,), w.norm_ih[0], w.norm_ih[1], 1e-5)
    a = a + layer_norm(linear(h, w.weight_hh), (4 * size,), w.norm_hh[0], w.norm_hh[1], 1e-5)
    i, f, g, o = a.chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    c = layer_norm(c, (size,), w.norm_c[0], w.norm_c[1], 1e-5)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def _normed(a: Tensor, norm: Tensor) -> Tensor:
    mean = a.mean(-1, keepdim=True)
    centred = a - mean
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + 1e-5) * norm[0] + norm[1]


def layer_norm_lstm_by_hand(x: Tensor, s: States, w: Any) -> Result:
    h, c = s
    a = _normed(h @ w.weight_hh.T, w.norm_hh) + _normed(x @ w.weight_ih.T, w.norm_ih)
    i, f, g, o = a.chunk(4, -1)
    c = _normed(sigmoid(i) * tanh(g) + sigmoid(f) * c, w.norm_c)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def zoneout(x: Tensor, s: States, w: Any) -> Result:
    h, c, dh, dc = s
    i, f, g, o = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(4, -1)
    new = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = dh * h + (1 - dh) * (sigmoid(o) * tanh(new))
    return h, (h, dc * c + (1 - dc) * new, dh, dc)


def zoneout_lerp(x: Tensor, s: States, w: Any) -> Result:
    h, c, dh, dc = s
    whole = torch.cat([w.weight_ih, w.weight_hh], 1)
    i, f, g, o = linear(torch.cat([x, h], -1), whole, w.bias).chunk(4, -1)
    new = torch.addcmul(tanh(g) * sigmoid(i), sigmoid(f), c)
    out = tanh(new) * sigmoid(o)
    h = out + dh * (h - out)
    return h, (h, new + (c - new) * dc, dh, dc)


def recurrent_dropout(x: Tensor, s: States, w: Any) -> Result:
    h, c, d = s
    i, f, g, o = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * (d * tanh(g))
    h = sigmoid(o) * tanh(c)
    return h, (h, c, d)


def recurrent_dropout_fused(x: Tensor, s: States, w: Any) -> Result:
    h, c, d = s
    whole = torch.cat([w.weight_ih, w.weight_hh], 1)
    i, f, g, o = (torch.cat([x, h], -1) @ whole.T + w.bias).chunk(4, -1)
    c = torch.addcmul(sigmoid(i) * tanh(g) * d, sigmoid(f), c)
    h = tanh(c) * sigmoid(o)
    return h, (h, c, d)


def mgu(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    f_x, n_x = linear(x, w.weight_ih, w.bias).chunk(2, -1)
    w_f, w_n = w.weight_hh.chunk(2)
    f = sigmoid(f_x + linear(h, w_f))
    n = tanh(n_x + linear(f * h, w_n))
    h = (1 - f) * h + f * n
    return h, (h,)


def mgu_lerp(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    w_f, w_n = torch.cat([w.weight_ih, w.weight_hh], 1).chunk(2)
    b_f, b_n = w.bias.chunk(2)
    f = sigmoid(linear(torch.cat([x, h], -1), w_f, b_f))
    n = tanh(linear(torch.cat([x, h * f], -1), w_n, b_n))
    h = torch.lerp(h, n, f)
    return h, (h,)


def ligru(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    z, n = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(2, -1)
    z = sigmoid(z)
    h = z * h + (1 - z) * relu(n)
    return h, (h,)


def ligru_lerp(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    z, n = (linear(h, w.weight_hh, w.bias) + linear(x, w.weight_ih)).chunk(2, -1)
    n = threshold(n, 0.0, 0.0)
    h = n + sigmoid(z) * (h - n)
    return h, (h,)


def layer_norm_gru(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    size = h.shape[-1]
    a_x = layer_norm(linear(x, w.weight_ih), (3 * size,), w.norm_ih[0], w.norm_ih[1], 1e-5)
    a_h = layer_norm(linear(h, w.weight_hh), (3 * size,), w.norm_hh[0], w.norm_hh[1], 1e-5)
    (r_x, z_x, n_x), (r_h, z_h, n_h) = a_x.chunk(3, -1), a_h.chunk(3, -1)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = tanh(n_x + r * n_h)
    h = (1 - z) * n + z * h
    return h, (h,)


def layer_norm_gru_by_hand(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    r_x, z_x, n_x = _normed(linear(x, w.weight_ih), w.norm_ih).chunk(3, -1)
    r_h, z_h, n_h = _normed(linear(h, w.weight_hh), w.norm_hh).chunk(3, -1)
    n = tanh(torch.addcmul(n_x, sigmoid(r_h + r_x), n_h))
    h = n + sigmoid(z_h + z_x) * (h - n)
    return h, (h,)


def indrnn(x: Tensor, s: States, w: Any) -> Result:
    h = relu(linear(x, w.weight_ih) + w.weight_hh * s[0] + w.bias)
    return h, (h,)


def indrnn_fused(x: Tensor, s: States, w: Any) -> Result:
    h = torch.addcmul(linear(x, w.weight_ih, w.bias), s[0], w.weight_hh)
    h = threshold(h, 0.0, 0.0)
    return h, (h,)


def min_gru(x: Tensor, s: States, w: Any) -> Result:
    z, n = linear(x, w.weight_ih, w.bias).chunk(2, -1)
    z = sigmoid(z)
    h = (1 - z) * s[0] + z * n
    return h, (h,)


def min_gru_lerp(x: Tensor, s: States, w: Any) -> Result:
    z, n = (w.bias + x @ w.weight_ih.T).chunk(2, -1)
    h = s[0] + (n - s[0]) * sigmoid(z)
    return h, (h,)


def min_lstm(x: Tensor, s: States, w: Any) -> Result:
    f, i, n = linear(x, w.weight_ih, w.bias).chunk(3, -1)
    f, i = sigmoid(f), sigmoid(i)
    h = f / (f + i) * s[0] + i / (f + i) * n
    return h, (h,)


def min_lstm_common(x: Tensor, s: States, w: Any) -> Result:
    f, i, n = (x @ w.weight_ih.T + w.bias).chunk(3, -1)
    f, i = sigmoid(f), sigmoid(i)
    h = s[0] * (f / (f + i)) + n * (i / (f + i))
    return h, (h,)


def sru(x: Tensor, s: States, w: Any) -> Result:
    (c,) = s
    n, f, r, skip = linear(x, w.weight_ih).chunk(4, -1)
    b_f, b_r = w.bias.chunk(2)
    f, r = sigmoid(f + w.weight_c[0] * c + b_f), sigmoid(r + w.weight_c[1] * c + b_r)
    c = f * c + (1 - f) * n
    return r * c + (1 - r) * skip, (c,)


def sru_lerp(x: Tensor, s: States, w: Any) -> Result:
    (c,) = s
    n, f, r, skip = (x @ w.weight_ih.T).chunk(4, -1)
    b_f, b_r = w.bias.chunk(2)
    f, r = sigmoid(b_f + f + c * w.weight_c[0]), sigmoid(b_r + r + c * w.weight_c[1])
    c = n + f * (c - n)
    return skip + (c - skip) * r, (c,)


def slstm(x: Tensor, s: States, w: Any) -> Result:
    h, c, n, m = s
    i, f, z, o = (linear(x, w.weight_ih, w.bias) + linear(h, w.weight_hh)).chunk(4, -1)
    f = logsigmoid(f) + m
    m = torch.maximum(f, i)
    i, f = torch.exp(i - m), torch.exp(f - m)
    c = f * c + i * tanh(z)
    n = f * n + i
    h = sigmoid(o) * c / n
    return h, (h, c, n, m)


def slstm_softplus(x: Tensor, s: States, w: Any) -> Result:
    h, c, n, old = s
    i, f, z, o = (linear(h, w.weight_hh, w.bias) + linear(x, w.weight_ih)).chunk(4, -1)
    f = -softplus(-f)
    m = torch.max(i, old + f)
    i, f = (i - m).exp(), (old - m + f).exp()
    c = torch.addcmul(i * tanh(z), f, c)
    n = i + n * f
    h = c / n * sigmoid(o)
    return h, (h, c, n, m)


def rg_lru(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    u = x @ w.weight_in.T
    r, i = sigmoid(linear(u, w.weight_gates, w.bias)).chunk(2, -1)
    a = torch.exp(-8 * softplus(w.decay) * r)
    h = a * h + torch.sqrt(1 - a**2) * (i * u)
    return h, (h,)


def rg_lru_by_logs(x: Tensor, s: States, w: Any) -> Result:
    (h,) = s
    u = linear(x, w.weight_in)
    r, i = (u @ w.weight_gates.T + w.bias).chunk(2, -1)
    log_a = 8 * sigmoid(r) * logsigmoid(-w.decay)
    h = torch.addcmul(torch.sqrt(1 - torch.exp(2 * log_a)) * u * sigmoid(i), torch.exp(log_a), h)
    return h, (h,)


#: Kind → its two forms.
FORMS: dict[str, tuple[Step, Step]] = {
    "PeepholeLSTM": (peephole, peephole_fused),
    "CoupledLSTM": (coupled, coupled_lerp),
    "ForgetOneLSTM": (forget_one, forget_one_in_the_bias),
    "ClippedLSTM": (clipped, clipped_by_minimum),
    "LayerNormLSTM": (layer_norm_lstm, layer_norm_lstm_by_hand),
    "ZoneoutLSTM": (zoneout, zoneout_lerp),
    "RecurrentDropoutLSTM": (recurrent_dropout, recurrent_dropout_fused),
    "MGU": (mgu, mgu_lerp),
    "LiGRU": (ligru, ligru_lerp),
    "LayerNormGRU": (layer_norm_gru, layer_norm_gru_by_hand),
    "IndRNN": (indrnn, indrnn_fused),
    "MinGRU": (min_gru, min_gru_lerp),
    "MinLSTM": (min_lstm, min_lstm_common),
    "SRU": (sru, sru_lerp),
    "RGLRU": (rg_lru, rg_lru_by_logs),
    "SLSTM": (slstm, slstm_softplus),
}
