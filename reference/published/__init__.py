"""Kinds of published cells, declared by their steps.

Each names its paper, and where libraries differ.  An import of a module puts its kinds into the
tables.
"""

from __future__ import annotations

from . import gru_variants, linear_recurrences, lstm_variants, xlstm

__all__ = ["gru_variants", "linear_recurrences", "lstm_variants", "xlstm"]
