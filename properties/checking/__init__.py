"""How results are checked: the reference's bounds, derivatives, and exact statistical tests."""
