"""Argument checks of the cells and layers.  A message names the value and what is accepted."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number

import torch
from torch import Tensor, nn

NONLINEARITIES = ("tanh", "relu")


def first_weight(module: nn.Module, of_replica: Callable[[], Tensor]) -> Tensor:
    """The first parameter, or the first weight of a replica of DataParallel, which has none.

    To read a parametrized weight would evaluate it, so the parameter comes first.
    """
    for parameter in module.parameters():
        return parameter
    return of_replica()


def check_size(name: str, value: object, least: int = 1) -> None:
    """Raise `TypeError` if `value` is not an int, `ValueError` if it is less than `least`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} should be of type int, got: {type(value).__name__} {value!r}")
    if value < least:
        bound = "greater than zero" if least == 1 else f"at least {least}"
        raise ValueError(f"{name} must be {bound}, got {value}")


def check_nonlinearity(value: object) -> None:
    """Raise `ValueError` if `value` is not 'tanh' or 'relu'."""
    if value not in NONLINEARITIES:
        raise ValueError(
            f"Unknown nonlinearity {value!r}. Select from {', '.join(NONLINEARITIES)}."
        )


def check_dropout(value: object) -> None:
    """Raise `ValueError` if `value` is not a number in [0, 1]."""
    if not isinstance(value, Number) or isinstance(value, bool) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            f"element being zeroed, got {value!r}"
        )


def check_tensor(name: str, value: object) -> None:
    """Raise `TypeError` if `value` is not a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} should be a Tensor, got: {type(value).__name__} {value!r}")


def _autocast(device: str) -> bool:
    """Whether autocast is on for a device type; torch before 2.4 has one function per type."""
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:
        return torch.is_autocast_cpu_enabled() if device == "cpu" else torch.is_autocast_enabled()


def check_dtype(name: str, x: Tensor, weight: Tensor) -> None:
    """Raise `ValueError` if the dtypes differ, except under autocast, which casts both."""
    if x.dtype != weight.dtype and not _autocast(x.device.type):
        raise ValueError(f"{name} has dtype {x.dtype}, expected the weights' {weight.dtype}")
