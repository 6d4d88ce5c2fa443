"""What a case of agreement costs: beside the subject alone, and beside a plain Hypothesis suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from common import torch
from plain_suite import suite

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.subjects.builtin import BUILTIN

#: Examples of a round; more than a run has, so that what comes once weighs little.
EXAMPLES = 200
CLASSES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def _put(like: str) -> Any:
    plan = Plan(CATALOGUE["equals_reference"], BUILTIN[f"torch.nn.{like}"], "float32")
    return run(plan, profile="thorough", seed=0, most=EXAMPLES, edges=False)


@pytest.mark.parametrize("like", CLASSES)
def test_case(like: str, benchmark: Any) -> None:
    torch.set_num_threads(1)
    record = benchmark.pedantic(_put, (like,), rounds=5, warmup_rounds=1)
    assert record.status == "holds"
    benchmark.extra_info |= {
        "table": "cases",
        "row": like,
        "column": "Gatewise",
        "cases": record.cases,
        "subject": record.subject_seconds / record.seconds,
        "reference": record.reference_seconds / record.seconds,
    }


@pytest.mark.parametrize("like", CLASSES)
def test_case_of_a_plain_suite(like: str, benchmark: Any) -> None:
    torch.set_num_threads(1)
    plain: Callable[[], int] = suite(like.removesuffix("Cell"), like.endswith("Cell"), EXAMPLES)
    count = benchmark.pedantic(plain, rounds=5, warmup_rounds=1)
    benchmark.extra_info |= {"table": "cases", "row": like, "column": "plain suite", "cases": count}
