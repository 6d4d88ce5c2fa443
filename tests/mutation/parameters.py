"""Mutants of the parameters: names, shapes, counts, initial values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .registry import CLASSES, LAYERS, mutant


def initialised(name: str, models: str, draw: Any) -> None:
    """Register a wrong initialisation: `draw(weight, bound)` fills each weight."""

    def make(base: Any) -> type:
        class Mutant(base):
            def reset_parameters(self) -> None:
                bound = self.hidden_size**-0.5
                with torch.no_grad():
                    for weight in self.parameters():
                        draw(weight, bound)

        return Mutant

    mutant(name, "parameters", models, CLASSES)(make)


initialised("normal-initialisation", "normal in place of uniform", lambda w, b: w.normal_(0, b))
initialised("wide-initialisation", "±2/√H", lambda w, b: w.uniform_(-2 * b, 2 * b))
initialised("narrow-initialisation", "±0.8/√H", lambda w, b: w.uniform_(-0.8 * b, 0.8 * b))
initialised("positive-initialisation", "flax 17: [0, 1/√H)", lambda w, b: w.uniform_(0, b))
initialised("zero-initialisation", "the call of reset_parameters forgotten", lambda w, b: w.zero_())


@mutant("one-more-parameter", "parameters", "a scale that is trained beside the weights")
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.scale = nn.Parameter(torch.ones(1))

    return Mutant


@mutant("bias-of-one-gate-short", "parameters", "torch 1721: a bias of another shape")
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            for name, p in list(self.named_parameters()):
                if name.startswith("bias_hh"):
                    setattr(self, name, nn.Parameter(p.detach()[None]))

    return Mutant


@mutant("weights-as-buffers", "parameters", "torch 65688: recurrent weights that are not trained")
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            for name, p in list(self.named_parameters()):
                if name.startswith("weight_hh"):
                    delattr(self, name)
                    self.register_buffer(name, p.detach())

    return Mutant


@mutant("names-of-another-library", "parameters", "Keras's names: kernel, recurrent_kernel")
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            for name, p in list(self.named_parameters()):
                if name.startswith("weight_ih"):
                    delattr(self, name)
                    self.register_parameter(name.replace("weight_ih", "kernel"), p)
                    object.__setattr__(self, name, p)

    return Mutant


@mutant("bias-kept-without-bias", "parameters", "equinox 215: use_bias handled wrongly")
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("bias", None)
            super().__init__(*args, **kwargs)

    return Mutant


@mutant("option-ignored", "parameters", "bidirectional accepted and ignored", LAYERS)
def _(base: Any) -> type:
    class Mutant(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("bidirectional", None)
            super().__init__(*args, **kwargs)

    return Mutant
