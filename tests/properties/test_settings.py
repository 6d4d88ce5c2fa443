"""Every process-wide setting that a subject may make survives a run, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import nn

from gatewise.properties import precisions, process_state
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS
from gatewise.properties.subjects.protocol import Subject

Make = Callable[[], Any]


def _by_place() -> None:
    matmul: Any = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):
        matmul.fp32_precision = "tf32"


def _oneDNN() -> None:
    matmul: Any = getattr(torch.backends.mkldnn, "matmul", None)
    if hasattr(matmul, "fp32_precision"):
        matmul.fp32_precision = "bf16"


#: What libraries are known to set when they are imported, or in a constructor.
MAKES: dict[str, Make] = {
    "set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("high"),
    "allow_tf32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "cudnn.allow_tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
    "fp32_precision": _by_place,
    "oneDNN": _oneDNN,
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "threads": lambda: torch.set_num_threads(2),
    "deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    before = process_state.settings()
    yield
    precisions.switch("float32")
    process_state.restore(before)


def made_in_the_constructor(makes: tuple[Make, ...]) -> type[nn.Module]:
    class Makes(nn.LSTM):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            for make in makes:
                make()
            super().__init__(*args, **kwargs)

    return Makes


def record_of(factory: Any, trusted: bool, prop: str = "equals_reference") -> Any:
    subject = Subject("mine", "LSTM", factory, trusted=trusted)
    return run(Plan(CATALOGUE[prop], subject, "float32"), profile="quick", seed=3)


@pytest.mark.parametrize("trusted", [True, False], ids=["here", "in a sandbox"])
@pytest.mark.parametrize("name", [n for n in MAKES if n != "default dtype"])
def test_a_setting_made_in_a_constructor_is_no_error(name: str, trusted: bool) -> None:
    record = record_of(made_in_the_constructor((MAKES[name],)), trusted)
    assert record.status == HOLDS, record.message


@pytest.mark.parametrize(
    "names",
    list(
        permutations(["set_float32_matmul_precision", "allow_tf32", "fp32_precision", "oneDNN"], 2)
    ),
    ids=" then ".join,
)
def test_settings_of_one_thing_by_two_interfaces_are_no_error(names: tuple[str, ...]) -> None:
    record = record_of(made_in_the_constructor(tuple(MAKES[n] for n in names)), trusted=True)
    assert record.status == HOLDS, record.message


@pytest.mark.parametrize("name", MAKES)
def test_a_setting_made_at_import_is_no_error(name: str) -> None:
    """The whole run goes on under it, as under a library that sets it when it is imported."""
    MAKES[name]()
    for trusted in (True, False):
        for prop in ("equals_reference", "count_is_exact", "gradient_of_input"):
            assert record_of(nn.LSTM, trusted, prop).status == HOLDS


@pytest.mark.parametrize("name", ["set_float32_matmul_precision", "deterministic", "anomaly"])
def test_a_setting_that_is_left_changed_is_still_falsified(name: str) -> None:
    record = record_of(
        made_in_the_constructor((MAKES[name],)), False, "the_process_is_left_as_found"
    )
    assert record.status == FALSIFIED


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("trusted", [True, False], ids=["here", "in a sandbox"])
def test_a_subject_that_changes_nothing_is_not_said_to(trusted: bool, precision: str) -> None:
    class DoublesH(nn.RNN):
        def forward(self, *args: Any) -> Any:
            output, h = super().forward(*args)
            return output, 2 * h

    torch.backends.cudnn.allow_tf32 = True  # torch's default, which every precision switches off
    for factory in (nn.RNN, DoublesH):
        subject = Subject("mine", "RNN", factory, trusted=trusted)
        for prop in ("equals_reference", "paths_agree_on_raising"):
            record = run(Plan(CATALOGUE[prop], subject, precision), profile="quick", seed=3)
            assert "changed" not in record.message


@pytest.mark.parametrize("precision", ["float64", "float32", "tf32"])
def test_a_run_leaves_the_settings_as_they_were(precision: str) -> None:
    torch.backends.cudnn.allow_tf32 = True
    before = process_state.settings()
    subject = Subject("mine", "RNN", nn.RNN, trusted=True)
    run(Plan(CATALOGUE["count_is_exact"], subject, precision), profile="quick", seed=3)
    assert process_state.settings() == before
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("name", MAKES)
def test_what_is_read_is_put_back(name: str) -> None:
    before = process_state.settings()
    MAKES[name]()
    process_state.restore(before)
    assert process_state.settings() == before
    assert process_state.restore(before) == []


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_a_switch_leaves_a_state_that_torch_can_read(precision: str) -> None:
    for makes in permutations([MAKES[n] for n in ("allow_tf32", "fp32_precision", "oneDNN")]):
        for make in makes:
            make()
        precisions.switch(precision)
        assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
        assert torch.backends.cuda.matmul.allow_tf32 == (precision == "tf32")
        assert torch.get_float32_matmul_precision() == (
            "high" if precision == "tf32" else "highest"
        )
