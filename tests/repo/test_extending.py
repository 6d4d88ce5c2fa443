"""What CONTRIBUTING.md says one adds is added here: a precision, a device, a kind, a property.

Each is added in the test alone, with no other file touched, and a property runs on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatewise.properties import devices, options, precisions
from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check
from gatewise.properties.devices import DeviceType
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Family
from gatewise.properties.precisions import TorchPrecision, add_precision
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan, plans
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.protocol import Subject
from gatewise.reference import classes, formats, kinds
from gatewise.reference.cells import affine
from gatewise.reference.classes import GRUS, add_kind
from gatewise.reference.formats import PRECISIONS
from gatewise.reference.kinds import Kind


@pytest.fixture
def tables() -> Iterator[None]:
    """Every table as it was, after the test."""
    every: tuple[dict[str, Any], ...] = (
        kinds.KINDS,
        classes.CLASSES,
        devices.TABLE,
        precisions.TABLE,
        formats.PRECISIONS,
    )
    before = [dict(table) for table in every]
    yield
    for table, rows in zip(every, before, strict=True):
        table.clear()
        table.update(rows)


@pytest.mark.usefixtures("tables")
def test_a_precision_is_a_row_here_and_a_row_in_the_reference() -> None:
    row = TorchPrecision(name="float32_of_two_ulps", dtype=torch.float32)
    add_precision(row, replace(PRECISIONS["float32"], name=row.name, ulps=2.0))
    made = options.configure({"--precision": [row.name], "--subject": ["torch.nn.LSTM"]})
    plan = next(p for p in made.plans() if p.prop.name == "equals_reference")
    record = run(plan, profile="quick", seed=1)
    assert (record.precision, record.status) == (row.name, HOLDS)
    assert 0 < record.worst < 1
    assert record.case == ""


@pytest.mark.usefixtures("tables")
def test_a_device_is_a_row() -> None:
    """Another name for the CPU, of which only float64 is said."""
    devices.TABLE["host"] = DeviceType(
        name="host",
        torch_name="cpu",
        available=lambda: True,
        precisions=lambda: ("float64",),
        forks=True,
    )
    made = options.configure({"--device": "host", "--subject": ["torch.nn.LSTM"]})
    found = made.plans()
    assert {p.subject.device for p in found} == {"host"}
    assert {p.precision for p in found} == {"float64"}
    for name in ("equals_reference", "result_dtype_and_device", "gradient_of_input"):
        plan = next(p for p in found if p.prop.name == name)
        record = run(plan, profile="quick", seed=1)
        assert (record.device, record.status, record.message) == ("host", HOLDS, "")
    with pytest.raises(options.UsageError, match="--precision 'float32': host has float64"):
        options.configure({"--device": "host", "--precision": ["float32"]})


class LeakyRNNCell(nn.RNNCell):
    """h' = ½ h + ½ tanh(W_ih x + b_ih + W_hh h + b_hh)."""

    share = 0.5

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        old = input.new_zeros(*input.shape[:-1], self.hidden_size) if hx is None else hx
        return (1 - self.share) * old + self.share * super().forward(input, hx)


class LeaksTooMuch(LeakyRNNCell):
    """A wrong share of the old state."""

    share = 0.5001


def leaky() -> Kind:
    return Kind(
        name="LeakyRNN",
        gates=("h",),
        step=lambda o, w, x, s: (0.5 * s[0] + 0.5 * np.tanh(x + affine(s[0], w.hh, w.b_hh)),),
    )


@pytest.mark.usefixtures("tables")
def test_a_kind_is_a_row_with_its_step() -> None:
    add_kind(leaky())
    for factory, status in ((LeakyRNNCell, HOLDS), (LeaksTooMuch, FALSIFIED)):
        subject = Subject("mine", "LeakyRNNCell", factory)
        names = {p.prop.name for p in plans([subject])}
        assert {"equals_reference", "batch_rows_are_independent", "count_is_exact"} <= names
        assert not {"gru_is_three_rnns", "open_forget_gate_keeps_the_cell"} & names
        record = run(Plan(CATALOGUE["equals_reference"], subject, "float32"), seed=1)
        assert record.status == status
    # Without a backward pass in the reference nothing is said of its gradients.
    plan = Plan(CATALOGUE["gradient_of_weight_hh"], subject, "float32")
    record = run(plan, profile="quick", seed=1)
    assert record.status == UNSUPPORTED
    assert record.message == "the reference has no gradient of LeakyRNN"


@pytest.mark.usefixtures("tables")
def test_a_name_that_is_taken_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="kind 'GRU' exists; the kinds are RNN, LSTM, GRU"):
        add_kind(replace(leaky(), name="GRU"))
    row = TorchPrecision(name="float32", dtype=torch.float32)
    with pytest.raises(ValueError, match="precision 'float32' exists; expected a name other"):
        add_precision(row, PRECISIONS["float32"])


def test_a_property_is_a_function_that_a_family_registers() -> None:
    family = Family("mine")

    @family.claims("A GRU's parameters are finite.", "|w| < ∞", of=GRUS, share=0.1)
    def parameters_are_finite(subject: Subject, case: Case, check: Check) -> None:
        for name, weight in subject.build(case).named_parameters():
            check.same(f"{name} is finite", bool(weight.isfinite().all()), True)

    (prop,) = family.properties
    assert (prop.name, prop.family, prop.share) == ("parameters_are_finite", "mine", 0.1)
    assert run(Plan(prop, BUILTIN["torch.nn.GRU"], "float32"), profile="quick").status == HOLDS
    assert not prop.claimed_of("LSTM", "cpu")


def test_what_a_property_states_wrongly_is_one_clear_line() -> None:
    family = Family("mine")
    with pytest.raises(TypeError, match="'hiden_size' is no field of Property and no constraint"):
        family.claims("s", "f", hiden_size=3)
    with pytest.raises(TypeError, match=r"of=.*: expected a Group, such as LAYERS of"):
        family.claims("s", "f", of=("LSTM",))
