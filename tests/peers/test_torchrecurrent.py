"""The cells of torchrecurrent, where it is installed, are right in values and gradients."""

from __future__ import annotations

import importlib.util

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import HOLDS
from gatewise.properties.subjects.loading import load_subject

CELLS = (
    *("MGU", "LiGRU", "IndRNN", "PeepholeLSTM", "JANET", "MinimalRNN", "UGRNN"),
    *("FastRNN", "BR", "ATR", "STAR", "RAN", "CFN"),
)


@pytest.mark.skipif(
    importlib.util.find_spec("torchrecurrent") is None, reason="torchrecurrent is not installed"
)
@pytest.mark.parametrize("name", CELLS)
def test_the_cell_is_right(name: str) -> None:
    subject = load_subject(f"gatewise.peers.torchrecurrent:{name}", f"Tr{name}Cell")
    for prop in ("equals_reference", "gradient_of_own_weights", "count_is_exact"):
        record = run(Plan(CATALOGUE[prop], subject, "float32"), profile="quick", seed=1)
        assert record.status == HOLDS, record.message
