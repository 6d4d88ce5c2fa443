"""Every mutant under a name that can be imported: `tests/mutation/named.py:LSTM_h0_ignored`.

`--like` or a loader's `like` tells the kind.  It needs neither Hypothesis nor pytest, so the script
of a failing case finds the mutant where only torch and NumPy are installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutation.all import MUTANTS


def importable(name: str) -> str:
    """The name of a mutant as an identifier."""
    return name.replace("-", "_")


globals().update({importable(name): mutant.factory for name, mutant in MUTANTS.items()})
