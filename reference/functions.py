"""Functions that NumPy does not have, for real and complex arrays; Balls and Duals have rules.

The functions are analytic between their kinks, so a complex step through them gives a derivative.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from .activations import sigmoid


@singledispatch
def absolute(x: Any) -> Any:
    """|x|, elementwise; −x where Re x < 0, so that a complex step through it gives ±1."""
    return np.where(np.real(x) < 0, -x, x)


@singledispatch
def softplus(x: Any) -> Any:
    """log(1+eˣ), elementwise, as max(x, 0) + log1p(e^−|x|), which cannot overflow.

    torch.nn.functional.softplus returns x itself above 20; a Ball covers this as well.
    """
    positive = np.real(x) > 0
    e = np.exp(np.where(positive, -x, x))
    # NumPy's complex log1p takes the logarithm of 1+e; 2 artanh(e/(2+e)) is the same function.
    rest = 2.0 * np.arctanh(e / (2.0 + e)) if np.iscomplexobj(e) else np.log1p(e)
    return np.where(positive, x, 0.0) + rest


@singledispatch
def log_sigmoid(x: Any) -> Any:
    """log σ(x) = −log(1+e⁻ˣ), elementwise."""
    return -softplus(-x)


@singledispatch
def silu(x: Any) -> Any:
    """x σ(x), elementwise (Elfwing et al. 2018; `swish` with β = 1 in Ramachandran et al. 2017)."""
    return x * sigmoid(x)


@singledispatch
def hard_sigmoid(x: Any, slope: float = 1 / 6, offset: float = 0.5) -> Any:
    """slope·x + offset, cut to [0, 1], elementwise.

    torch and Keras 3 have slope 1/6, as relu6(x+3)/6.  ONNX's default and Keras 2 have slope 0.2.
    """
    a = slope * x + offset
    return np.where(np.real(a) <= 0, 0.0, np.where(np.real(a) >= 1, 1.0, a))


@singledispatch
def hard_tanh(x: Any) -> Any:
    """x cut to [−1, 1], elementwise."""
    return np.where(np.real(x) <= -1, -1.0, np.where(np.real(x) >= 1, 1.0, x))


@singledispatch
def layer_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x − mean)/√(var + eps) ∘ weight + bias over the last axis (Ba, Kiros & Hinton 2016).

    var is the mean of the squared differences, without Bessel's correction.  eps stands inside the
    root, as in torch.nn.LayerNorm.  Shapes: x (..., H), weight and bias (H) or None → (..., H).
    """
    d = x - np.mean(x, axis=-1, keepdims=True)
    y = d / np.sqrt(np.mean(d * d, axis=-1, keepdims=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@singledispatch
def rms_norm(x: Any, weight: Any = None, eps: float = 1e-5) -> Any:
    """x/√(mean(x²) + eps) ∘ weight over the last axis (Zhang & Sennrich 2019).

    eps stands inside the root, as in torch.nn.RMSNorm.  Shapes: x (..., H), weight (H) or None.
    """
    y = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    return y if weight is None else y * weight
