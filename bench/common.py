"""Shared code of the benchmarks: draws cases with Hypothesis, outside of a test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, given, settings

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE

torch.set_num_threads(1)


def plain_settings(number: int) -> settings:
    """Hypothesis settings that only generate `number` examples."""
    return settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def draw(
    like: str, precision: str, number: int, seed: int, name: str = "equals_reference"
) -> list[Case]:
    """Draw `number` cases from the strategy of a property, as a run of the property does."""
    drawn: list[Case] = []

    @hypothesis.seed(seed)
    @plain_settings(number)
    @given(CATALOGUE[name].strategy(like, precision))
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return drawn
