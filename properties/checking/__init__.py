"""How a result is checked: the reference's bounds, derivatives, and exact tests of chance."""
