"""Gatewise decides whether an implementation of a recurrent network is right.

import gatewise as gw

for record in gw.check_conformance("mine.py:MyLSTM"):
    print(record.id, record.status)
"""

from __future__ import annotations

from gatewise.properties.cases.case import Case
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import check_conformance
from gatewise.properties.running.records import Record
from gatewise.properties.subjects.adapting.adapter import Adapter
from gatewise.properties.subjects.adapting.identify import identify
from gatewise.properties.subjects.protocol import Subject
from gatewise.pytest import parametrize

__all__ = [
    "CATALOGUE",
    "Adapter",
    "Case",
    "Record",
    "Subject",
    "check_conformance",
    "identify",
    "parametrize",
]
