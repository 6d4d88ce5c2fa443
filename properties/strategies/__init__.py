"""Hypothesis strategies: sizes, values by regime, memory layouts, and whole cases."""
