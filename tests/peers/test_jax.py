"""Equinox's cells and Haiku's cores through `jax.vjp`, where they are installed.

Of one size: XLA compiles every function anew for each set of shapes.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest
import torch

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.subjects.loading import as_subject
from gatewise.properties.subjects.protocol import Subject

CELLS = ("equinox:LSTMCell", "equinox:GRUCell", "haiku:LSTM", "haiku:GRU", "haiku:VanillaRNN")
UNROLLS = ("haiku:UnrolledLSTM", "haiku:UnrolledGRU", "haiku:UnrolledVanillaRNN")
SIZES: dict[str, Any] = {"input_size": 3, "hidden_size": 2, "batch": 4, "forms": ("dense",)}


def needed(package: str) -> None:
    """Skip where a package is absent; one that is there and fails on import is a failure."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def record(subject: Subject, prop: str, precision: str = "float32", **only: Any) -> Record:
    """The record of a property on a subject of one size."""
    claim = CATALOGUE[prop]
    narrow = replace(claim, constraints={**claim.constraints, **SIZES, **only})
    return run(Plan(narrow, subject, precision), profile="quick", seed=3)


def of(spec: str) -> Subject:
    """The subject `gatewise.peers.SPEC`."""
    needed(spec.partition(":")[0])
    return as_subject(f"gatewise.peers.{spec}")


@pytest.mark.parametrize("spec", [*CELLS, *UNROLLS])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_results_and_gradients_are_right(spec: str, precision: str) -> None:
    only = {"time": 3} if spec in UNROLLS else {}
    own = "gradient_of_own_weights" if "LSTM" in spec and "haiku" in spec else ""
    for prop in ("equals_reference", own or "gradient_of_weight_hh", "gradient_of_input"):
        found = record(of(spec), prop, precision, **only)
        assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("spec", CELLS)
def test_a_cell_takes_one_row(spec: str) -> None:
    claim = replace(CATALOGUE["equals_reference"], constraints={"forms": ("unbatched",)})
    sizes = {"input_size": 3, "hidden_size": 2}
    claim = replace(claim, constraints={**claim.constraints, **sizes})
    found = run(Plan(claim, of(spec), "float32"), profile="quick", seed=3)
    assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("spec", UNROLLS)
def test_an_unroll_resets_its_state(spec: str) -> None:
    claim = CATALOGUE["a_reset_begins_with_zeros"]
    claim = replace(claim, constraints={**claim.constraints, "input_size": 3, "hidden_size": 2})
    found = run(Plan(claim, of(spec), "float32"), profile="quick", seed=3)
    assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("spec", ["equinox:LSTMCell", "equinox:GRUCell"])
def test_equinox_leaves_the_biases_out(spec: str) -> None:
    found = record(of(spec), "equals_reference", bias=False)
    assert (found.status, found.message) == (HOLDS, "")


@pytest.mark.parametrize("spec", [s for s in CELLS if s.startswith("haiku")])
def test_haiku_always_has_a_bias(spec: str) -> None:
    found = record(of(spec), "equals_reference", bias=False)
    assert (found.status, found.message) == (UNSUPPORTED, "the core always has one")


def test_haiku_adds_one_to_the_forget_gate_in_each_step() -> None:
    """The equations of its docstring leave it out, and a note says that it is added to b_f."""
    needed("haiku")
    from gatewise.peers.haiku import LSTM, hk

    assert "add 1.0 to" in hk.LSTM.__doc__
    plain = as_subject(replace(LSTM, like="LSTMCell"))
    assert record(plain, "equals_reference").status == FALSIFIED


def test_a_function_of_jax_arrays_gives_gradients_to_tensors() -> None:
    needed("jax")
    from gatewise.peers.jax_vjp import jnp, of_tensors

    @of_tensors
    def both(x: Any, y: Any, keep: Any, scale: Any = 1.0) -> Any:
        return {"sum": jnp.where(keep, x, y) * scale}, x * y

    for dtype in (torch.float64, torch.float32):
        x, y = (torch.tensor([2.0, v], dtype=dtype, requires_grad=True) for v in (3.0, 5.0))
        scale = torch.tensor(7.0, dtype=dtype, requires_grad=True)
        first, second = both(x, y, torch.tensor([True, False]), scale=scale)
        assert first.dtype == second.dtype == dtype
        (first.sum() + second.sum()).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [7 + 2, 5]
        assert scale.grad is not None
        assert scale.grad.item() == 2 + 5
    with pytest.raises(ValueError, match="Incompatible shapes"):
        both(torch.ones(2), torch.ones(3), torch.tensor([True, False]))
