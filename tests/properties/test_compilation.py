"""Compilation: planted faults are falsified, and what does not run here is said, with the reason.

`WrongWhenCompiled`, `WrongWhenTraced` and `ReversedInOnnx` are seen by this family alone.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gatewise.properties.cases.case import Case
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.compilation.compilers import quiet
from gatewise.properties.running.engine import run
from gatewise.properties.running.known_issues import in_range, issues_of
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, NOT_RUN, UNSUPPORTED
from gatewise.properties.subjects.builtin import BUILTIN
from gatewise.properties.subjects.loading import load_subject
from gatewise.properties.subjects.protocol import Unsupported
from tests.mutation.all import MUTANTS
from tests.mutation.correct import CORRECT

BROKEN = str(Path(__file__).with_name("broken_graphs.py"))
INDUCTOR = "compiled_by_inductor_equals_reference"
DYNAMO = "onnx_dynamo_equals_reference"


def plan_of(name: str, prop: str) -> Plan:
    return Plan(CATALOGUE[prop], replace(load_subject(f"{BROKEN}:{name}"), trusted=True), "float32")


FAULTS = [
    ("WrongWhenCompiled", "compiled_by_eager_equals_reference", "compiled: h"),
    ("WrongWhenCompiled", "compiled_by_aot_eager_equals_reference", "compiled: h"),
    ("WrongWhenCompiled", "compiles_as_one_graph", "compiled: h"),
    ("WrongWhenTraced", "traced_module_equals_reference", "traced: h"),
    ("WrongWhenCompiled", "exported_program_equals_reference", "exported: h"),
    (
        "WrongWhenCompiled",
        "exported_program_takes_any_batch",
        "exported for 2 rows, with 5 rows: h",
    ),
    (
        "UntrainedWhenCompiled",
        "compiled_graph_trains",
        r"compiled gradient of bias_hh \(None\)\[\d\]: got 0, expected",
    ),
]


@pytest.mark.parametrize(("name", "prop", "said"), FAULTS)
def test_a_planted_fault_is_falsified_and_named(name: str, prop: str, said: str) -> None:
    record = run(plan_of(name, prop), profile="standard", seed=1)
    assert record.status == FALSIFIED
    assert re.search(said, record.message)


@pytest.mark.parametrize("name", ["WrongWhenTraced", "ReversedInOnnx"])
def test_a_wrong_onnx_model_is_falsified(name: str) -> None:
    pytest.importorskip("onnxruntime")
    record = run(plan_of(name, "onnx_torchscript_equals_reference"), profile="standard", seed=1)
    assert record.status == FALSIFIED
    assert record.message.startswith("in onnxruntime: ")


def test_a_wrong_model_of_the_dynamo_exporter_is_falsified() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    plan = plan_of("ReversedInOnnx", DYNAMO)
    case = Case("GRU", input_size=2, hidden_size=2, batch=2, time=2)
    with pytest.raises(Mismatch, match="in onnxruntime: output"):
        plan.prop.claim(plan.subject, case, Check())
    plan.prop.claim(BUILTIN["torch.nn.GRU"], case, Check())


def test_a_graph_break_is_unsupported_in_torchs_words() -> None:
    record = run(plan_of("BreaksTheGraph", "compiles_as_one_graph"), profile="quick")
    assert record.status == UNSUPPORTED
    assert "torch._dynamo.graph_break()" in record.message
    assert run(plan_of("BreaksTheGraph", "compiled_by_eager_equals_reference")).status == HOLDS
    plan = Plan(CATALOGUE["compiles_as_one_graph"], BUILTIN["torch.nn.LSTM"], "float32")
    record = run(plan, profile="quick")
    assert record.status == UNSUPPORTED
    assert "Dynamo does not support RNN, GRU, or LSTM" in record.message


def test_a_missing_package_is_unsupported_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str, *_: Any) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", found)
    case = Case("GRU", input_size=2, hidden_size=2, batch=2, time=2)
    for exporter in ("torchscript", "dynamo"):
        claim = CATALOGUE[f"onnx_{exporter}_equals_reference"].claim
        with pytest.raises(
            Unsupported, match=r"needs the package onnx \(extra `onnx` of gatewise\)"
        ):
            claim(BUILTIN["gatewise.impl.GRU"], case, Check())


def test_what_is_left_to_a_fuller_profile_leaves_a_record_that_says_so() -> None:
    for profile in ("quick", "standard"):
        record = run(
            Plan(CATALOGUE[INDUCTOR], BUILTIN["gatewise.impl.GRUCell"], "float32"), profile=profile
        )
        assert (record.status, record.cases, record.passed) == (NOT_RUN, 0, True)
        assert record.message == f"left to profile thorough, and this is {profile}"


@pytest.mark.parametrize("prop", ["compiled_graph_trains", DYNAMO])
def test_torchs_lstm_is_known_where_it_fails(prop: str) -> None:
    if prop == DYNAMO:
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    theirs = BUILTIN["torch.nn.LSTM"]
    known = issues_of(theirs, prop, "float32")
    (issue,) = (i for i in known if in_range(torch.__version__, i.torch))
    with pytest.raises(Exception, match=r"expected all tensors_saved|initial_c must have shape"):
        CATALOGUE[prop].claim(theirs, issue.case(theirs, "float32"), Check())
    own = BUILTIN["gatewise.impl.LSTM"]
    CATALOGUE[prop].claim(own, issue.case(own, "float32"), Check())


def test_quiet_keeps_output_to_itself_and_lets_errors_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def talk() -> None:
        with quiet():
            print("a compiler talks")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        talk()
    print("heard")
    assert capsys.readouterr().out == "heard\n"


@pytest.mark.parametrize("like", ["RNN", "GRU", "LSTM"])
def test_torchs_own_trouble_with_a_plain_subclass_accuses_nobody(like: str) -> None:
    """torch scripts a plain subclass of its GRU, and then cannot store what it made."""
    subject = CORRECT[f"{like}-subclass-of-torch"].subject
    record = run(Plan(CATALOGUE["scripted_module_equals_reference"], subject, "float32"), seed=1)
    assert record.status in (HOLDS, UNSUPPORTED), record.message
    if like != "LSTM":  # torch does not script that one
        assert record.comparisons > 0
        assert "torch.jit.save" in record.message


def test_an_export_does_not_depend_on_an_export_before() -> None:
    pytest.importorskip("torch._higher_order_ops.scan")
    scans = MUTANTS["GRU-exported-steps-past-three"].subject
    for prop in ("exported_program_takes_any_batch", "exported_program_takes_any_time"):
        record = run(Plan(CATALOGUE[prop], scans, "float32"), profile="quick", shrink=False)
    assert record.status == FALSIFIED, record.message
