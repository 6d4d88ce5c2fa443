"""Levels, verdicts and causes: what a person reads first of a subject that is right, or wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatewise.properties import options
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.levels import LEVELS, counts
from gatewise.properties.reporting.causes import cause_of, most_telling_first
from gatewise.properties.reporting.verdicts import verdicts
from gatewise.properties.running.records import (
    ERROR,
    FALSIFIED,
    HOLDS,
    KNOWN_ISSUE,
    UNSUPPORTED,
    Diagnosis,
    Record,
    not_offered,
)
from gatewise.properties.subjects.capabilities import machine_lacks

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "tests/properties/broken_defaults.py"


def gatewise(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def record(name: str, status: str = FALSIFIED, **more: object) -> Record:
    prop = CATALOGUE[name]
    made = Record("mine", "cpu", "float32", name, prop.family, status, 0, level=prop.level)
    fields = {"comparisons": 1, **more}
    return Record(**{**made.__dict__, **fields})  # type: ignore[arg-type]


def test_what_the_machine_lacks_is_said_once() -> None:
    lack = str(machine_lacks("a second device (CUDA)"))
    records = [
        record("mixed_devices_are_refused", HOLDS, subject=name, message=lack, unoffered=2)
        for name in ("torch.nn.LSTM", "torch.nn.GRU", "gatewise.impl.GRU")
    ]
    records.append(record("time_split", UNSUPPORTED, message="one step alone"))
    assert not_offered(records) == [
        "skipped: needs a second device (CUDA) (unsupported properties: 0, cases left out: 6)",
        "not offered by mine: one step alone (unsupported properties: 1, cases left out: 0)",
    ]


def test_each_level_has_properties_and_each_hardening_claim_a_reason() -> None:
    assert {p.level for p in CATALOGUE.values()} == set(LEVELS)
    for prop in CATALOGUE.values():
        assert bool(prop.beyond) == (prop.level == "hardening"), prop.name
    assert CATALOGUE["equals_reference"].level == "values"
    assert CATALOGUE["names_and_shapes"].level == "contract"
    assert CATALOGUE["deleted_weight_is_missed"].level == "hardening"


def test_a_level_counts_up_to_the_limit() -> None:
    table = {(a, b): counts(a, b) for a in LEVELS for b in LEVELS}
    assert [k for k, v in table.items() if v] == [
        ("values", "values"),
        ("values", "contract"),
        ("values", "hardening"),
        ("contract", "contract"),
        ("contract", "hardening"),
        ("hardening", "hardening"),
    ]


def test_three_verdicts_one_line_each() -> None:
    records = [
        record("equals_reference", HOLDS),
        record("time_split", UNSUPPORTED),
        record("names_and_shapes", HOLDS),
        record("count_is_exact"),
        record("result_shapes"),
        record("deleted_weight_is_missed", KNOWN_ISSUE),
        record("wrong_sizes_are_refused"),
    ]
    assert verdicts(records) == [
        "mine on cpu: values: right, 1 of 1",
        "mine on cpu: contract: 2 departures, 1 of 3 hold",
        "mine on cpu: hardening: 1 remark, 1 of 2 hold (1 known issues)",
    ]


def test_an_error_is_counted_apart_and_a_level_without_a_property_says_so() -> None:
    records = [record("equals_reference", ERROR), record("time_split", HOLDS)]
    assert verdicts(records) == [
        "mine on cpu: values: right, 1 of 1 (1 not decided, for errors inside Gatewise)",
        "mine on cpu: contract: nothing was run",
        "mine on cpu: hardening: nothing was run",
    ]


def test_the_most_telling_come_first() -> None:
    names = ["deleted_weight_is_missed", "nan_weight_reaches_its_unit", "equals_reference"]
    ordered = most_telling_first(map(record, ["result_shapes", *names]))
    assert [r.name for r in ordered] == [
        "equals_reference",
        "nan_weight_reaches_its_unit",
        "result_shapes",
        "deleted_weight_is_missed",
    ]


def test_the_gradient_that_is_wrong_alone_comes_before_what_only_meets_it() -> None:
    records = [
        record("nan_leaves_other_rows_gradients"),
        record("gradients_through_the_output_alone"),
        record("gradients_through_the_cell_state_alone"),
        record("gradient_of_input", HOLDS),
        record("gradient_of_weight_hh"),
    ]
    assert most_telling_first(records)[0].name == "gradient_of_weight_hh"


def test_a_cause_is_a_fault_an_exception_or_the_family() -> None:
    assert cause_of(record("time_split", diagnosis=Diagnosis(faults=("x swapped",)))) == (
        "consistent with x swapped"
    )
    raised = record("time_split", message="the subject raised ValueError: no\n  File ...")
    assert cause_of(raised) == "the subject raised ValueError: no"
    assert cause_of(record("time_split", message="output[0]: got 1")) == "the family composition"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BatchFirstLSTM", "the constructor's default is batch_first=True, torch.nn's is batch_"),
        ("SwappedPlacesGRU", "the constructor takes batch_first at the place where torch.nn takes"),
        ("UnprojectedLSTM", "the constructor accepts proj_size=1 and ignores it"),
        ("FirstStatesLSTM", "consistent with every layer started from the states of the first"),
        ("CellStateDetachedLSTM", "property gradients_through_the_cell_state_alone is falsified"),
        ("NextStateRNN", "gradient of weight_hh"),
    ],
)
def test_the_first_property_that_is_printed_names_the_cause(name: str, words: str) -> None:
    names = ("names_and_shapes", "nan_leaves_other_rows_gradients", "refusals_name_the_argument")
    chosen = ["--family=agreement", "--family=gradients", *(f"--property={n}" for n in names)]
    spec = f"{BROKEN}:{name}"
    done = gatewise("--subject", spec, "--precision=float32", "--hypothesis-seed=1", *chosen)
    assert done.returncode == 1
    failures = done.stdout.partition("= FAILURES =")[2]
    first = re.split(r"^_+ test_property.* _+$", failures, flags=re.MULTILINE)[1]
    assert words in first, first
    assert f"{spec} on cpu: hardening:" in done.stdout


def test_at_most_ten_are_shown_in_full_and_the_rest_is_counted() -> None:
    subject = ["--subject", f"{BROKEN}:BatchFirstLSTM", "--precision=float32"]
    families = ["--family=invariance", "--family=composition", "--family=agreement"]
    done = gatewise(*subject, *families, "--hypothesis-profile=quick", "--show=2")
    shown = re.findall(r"^\S+: property (\w+) is falsified", done.stdout, re.MULTILINE)
    assert len(shown) == 2
    assert re.search(r"\d+ properties × precisions are falsified, by cause", done.stdout)
    assert re.search(r"\d+ more are not shown in full; --show all shows them", done.stdout)
    every = gatewise(*subject, *families, "--hypothesis-profile=quick", "--show=all")
    assert len(re.findall(r"property (\w+) is falsified", every.stdout)) > 2


def test_a_remark_does_not_decide_the_status_and_is_listed() -> None:
    spec = "tests/properties/careless.py:NamesNothing"
    chosen = ["--property=refusals_name_the_argument", "--property=equals_reference"]
    base = ["--subject", spec, "--like=GRU", "--precision=float32", "--hypothesis-profile=quick"]
    done = gatewise(*base, *chosen)
    assert done.returncode == 0, done.stdout
    assert "remark at hardening:" in done.stdout
    assert f"{spec} on cpu: hardening: 1 remark" in done.stdout
    assert gatewise(*base, *chosen, "--level=hardening").returncode == 1


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"--level": "value"}, "--level 'value': expected one of values, contract, hardening"),
        (
            {"--property": ["equals_refrence"]},
            "--property 'equals_refrence': there is none of this name; the nearest names are "
            "equals_reference",
        ),
        (
            {"--family": ["gradient"]},
            "--family 'gradient': there is none of this name; the nearest",
        ),
        ({"--family": ["zzz"]}, "--family 'zzz': there is none of this name; no name is near it"),
        ({"--show": "some"}, "--show 'some': expected a number, or all"),
    ],
)
def test_a_bad_choice_is_one_clear_line(given: dict[str, object], line: str) -> None:
    with pytest.raises(options.UsageError) as caught:
        options.configure(given)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_property_is_chosen_by_its_name_and_not_by_the_path_of_the_subject() -> None:
    given = {"--subject": ["torch.nn.LSTM"], "--property": ["*mask*"], "--precision": ["float32"]}
    names = {p.prop.name for p in options.configure(given).plans()}
    of_it = {n: p for n, p in CATALOGUE.items() if p.claimed_of("LSTM", "cpu") and not p.extra}
    assert names == {n for n in of_it if "mask" in n}
    both = {**given, "--family": ["agreement"], "--property": ["time_split"]}
    names = {p.prop.name for p in options.configure(both).plans()}
    assert names == {
        "equals_reference",
        "small_gates_keep_relative_accuracy",
        "equals_reference_step_by_step",
        "time_split",
    }
