"""A function of JAX arrays as a function of torch's tensors, with gradients from `jax.vjp`.

XLA compiles the function, and its vjp, once for each set of shapes and dtypes in a process.  The
environment variable JAX_COMPILATION_CACHE_DIR names a folder that keeps what is compiled for the
next process; with JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 this saves most of a run's time.

JAX computes in float64 only if `jax_enable_x64` is set; importing this module sets it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
from torch import Tensor

from .foreign import GAPS, Pull, through

jax.config.update("jax_enable_x64", True)

#: What no function of `of_tensors` offers.
UNSUPPORTED = {**GAPS, "mixed_dtypes_are_refused": "JAX promotes dtypes: see its type promotion"}


def of_tensors(function: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    """The function with torch's tensors as its arguments, by position or by name.

    `function` takes JAX arrays and returns them, nested anyhow; `jax.jit` must be able to trace it.
    The results are the leaves of what it returns, as tensors on the device of the first argument.
    Raises what JAX raises.
    """

    def flat(names: tuple[str, ...], arrays: Any) -> list[Any]:
        first = len(arrays) - len(names)
        named = dict(zip(names, arrays[first:], strict=True))
        return jax.tree.leaves(function(*arrays[:first], **named))

    def gradients(names: tuple[str, ...], arrays: Any, upstream: Any) -> Any:
        return jax.vjp(lambda *given: flat(names, given), *arrays)[1](upstream)

    compiled = jax.jit(flat, static_argnums=0)
    compiled_gradients = jax.jit(gradients, static_argnums=0)

    @wraps(function)
    def called(*tensors: Tensor, **named: Tensor) -> tuple[Tensor, ...]:
        names = tuple(named)

        def call(*arrays: Any) -> tuple[list[Any], Pull]:
            own = [jnp.asarray(a) for a in arrays]

            def pull(*upstream: Any) -> Any:
                return compiled_gradients(names, own, [jnp.asarray(u) for u in upstream])

            return compiled(names, own), pull

        return through(call, *tensors, *named.values())

    return called
