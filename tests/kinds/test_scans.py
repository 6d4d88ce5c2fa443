"""A parallel scan of a linear recurrence is right, and a scan with a fault is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS
from gatewise.properties.subjects.loading import as_subject

from .scans import GATES, SCANS, scanned
from .test_published import PUT


def test_both_scans_are_the_loop() -> None:
    for time in (1, 2, 3, 7, 8, 13):  # integers, whose products and sums are exact
        a, b = torch.randint(-2, 3, (2, time, 3)).double().unbind()
        h, want = torch.zeros(3, dtype=torch.float64), []
        for t in range(time):
            h = a[t] * h + b[t]
            want.append(h)
        for scan in SCANS.values():
            assert torch.equal(scan(a, b), torch.stack(want))


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("name", GATES)
def test_a_layer_by_a_scan_is_right(name: str, scan: str) -> None:
    subject = as_subject(scanned(name, SCANS[scan]), name)
    own = {"large_sizes_equal_reference": "float32", "time_split": "float64"}
    for prop, precision in {**PUT, **own}.items():
        record = run(Plan(CATALOGUE[prop], subject, precision), profile="quick", seed=1)
        assert record.status == HOLDS, record.message


def a_factor_short(a: Tensor, b: Tensor) -> Tensor:
    """The factors of the steps before are not taken in."""
    reach = 1
    while reach < len(a):
        b = torch.cat([b[:reach], a[reach:] * b[:-reach] + b[reach:]])
        reach *= 2
    return b


def four_steps_alone(a: Tensor, b: Tensor) -> Tensor:
    """Each state knows the four steps up to it, and none before."""
    for reach in (1, 2):
        b = torch.cat([b[:reach], a[reach:] * b[:-reach] + b[reach:]])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
    return b


def blocks_of_eight(a: Tensor, b: Tensor) -> Tensor:
    """Blocks of eight steps are scanned, and each begins without the state of the block before."""
    return torch.cat([SCANS["pairs"](*block) for block in zip(a.split(8), b.split(8), strict=True)])


@pytest.mark.parametrize("fault", [a_factor_short, four_steps_alone, blocks_of_eight])
@pytest.mark.parametrize("name", GATES)
def test_a_scan_with_a_fault_is_falsified(name: str, fault: Any) -> None:
    subject = as_subject(scanned(name, fault), name)
    record = run(Plan(CATALOGUE["equals_reference"], subject, "float32"), seed=1)
    assert record.status == FALSIFIED
